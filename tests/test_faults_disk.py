"""A full disk, and a power cut: the WAL ends anywhere, and a checkpoint anywhere in the middle."""

import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from lmtp_support import RECIPIENT, sink
from mails import hard

from bouncesink.config import Config
from bouncesink.engine import Engine
from bouncesink.identity import arrival_id
from bouncesink.intake.committer import Committer
from bouncesink.ledger import Ledger, open_ledger
from bouncesink.ledger.sqlite import SqliteLedger
from bouncesink.model import Arrival
from bouncesink.reader import ReaderPool

HEADER = 32
FRAME = 24 + 4096
"""Octets of a WAL's header, and of a frame: https://sqlite.org/fileformat2.html#walformat."""

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
CONFIG = Config()


class SmallDisk:
    """Opens ledgers that may not grow while `full`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.full = False

    def open(self) -> Ledger:
        ledger = SqliteLedger(self._path)
        if self.full:
            ((pages,),) = ledger._db.all("PRAGMA page_count")
            ledger._db.all(f"PRAGMA max_page_count = {pages}")
        return ledger


async def test_a_full_disk_is_452_until_there_is_room(tmp_path: Path) -> None:
    large = b"Subject: large\r\n\r\n" + b"text\r\n" * 20_000
    async with sink(tmp_path) as it, it.peer() as peer:
        disk = SmallDisk(it.ledger)
        disk.full = True
        committer = Committer(disk.open)
        it.server.submit = committer.submit
        replies = await peer.deliver(large, (RECIPIENT, "bounces+2@example.org"))
        assert [reply[:10] for reply in replies] == ["452 4.3.1 "] * 2
        assert it.stored() == []
        disk.full = False
        assert (await peer.deliver(large))[0].startswith("250 2.0.0 ")
        assert [each.raw for each in it.stored()] == [large]
        await committer.close()


@dataclass
class History:
    """A ledger without a checkpoint since it was made, and what it held when its WAL was so long.

    `marks` are in order: octets of WAL, arrivals, events.
    """

    database: Path
    wal: bytes
    marks: list[tuple[int, int, int]]

    def committed(self, length: int) -> tuple[int, int]:
        """Give the arrivals and events of the last commit that is whole in so much of the WAL."""
        whole = [mark for mark in self.marks if mark[0] <= length]
        return whole[-1][1:] if whole else (0, 0)


def arrival(number: int) -> Arrival:
    raw = hard(number, number).encode()
    return Arrival(arrival_id(raw, ""), "lmtp", "", "", NOW, raw)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory, readers: ReaderPool) -> Iterator[History]:
    folder = tmp_path_factory.mktemp("history")
    path = folder / "x.db"
    wal = folder / "x.db-wal"
    marks = []
    open_ledger(path).close()
    with closing(open_ledger(path)) as ledger:

        def mark() -> None:
            totals = ledger.totals()
            marks.append((wal.stat().st_size, sum(totals.arrivals.values()), totals.events))

        for number in range(6):
            ledger.append([arrival(number)])
            mark()
            if number % 2:
                Engine(ledger, CONFIG).drain(readers)
                mark()
        shutil.copyfile(path, folder / "copy.db")
        yield History(folder / "copy.db", wal.read_bytes(), marks)


def after_a_power_cut(folder: Path, database: bytes, wal: bytes) -> tuple[int, int]:
    """Open what was left; give its arrivals and events, after checking that they fit together."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "x.db").write_bytes(database)
    (folder / "x.db-wal").write_bytes(wal)
    with closing(open_ledger(folder / "x.db")) as ledger:
        arrivals = [each for batch in ledger.all_arrivals(100) for each in batch]
        assert arrivals == [arrival(number) for number in range(len(arrivals))]
        events = list(ledger.all_events())
        contacts = [contact for batch in ledger.all_contacts(10) for contact in batch]
        engine = Engine(ledger, CONFIG)
        assert contacts == ([engine.fold(contacts[0].address, events)] if events else [])
    with closing(sqlite3.connect(folder / "x.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    return len(arrivals), len(events)


def cuts(history: History) -> list[int]:
    """Choose where the WAL ends: around each commit, and anywhere; frames that commit nothing too."""
    length = len(history.wal)
    around = {
        at + more
        for at, *_ in history.marks
        for more in (-FRAME, -1, 0, 1, 23, 24, 25, FRAME - 1, FRAME, FRAME + 1)
    }
    frames = set(range(HEADER, length, FRAME * 5))
    anywhere = set(random.Random(7).sample(range(length), 20))
    return sorted(at for at in around | frames | anywhere | {0, HEADER, length} if at <= length)


def test_a_wal_that_is_cut_anywhere_is_a_prefix_of_what_was_committed(
    history: History, tmp_path: Path
) -> None:
    database = history.database.read_bytes()
    assert history.committed(len(history.wal)) == (6, 6)
    for cut in cuts(history):
        found = after_a_power_cut(tmp_path / "x", database, history.wal[:cut])
        assert found == history.committed(cut), cut


def test_a_power_cut_while_a_ledger_is_made(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with closing(open_ledger(path)):
        database, wal = path.read_bytes(), (tmp_path / "x.db-wal").read_bytes()
        for cut in (0, HEADER, HEADER + FRAME, len(wal) // 2, len(wal) - 1, len(wal)):
            assert after_a_power_cut(tmp_path / "y", database, wal[:cut]) == (0, 0)


def test_a_wal_whose_end_is_garbage_is_a_prefix_of_what_was_committed(
    history: History, tmp_path: Path
) -> None:
    """The file had its length already, and the last blocks never came to the disk."""
    database, length = history.database.read_bytes(), len(history.wal)
    noise = random.Random(7)
    for cut in noise.sample(range(HEADER, length), 15):
        for end in (bytes(length - cut), noise.randbytes(length - cut)):
            found = after_a_power_cut(tmp_path / "x", database, history.wal[:cut] + end)
            assert found == history.committed(cut), cut


def test_a_checkpoint_that_was_cut_off_loses_nothing(history: History, tmp_path: Path) -> None:
    """The pages come to the database in any order; the WAL is whole until all have."""
    before = history.database.read_bytes()
    shutil.copyfile(history.database, tmp_path / "y.db")
    (tmp_path / "y.db-wal").write_bytes(history.wal)
    with closing(sqlite3.connect(tmp_path / "y.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    after = (tmp_path / "y.db").read_bytes()
    pages = range(0, len(after), 4096)
    chance = random.Random(7)
    for _ in range(30):
        mixed = bytearray(before.ljust(len(after), b"\0"))
        for at in chance.sample(pages, chance.randrange(len(pages))):
            # A page may be half written, too.
            end = at + chance.choice((512, 4096))
            mixed[at:end] = after[at:end]
        assert after_a_power_cut(tmp_path / "x", bytes(mixed), history.wal) == (6, 6)
