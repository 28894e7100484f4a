"""What systemd is told: that we are ready, reload, stop, and that nothing is stuck."""

import json
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from mails import hard
from test_service import CONFIG, serving

from bouncesink.service.notify import Notifier


class Systemd:
    """The receiving end of NOTIFY_SOCKET."""

    def __init__(self, address: str) -> None:
        self.environ = os.environ | {"NOTIFY_SOCKET": address}
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address.replace("@", "\0", 1))
        self.socket.settimeout(60)

    def read(self) -> dict[str, str]:
        return dict(line.split("=", 1) for line in self.socket.recv(4096).decode().splitlines())

    def is_silent_for(self, seconds: float) -> bool:
        """Whether nothing comes, but for what has come already."""
        self.socket.setblocking(False)
        try:
            while self.socket.recv(4096):
                pass
        except BlockingIOError:
            self.socket.settimeout(seconds)
        try:
            self.socket.recv(4096)
        except TimeoutError:
            return True
        return False


@pytest.fixture(params=["path", "abstract"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "notify") if request.param == "path" else f"@{tmp_path}/notify"


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    made = Systemd(str(tmp_path / "notify"))
    with made.socket:
        yield made


def test_a_status_has_no_lines_of_its_own(tmp_path: Path, address: str) -> None:
    systemd = Systemd(address)
    with systemd.socket:
        Notifier(systemd.environ).ready("well\nWATCHDOG=1")
        assert systemd.read() == {"READY": "1", "STATUS": "well WATCHDOG=1"}


@pytest.mark.parametrize("place", ["", "/nowhere", "vsock:2:1"])
def test_where_nobody_listens_nothing_happens(place: str) -> None:
    Notifier({"NOTIFY_SOCKET": place}).ready("well")


@pytest.mark.parametrize(
    ("environ", "watchdog"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "60000000"}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_when_the_watchdog_wants_to_hear_of_us(
    environ: dict[str, str], watchdog: float | None
) -> None:
    assert Notifier(environ).watchdog == watchdog


def test_the_watchdog_is_fed_until_the_engine_is_stuck(tmp_path: Path, systemd: Systemd) -> None:
    """The engine hangs in reading a file, as one does on a network disk that is gone."""
    keys = tmp_path / "keys"
    os.mkfifo(keys)
    config = CONFIG + '[trust]\nverp_key_file = "keys"\n[parse]\ntime_limit = 0.05\n'
    # The first to read the file gets it, at the check before the start. The engine does not.
    threading.Thread(target=keys.write_text, args=("0123456789abcdef" * 4,)).start()
    environ = systemd.environ | {"WATCHDOG_USEC": "500000"}
    with serving(tmp_path, config, environ=environ) as service:
        assert systemd.read()["READY"] == "1"
        assert systemd.read() == {"WATCHDOG": "1"}
        stuck = service.wait_for("service.stuck")
        assert [text.partition(":")[0] for text in stuck["reasons"]] == ["engine"]
        assert systemd.is_silent_for(0.6)
        service.send(hard())  # mail is taken in all the same
        service.process.send_signal(signal.SIGABRT)  # as systemd does in the end
        assert service.process.stderr
        end = service.process.stderr.read()
        assert service.process.wait(60) == -signal.SIGABRT
    assert re.search(r"in read_secret\n(.*\n)*.*chores\.py.* in _drain\n", end), end


def test_the_start_each_reload_and_the_stop_are_told(tmp_path: Path, systemd: Systemd) -> None:
    with serving(tmp_path, environ=systemd.environ) as service:
        ready = systemd.read()
        assert ready == {"READY": "1", "STATUS": f"Taking in mail on 127.0.0.1:{service.port}"}
        before = time.monotonic_ns() // 1000
        service.reload(CONFIG + 'level = "error"\n')
        told = systemd.read()
        assert told["RELOADING"] == "1"
        assert before <= int(told["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
        assert systemd.read() == ready
        service.send(hard())  # and the log is silent about it
        service.reload(CONFIG)
        assert systemd.read()["RELOADING"] == "1"
        assert systemd.read() == ready
        assert service.process.stderr
        after = json.loads(next(service.process.stderr))
        while after["event"] != "config.reloaded":
            assert after["event"] != "lmtp.accepted"
            after = json.loads(next(service.process.stderr))
        assert service.stop() == 0
        assert systemd.read()["STOPPING"] == "1"  # and there was no ping: nobody asked for them
