"""`bouncesink serve` as a process: mail in at one end, the sheet at the other."""

import json
import os
import signal
import smtplib
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mails import hard

from bouncesink.ledger import ArrivalState, open_ledger

CONFIG = """\
[ledger]
path = "x.db"
[lmtp]
listen = "127.0.0.1:0"
recipients = ["bounces@example.com"]
[sheet]
flush_every = 0.2
[log]
format = "json"
"""


@dataclass
class Service:
    process: subprocess.Popen[str]
    folder: Path
    port: int = 0

    def wait_for(self, event: str, **wanted: Any) -> dict[str, Any]:
        """Read the log up to an event; the test's own time-out is the bound."""
        assert self.process.stderr
        for line in self.process.stderr:
            entry: dict[str, Any] = json.loads(line)
            if entry["event"] == event and wanted.items() <= entry.items():
                return entry
        raise AssertionError(f"the service ended without {event}")

    def reload(self, config: str) -> None:
        """Put another config in place, and have it read."""
        (self.folder / "c.toml").write_text(config)
        self.process.send_signal(signal.SIGHUP)

    def send(self, mail: str) -> None:
        with smtplib.LMTP("127.0.0.1", self.port) as client:
            client.sendmail("", ["bounces@example.com"], mail)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=60)
        return self.process.returncode


@contextmanager
def serving(
    folder: Path,
    config: str = CONFIG,
    *,
    environ: Mapping[str, str] = os.environ,
    launcher: Sequence[str] = (),
    pass_fds: Sequence[int] = (),
) -> Iterator[Service]:
    (folder / "c.toml").write_text(config)
    process = subprocess.Popen(
        [*launcher, sys.executable, "-m", "bouncesink", "serve", "--config", "c.toml"],
        cwd=folder,
        pass_fds=pass_fds,
        stderr=subprocess.PIPE,
        text=True,
        env={**environ, "PYTHONWARNINGS": "error::ResourceWarning"},
    )
    service = Service(process, folder)
    try:
        service.port = int(service.wait_for("lmtp.listening")["on"].rpartition(":")[2])
        yield service
    finally:
        process.kill()
        process.wait()
        assert process.stderr
        process.stderr.close()


def test_a_bounce_goes_all_the_way_to_the_sheet(tmp_path: Path) -> None:
    (tmp_path / "lead_details.csv").write_text("LEAD ID,EMAIL\n1,lead@example.org\n")
    with serving(tmp_path) as service:
        service.send(hard())
        service.wait_for("arrival.read", kind="failure", events=1)
        service.wait_for("sheet.flushed")
        assert service.stop() == 0
    assert ",2026-03-02,HARD,1,FALSE," in (tmp_path / "lead_details.csv").read_text()


def test_status_tells_of_a_sheet_in_trouble_until_it_is_well(tmp_path: Path) -> None:
    sheet = tmp_path / "lead_details.csv"
    sheet.write_text("LEAD ID,NAME\n1,x\n")

    def troubles() -> list[str]:
        with closing(open_ledger(tmp_path / "x.db", read_only=True)) as ledger:
            return [f"{each.part}: {each.text}" for each in ledger.troubles()]

    with serving(tmp_path) as service:
        service.wait_for("chore.failed", chore="sheet")
        service.wait_for("chore.failed", chore="sheet")
        (told,) = troubles()
        assert told.startswith("sheet: ")
        assert "no column is called 'EMAIL'" in told
        service.send(hard())
        sheet.write_text("LEAD ID,EMAIL\n1,lead@example.org\n")
        service.wait_for("sheet.flushed")
        assert service.stop() == 0
    assert troubles() == []


def test_a_second_start_takes_up_where_the_first_was_killed(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        service.send(hard(1, 1))
        service.process.kill()
    with serving(tmp_path) as service:
        service.send(hard(2, 2))
        service.wait_for("arrival.read", events=1)
        assert service.stop() == 0
    with serving(tmp_path) as service:
        assert service.stop() == 0
    with closing(open_ledger(tmp_path / "x.db", read_only=True)) as ledger:
        totals = ledger.totals()
        assert sum(totals.arrivals.values()) == 2
        done = totals.arrivals.get(ArrivalState.DONE, 0)
        assert totals.events == done


def test_replay_beside_the_service(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        service.send(hard(1, 1))
        mails = []
        for number in range(2, 12):
            mails.append(f"{number}.eml")
            (tmp_path / mails[-1]).write_text(hard(number, number))
        command = [sys.executable, "-m", "bouncesink", "replay", "--config", "c.toml", *mails]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert service.stop() == 0
    with closing(open_ledger(tmp_path / "x.db")) as ledger:
        assert sum(ledger.totals().arrivals.values()) == 11


def test_a_second_service_of_one_ledger_is_refused(tmp_path: Path) -> None:
    (tmp_path / "also.db").symlink_to("x.db")
    command = [sys.executable, "-m", "bouncesink", "serve", "--config", "c.toml"]
    command += ["--ledger", "also.db"]
    with serving(tmp_path) as service:
        second = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert second.returncode == 3
        (line,) = second.stderr.splitlines()
        assert f"serves this ledger already, as process {service.process.pid}." in line
        service.send(hard())
        service.wait_for("arrival.read", events=1)
        assert service.stop() == 0


def test_a_port_in_use_is_one_clear_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (tmp_path / "c.toml").write_text(CONFIG.replace(":0", f":{port}"))
        command = [sys.executable, "-m", "bouncesink", "serve", "--config", "c.toml"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert f"127.0.0.1:{port}" in line
    assert "in use" in line


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b""])
def test_a_ledger_that_cannot_be_used_stops_the_start(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.db").write_bytes(content)
    if not content:
        (tmp_path / "x.db").unlink()
        (tmp_path / "x.db").mkdir()
    (tmp_path / "c.toml").write_text(CONFIG)
    command = [sys.executable, "-m", "bouncesink", "serve", "--config", "c.toml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "x.db" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_log_that_nobody_reads_any_more_stops_nothing(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        assert service.process.stderr
        service.process.stderr.close()
        for number in range(1, 4):
            service.send(hard(number, number))
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(60) == 0
    with closing(open_ledger(tmp_path / "x.db")) as ledger:
        assert sum(ledger.totals().arrivals.values()) == 3
