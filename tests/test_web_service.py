"""The web server as `serve` has it: what keeps it from starting, and what it goes without."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from commands import Run
from test_service import CONFIG
from test_service_sockets import LAUNCHER
from web_support import site

from bouncesink.config import Config, WebConfig
from bouncesink.service.website import make_metrics

WITHOUT = """
import sys
sys.modules[sys.argv.pop(1)] = None
from bouncesink.cli import main
main()
"""

WEB = '[web]\nlisten = "127.0.0.1:{port}"\n'


def start(folder: Path, *launcher: str, web: str = "", passed: tuple[int, ...] = ()) -> str:
    """Start a service that cannot start; give what it says, but for its log."""
    (folder / "c.toml").write_text(CONFIG + web)
    done = subprocess.run(
        [sys.executable, *launcher, "serve", "--config", "c.toml"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        pass_fds=passed,
        timeout=60,
    )
    said = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert len(said) == 1, done.stderr
    assert done.returncode in (1, 2)
    return said[0]


def test_without_the_extra_it_says_how_to_get_it(tmp_path: Path, run: Run) -> None:
    said = start(tmp_path, "-c", WITHOUT, "aiohttp", web=WEB.format(port=0))
    assert "pip install 'bouncesink[web]'" in said
    assert "web: 127.0.0.1:0 is free" in run("doctor", "--config", "c.toml").out


def test_a_port_in_use_is_one_clear_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = start(tmp_path, "-m", "bouncesink", web=WEB.format(port=port))
    assert f"127.0.0.1:{port}: address in use" in said


def test_a_passed_socket_that_strangers_could_reach_is_refused(tmp_path: Path) -> None:
    with (
        socket.create_server(("0.0.0.0", 0)) as web,
        socket.create_server(("127.0.0.1", 0)) as mail,
    ):
        passed = (web.fileno(), mail.fileno())
        launcher = ("-c", LAUNCHER, "web:lmtp", ",".join(map(str, passed)))
        said = start(tmp_path, *launcher, sys.executable, "-m", "bouncesink", passed=passed)
        port = web.getsockname()[1]
    assert f"0.0.0.0:{port} is open to other machines" in said


async def test_without_prometheus_client_there_are_no_metrics(tmp_path: Path) -> None:
    async with site(tmp_path) as it:  # which has none
        assert (await it.ask("/metrics")).status == 404
        assert (await it.ask("/healthz")).status == 200


def test_what_counts_is_there_when_somebody_can_ask_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = Config(web=WebConfig(listen=("127.0.0.1:0",)))
    assert make_metrics(config) is not None
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    assert make_metrics(config) is None
    assert make_metrics(Config()) is None
