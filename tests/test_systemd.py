"""The units of systemd/, as systemd-analyze(1) and the program itself understand them."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from bouncesink.cli import cli
from bouncesink.config import parse
from bouncesink.errors import ConfigError
from bouncesink.intake.listeners import WEB

UNITS = Path(__file__).parents[1] / "systemd"
SERVICES = sorted(UNITS.glob("*.service"))
GUIDE = UNITS.parent / "deploy" / "systemd.md"
PROGRAM = "/opt/bouncesink/bin/bouncesink"

analysed = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


def values(unit: Path, key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", unit.read_text(), re.MULTILINE)


def analyse(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", "--no-pager", *words], capture_output=True, text=True, check=False
    )


def installed(folder: Path) -> list[Path]:
    """Give copies of the units that start a program which is there."""
    copies = []
    for unit in UNITS.iterdir():
        copies.append(folder / unit.name)
        copies[-1].write_text(unit.read_text().replace(PROGRAM, "/bin/true"))
    return copies


def test_every_unit_is_looked_at() -> None:
    assert {unit.name for unit in UNITS.iterdir()} == {
        "bouncesink.service",
        "bouncesink-flush.service",
        "bouncesink-flush.timer",
        "bouncesink-lmtp.socket",
        "bouncesink-lmtp-unix.socket",
        "bouncesink-maintain.service",
        "bouncesink-maintain.timer",
        "bouncesink-web.socket",
    }


@analysed
def test_systemd_finds_nothing_to_say_about_the_units(tmp_path: Path) -> None:
    done = analyse("verify", *installed(tmp_path))
    assert (done.stdout, done.stderr) == ("", "")


@analysed
def test_systemd_would_have_found_a_misspelt_key(tmp_path: Path) -> None:
    (unit, *_) = (each for each in installed(tmp_path) if each.name == "bouncesink.service")
    unit.write_text(unit.read_text().replace("WatchdogSec=", "WatchdogSecs="))
    assert "WatchdogSecs" in analyse("verify", unit).stderr


@analysed
@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_a_service_is_exposed_to_little(unit: Path) -> None:
    done = analyse("security", "--offline=yes", "--threshold=12", unit)
    assert done.returncode == 0, done.stdout
    (exposure,) = re.findall(r"Overall exposure level for \S+: (\S+)", done.stdout)
    assert float(exposure) <= 1.2


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_a_service_starts_a_command_that_there_is(unit: Path) -> None:
    (line,) = values(unit, "ExecStart")
    program, command, *options = line.split()
    assert program == PROGRAM
    assert options == ["--config", "/etc/bouncesink/bouncesink.toml"]
    found = cli.get_command(None, command)  # type: ignore[arg-type]
    assert found is not None
    assert "--config" in {name for option in found.params for name in option.opts}


def test_the_services_are_one_user_with_one_folder_and_secrets_of_one_name() -> None:
    for key in ("DynamicUser", "User", "StateDirectory", "StateDirectoryMode", "UMask"):
        assert len({tuple(values(unit, key)) for unit in SERVICES}) == 1, key
    for unit in SERVICES:
        for credential in values(unit, "LoadCredential"):
            name, _, stored = credential.partition(":")
            assert stored == f"bouncesink.{name}"


def test_a_wrong_config_is_not_started_again() -> None:
    unit = UNITS / "bouncesink.service"
    assert values(unit, "Restart") == ["on-failure"]
    assert values(unit, "RestartPreventExitStatus") == [str(ConfigError.exit_code)]


def test_each_socket_says_whom_it_is_for() -> None:
    names = {}
    for unit in UNITS.glob("*.socket"):
        assert values(unit, "Service") == ["bouncesink.service"]
        (names[unit.name],) = values(unit, "FileDescriptorName")
    assert [unit for unit, name in names.items() if name == WEB] == ["bouncesink-web.socket"]
    assert len(set(names.values())) == 3


def test_the_guide_s_configs_are_configs_that_keep_what_is_written_together() -> None:
    blocks = re.findall(r"```toml\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    first, timers = (parse(block, Path("/etc/bouncesink/bouncesink.toml")) for block in blocks)
    (folder,) = values(UNITS / "bouncesink.service", "StateDirectory")
    for path in (first.ledger.path, first.sheet.path):
        assert path.parent == Path("/var/lib", folder)
    assert not timers.sheet.flush_every
    assert not timers.retention.in_service


def test_a_command_by_hand_is_one_of_the_service(tmp_path: Path) -> None:
    said = tmp_path / "systemd-run"
    said.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    said.chmod(0o755)
    done = subprocess.run(
        [GUIDE.parent / "systemd" / "bouncesink", "explain", "two words"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "USER": "operator"},
        capture_output=True,
        text=True,
        check=True,
    )
    options = done.stdout.splitlines()
    assert options[-3:] == [PROGRAM, "explain", "two words"]
    for key in ("DynamicUser", "User", "StateDirectory", "StateDirectoryMode", "UMask"):
        (value,) = values(UNITS / "bouncesink.service", key)
        assert f"--property={key}={value}" in options
    assert "--setenv=SUDO_USER=operator" in options
