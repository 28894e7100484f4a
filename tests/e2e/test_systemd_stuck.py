"""An engine that waits for a reader which has been stopped, and gets it back."""

import os
import signal
from pathlib import Path

import pytest
from mails import hard
from test_service import CONFIG, Service, serving
from test_service_notify import Systemd

pytestmark = pytest.mark.e2e


def reader_of(service: Service) -> int:
    threads = Path(f"/proc/{service.process.pid}/task").iterdir()
    (reader,) = " ".join((each / "children").read_text() for each in threads).split()
    return int(reader)


def test_the_watchdog_is_fed_again_when_the_engine_goes_on(tmp_path: Path) -> None:
    systemd = Systemd(str(tmp_path / "notify"))
    environ = systemd.environ | {"WATCHDOG_USEC": "1000000"}
    config = CONFIG + "[parse]\ntime_limit = 0.3\n"  # so that 3 seconds of silence are too many
    with systemd.socket, serving(tmp_path, config, environ=environ) as service:
        service.send(hard(1, 1))
        service.wait_for("arrival.read")
        reader = reader_of(service)
        os.kill(reader, signal.SIGSTOP)
        try:
            service.send(hard(2, 2))
            assert service.wait_for("service.stuck")["reasons"][0].startswith("engine: ")
            assert systemd.is_silent_for(1.2)
            service.send(hard(3, 3))  # taken in all the same
        finally:
            os.kill(reader, signal.SIGCONT)
        service.wait_for("arrival.read")
        service.wait_for("arrival.read")
        assert not systemd.is_silent_for(10)
        assert service.stop() == 0
