"""A real Postfix hands its bounces to `bouncesink serve`, whatever happens to the service.

Every mail is to somebody else whom the next hop does not know, so every bounce must end as one
event, one strike and one contact of its own: a lost one and one counted twice both show.
"""

import errno
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
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

    def end(self, number: signal.Signals) -> int:
        assert self._process is not None
        self._process.send_signal(number)
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
    finally:
        print(mta.left(), mta.log()[-5000:], service.log()[-5000:], sep="\n\n")  # if it fails
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


def test_none_is_lost_and_none_counts_twice_while_it_is_killed(tmp_path: Path) -> None:
    listen = f"127.0.0.1:{free_port()}"
    count, portions = 500, 20
    with serving(tmp_path, listen) as service, postfix(f"inet:{listen}") as mta:
        done = threading.Event()

        def send() -> None:
            for portion in range(portions):
                size = count // portions
                mta.mail(range(portion * size, (portion + 1) * size))
                # The mail is spread over the kills, or most would come between two of them.
                done.wait(0.4)
            done.set()

        sender = threading.Thread(target=send)
        sender.start()
        kills = lives_that_stored = before = 0
        try:
            while not done.is_set() or kills < 12:
                time.sleep(0.7)
                assert service.end(signal.SIGKILL) == -signal.SIGKILL
                kills += 1
                acknowledged = len(mta.acknowledged())
                lives_that_stored += acknowledged > before
                before = acknowledged
                service.start()
        finally:
            done.set()
            sender.join(60)
        assert lives_that_stored >= 3, "the kills have missed the traffic"
        check_that_each_counts_once(service, mta, count)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB; mounting it takes root."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], check=True)
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


def test_a_full_disk_loses_nothing(small_disk: Path, tmp_path: Path) -> None:
    listen = f"127.0.0.1:{free_port()}"
    count = 100
    ledger = small_disk / "ledger.db"
    with serving(tmp_path, listen, ledger) as service, postfix(f"inet:{listen}") as mta:
        mta.mail(range(10))
        wait_until(lambda: len(mta.acknowledged()) == 10, 30, "nothing came while there was room")
        wait_until(service.drained, 30, "not drained")
        filler = small_disk / "filler"
        fill(filler)
        mta.mail(range(10, count))
        wait_until(lambda: "451 4.3.0" in mta.log(), 30, "the disk never was full")
        filler.unlink()
        check_that_each_counts_once(service, mta, count)


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
