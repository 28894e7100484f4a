"""`bouncesink serve` with a config file, until the test is over."""

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from private_postfix import wait_until


class Serving:
    """The service and its ledger, which lies beside the config as `ledger.db`."""

    def __init__(self, config: Path) -> None:
        self.config = config
        self._log = config.with_name("serve.log")

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def ask(self, sql: str) -> list[tuple[object, ...]]:
        path = self.config.with_name("ledger.db")
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            return connection.execute(sql).fetchall()

    def drained(self) -> bool:
        return self.ask("SELECT count(*) FROM arrivals WHERE state = 'pending'") == [(0,)]


@contextmanager
def serving(config: Path) -> Iterator[Serving]:
    """Run it from the first listener's start; at the end it must stop in good order."""
    service = Serving(config)
    command = [sys.executable, "-m", "bouncesink", "serve", "--config", str(config)]
    with service._log.open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_until(
            lambda: '"lmtp.listening"' in service.log() or process.poll() is not None,
            30,
            "serve does not listen",
        )
        assert process.poll() is None, service.log()
        yield service
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0, service.log()[-2000:]
    finally:
        process.kill()
        process.wait()
        print(service.log()[-5000:])  # pytest shows it if the test fails
