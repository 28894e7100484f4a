"""A real Postfix hands its bounces to `bouncesink serve`, whatever happens to the service.

Every mail is to somebody else whom the next hop does not know, so every bounce must end as one
event, one strike and one contact of its own: a lost one and one counted twice both show.
"""

import errno
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from private_postfix import Postfix, free_port, lead, postfix, wait_until

pytestmark = pytest.mark.e2e


class Service:
    """`bouncesink serve` with a ledger in `folder`."""

    def __init__(self, folder: Path, listen: str, ledger: Path) -> None:
        self.ledger = ledger
        self._log = folder / "serve.log"
        self._config = folder / "bouncesink.toml"
        self._process: subprocess.Popen[bytes] | None = None
        self._config.write_text(
            f'[ledger]\npath = "{self.ledger}"\n'
            f'[lmtp]\nlisten = "{listen}"\nrecipients = ["bounces@example.test"]\n'
            'socket_mode = "0666"\n'
            f'[sheet]\npath = "{folder}/leads.csv"\n[log]\nformat = "json"\n'
        )

    def start(self) -> None:
        begun = self.listening()
        command = [sys.executable, "-m", "bouncesink", "serve", "--config", str(self._config)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_until(lambda: self.listening() > begun, 30, f"not listening: {self.log()[-2000:]}")

    def listening(self) -> int:
        """How often it has begun to listen."""
        return self.log().count('"lmtp.listening"')

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def end(self, number: signal.Signals) -> int:
        self.send(number)
        assert self._process is not None
        return self._process.wait(timeout=30)

    def log(self) -> str:
        return self._log.read_text() if self._log.exists() else ""

    def ask(self, sql: str) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(f"file:{self.ledger}?mode=ro", uri=True)) as connection:
            return connection.execute(sql).fetchall()

    def drained(self) -> bool:
        return self.ask("SELECT count(*) FROM arrivals WHERE state = 'pending'") == [(0,)]


@contextmanager
def serving(folder: Path, listen: str, ledger: Path | None = None) -> Iterator[Service]:
    service = Service(folder, listen, ledger or folder / "ledger.db")
    service.start()
    try:
        yield service
        assert service.end(signal.SIGTERM) == 0, service.log()[-2000:]
    finally:
        service.end(signal.SIGKILL)


def check_that_each_counts_once(service: Service, mta: Postfix, count: int) -> None:
    try:
        wait_until(lambda: len(set(mta.acknowledged())) >= count, 90, "not all were acknowledged")
        wait_until(lambda: not mta.left(), 60, "mail is left in the queue")
        wait_until(service.drained, 60, "arrivals are left")
    except AssertionError:
        print(mta.left(), mta.log()[-5000:], service.log()[-5000:], sep="\n\n")
        raise
    acknowledged = set(mta.acknowledged())
    stored = {str(each) for (each,) in service.ask("SELECT id FROM arrivals")}
    assert len(acknowledged) == count
    assert acknowledged == stored
    leads = sorted(lead(number) for number in range(count))
    assert service.ask("SELECT address FROM events ORDER BY address") == [(x,) for x in leads]
    contacts = "SELECT address, bounce_type, bounce_count, mailable FROM contacts ORDER BY address"
    assert service.ask(contacts) == [(each, "HARD", 1, 0) for each in leads]
    assert service.ask("SELECT DISTINCT envelope_from FROM arrivals") == [("",)]
    assert "status=bounced" not in "\n".join(
        line for line in mta.log().splitlines() if "postfix/lmtp" in line
    )


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own; mounting it takes root."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(path: Path) -> None:
    """Take all the room that there is."""
    with path.open("wb", buffering=0) as filler:
        room = True
        while room:
            try:
                filler.write(bytes(4096))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                room = False


STUCK = 20.0
"""Seconds without a mail after which the queue manager is to look again: what is "skipped, still
being delivered" stays in the active queue until qmgr(8) starts anew."""


