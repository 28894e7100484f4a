"""What README.md tells people to type, typed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
QUERIES = re.findall(r"^sqlite-utils .+$", README, re.MULTILINE)


def shell(command: str, folder: Path) -> str:
    """Run a command with this Python's programs first."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        shell=True,
        cwd=folder,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Do the first command's last line, in a folder of its own."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "samples").symlink_to(ROOT / "samples")
    (line,) = re.findall(r"^\.venv/bin/bouncesink (replay .+)$", README, re.MULTILINE)
    out = shell(f"{sys.executable} -m bouncesink {line}", folder)
    assert "lead_details.csv: 25 leads" in out
    return folder


def test_there_are_ten_queries() -> None:
    assert len(QUERIES) == 10


@pytest.mark.parametrize("query", QUERIES)
def test_each_query_gives_an_answer(replayed: Path, query: str) -> None:
    assert len(shell(query, replayed).splitlines()) > 1


def test_the_view_and_the_sheet_agree(replayed: Path) -> None:
    """The view's dates are in UTC, and so are the sheet's by default."""
    view = shell("sqlite-utils rows bouncesink.db lead_details --csv --no-headers", replayed)
    sheet = (replayed / "lead_details.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert len(view.splitlines()) == len(sheet) == 25
    for ours, theirs in zip(view.splitlines(), sheet, strict=True):
        assert ours.split(",")[2:] == theirs.rsplit(",", 5)[1:]


def test_the_story_that_it_shows_is_the_story(replayed: Path) -> None:
    """But for what is cut off where `...` stands."""
    (address, shown) = re.findall(
        r"^\$ \.venv/bin/bouncesink explain (\S+)\n(.+?)^```", README, re.MULTILINE | re.DOTALL
    )[0]
    told = shell(f"{sys.executable} -m bouncesink explain {address}", replayed).splitlines()
    for ours, theirs in zip(shown.splitlines(), told, strict=True):
        assert theirs.startswith(ours.removesuffix("..."))


def test_the_files_that_it_names_are_there() -> None:
    for name in re.findall(r"\]\(([a-zA-Z0-9_./-]+)\)", README):
        assert (ROOT / name).exists(), name


def test_the_commands_that_it_names_are_there() -> None:
    from bouncesink.cli import cli

    named = re.findall(r"^\| `([a-z-]+)[ `]", README, re.MULTILINE)
    assert len(named) > 8
    for name in named:
        assert cli.get_command(None, name), name  # type: ignore[arg-type]