class Storm:
    """Does the same harm again and again while bounces come in, and keeps the score."""

    def __init__(self, service: Service, mta: Postfix, filler: Path) -> None:
        self._service = service
        self._mta = mta
        self._filler = filler
        self._sent = 0
        self._turns = 0

    def rage(self, what: str, harm: Callable[[], None], count: int) -> None:
        """Send so many mails, and do harm until each is acknowledged, five times at the least."""
        first, self._sent = self._sent, self._sent + count
        before = self._score()
        sender = threading.Thread(target=self._send, args=(range(first, self._sent),))
        sender.start()
        times = harmed = 0
        moved = time.monotonic()
        deadline = moved + 180
        try:
            while len(set(self._mta.acknowledged())) < self._sent or times < 5:
                acknowledged = len(self._mta.acknowledged())
                assert time.monotonic() < deadline, self._mta.log()[-3000:]
                harm()
                times += 1
                if len(self._mta.acknowledged()) > acknowledged:
                    harmed += 1
                    moved = time.monotonic()
                elif time.monotonic() - moved > STUCK:
                    self._mta.reload()
                    moved = time.monotonic()
        finally:
            sender.join(60)
        check_that_each_counts_once(self._service, self._mta, self._sent)
        score = [now - then for now, then in zip(self._score(), before, strict=True)]
        print(f"{what:>16} {times:6} {count:6}" + "".join(f"{each:13}" for each in score))
        assert harmed >= 2, "the harm has missed the traffic"

    def total(self) -> None:
        score = "".join(f"{each:13}" for each in self._score())
        print(f"{'in all':>16} {'':6} {self._sent:6}{score}")

    def _send(self, numbers: range) -> None:
        """Spread over the time, or most would come between two harms."""
        size = max(5, len(numbers) // 40)
        for start in range(0, len(numbers), size):
            self._mta.mail(numbers[start : start + size])
            time.sleep(0.3)

    def _score(self) -> list[int]:
        """Acknowledged, stored, counted; in doubt, come again, and put off.

        In doubt is what Postfix had sent when the connection ended or its patience did. Come again
        is what was accepted twice, as far as the log tells: who is killed may not have logged it.
        """
        acknowledged = len(set(self._mta.acknowledged()))
        ((stored, counted),) = self._service.ask(
            "SELECT (SELECT count(*) FROM arrivals), (SELECT sum(bounce_count) FROM contacts)"
        )
        again = self._service.log().count('"lmtp.accepted"') - int(str(stored))
        log = self._mta.log()
        doubtful = log.count("message may be sent more than once")
        put_off = log.count("status=deferred")
        return [
            acknowledged,
            int(str(stored)),
            int(str(counted or 0)),
            doubtful,
            max(0, again),
            put_off,
        ]

    def _wait(self) -> None:
        """Wait half a second; two times of three only until the traffic flows."""
        self._turns += 1
        before = len(self._mta.acknowledged())
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            if self._turns % 3 and len(self._mta.acknowledged()) > before:
                return
            time.sleep(0.005)

    def kill(self) -> None:
        self._wait()
        assert self._service.end(signal.SIGKILL) == -signal.SIGKILL
        self._service.start()

    def terminate(self) -> None:
        time.sleep(0.5)
        assert self._service.end(signal.SIGTERM) == 0
        self._service.start()

    def stop(self) -> None:
        """For longer than Postfix waits for a reply: what is stored by then comes again."""
        self._wait()
        self._service.send(signal.SIGSTOP)
        time.sleep(PATIENCE + 0.5)
        self._service.send(signal.SIGCONT)

    def fill(self) -> None:
        time.sleep(0.3)
        fill(self._filler)
        # The WAL has room of its own from before; then there is none.
        time.sleep(2.0)
        self._filler.unlink()

    def lock(self) -> None:
        time.sleep(0.3)
        with closing(sqlite3.connect(self._service.ledger, isolation_level=None)) as other:
            other.execute("PRAGMA busy_timeout = 20000")
            other.execute("BEGIN IMMEDIATE")
            time.sleep(PATIENCE + 0.5)
            other.execute("ROLLBACK")


PATIENCE = 1.0
"""Seconds for which Postfix waits for the reply to a message, in place of ten minutes."""


def test_a_storm(small_disk: Path, tmp_path: Path) -> None:
    """The closing notes tell of 2,000: BOUNCESINK_STORM=2000 pytest -m e2e -s -k storm."""
    listen = f"127.0.0.1:{free_port()}"
    count = int(os.environ.get("BOUNCESINK_STORM", "300"))
    settings = f"lmtp_data_done_timeout = {PATIENCE:.0f}s\n"
    ledger = small_disk / "ledger.db"
    with (
        serving(tmp_path, listen, ledger) as service,
        postfix(f"inet:{listen}", settings=settings) as mta,
    ):
        storm = Storm(service, mta, small_disk / "filler")
        columns = ("acknowledged", "stored", "counted", "in doubt", "come again", "put off")
        print(f"\n{'':16} {'times':>6} {'mails':>6}" + "".join(f"{name:>13}" for name in columns))
        harms = {
            "kill -9": storm.kill,
            "SIGTERM": storm.terminate,
            "SIGSTOP, CONT": storm.stop,
            "full disk": storm.fill,
            "locked ledger": storm.lock,
        }
        for what, harm in harms.items():
            storm.rage(what, harm, count // len(harms))
        storm.total()
        assert "452 4.3.1" in mta.log(), "the disk never was full"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that Postfix's daemons, who are not root, may enter: pytest's own they may not."""
    with tempfile.TemporaryDirectory(prefix="sink-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def test_a_locked_ledger_loses_nothing(tmp_path: Path, open_folder: Path) -> None:
    path = open_folder / "lmtp.sock"
    count = 50
    with serving(tmp_path, f"unix:{path}") as service, postfix(f"unix:{path}") as mta:
        with closing(sqlite3.connect(service.ledger, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            mta.mail(range(count))
            wait_until(lambda: "451 4.3.0" in mta.log(), 60, "the lock never was in the way")
            assert mta.acknowledged() == []
            other.execute("ROLLBACK")
        check_that_each_counts_once(service, mta, count)
