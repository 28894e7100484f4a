"""Group commit: what is shared, what is bounded, and what becomes of errors."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bouncesink.errors import LedgerBusy, LedgerError
from bouncesink.identity import arrival_id
from bouncesink.intake.committer import OVERHEAD, Committer
from bouncesink.ledger import Ledger, open_ledger
from bouncesink.model import Arrival

RECIPIENT = "bounces@example.org"


def arrival(text: str, size: int = 0) -> Arrival:
    raw = text.encode().ljust(size, b".")
    received_at = datetime(2026, 11, 1, tzinfo=UTC)
    return Arrival(arrival_id(raw, RECIPIENT), "lmtp", "", RECIPIENT, received_at, raw)


class Watched:
    """A real ledger whose commits can be held back and counted."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.groups: list[list[str]] = []
        self.opened = 0
        self.entered = threading.Semaphore(0)
        self.gate = threading.Event()
        self.gate.set()
        self.bad: str | None = None

    def open(self) -> Ledger:
        self.opened += 1
        self._ledger = open_ledger(self.path, busy_timeout=0.05)
        return self  # type: ignore[return-value] # the committer needs no more than this of it

    def append(self, arrivals: Sequence[Arrival]) -> list[bool]:
        self.groups.append([each.raw.decode().rstrip(".") for each in arrivals])
        self.entered.release()
        assert self.gate.wait(60)
        if self.bad is not None and self.bad in self.groups[-1]:
            raise ValueError(self.bad)
        return self._ledger.append(arrivals)

    def close(self) -> None:
        self._ledger.close()

    async def begun(self) -> None:
        """Wait until a commit is going on."""
        assert await asyncio.to_thread(self.entered.acquire, timeout=60)

    def stored(self) -> list[str]:
        with closing(open_ledger(self.path)) as ledger:
            return [each.raw.decode().rstrip(".") for each in ledger.pending(10_000)]


@asynccontextmanager
async def committing(
    watched: Watched, max_waiting: int = 10**6, on_commit: Callable[[], None] | None = None
) -> AsyncIterator[Committer]:
    committer = Committer(watched.open, max_waiting=max_waiting, on_commit=on_commit)
    try:
        yield committer
    finally:
        watched.gate.set()
        await committer.close()


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path / "ledger.db")


async def test_what_returns_is_stored(watched: Watched) -> None:
    told = []
    async with committing(watched, on_commit=lambda: told.append(1)) as committer:
        await committer.submit([arrival("one"), arrival("two")])
        assert watched.stored() == ["one", "two"]
        assert told == [1]


async def test_all_that_comes_during_a_commit_goes_into_the_next(watched: Watched) -> None:
    told = []
    async with committing(watched, on_commit=lambda: told.append(1)) as committer:
        watched.gate.clear()
        waiting = [asyncio.create_task(committer.submit([arrival("first")]))]
        await watched.begun()
        waiting += [asyncio.create_task(committer.submit([arrival(str(n))])) for n in range(50)]
        await asyncio.sleep(0)
        watched.gate.set()
        await asyncio.gather(*waiting)
        assert watched.groups == [["first"], [str(n) for n in range(50)]]
        assert told == [1, 1]


async def test_a_caller_that_goes_away_costs_nothing(watched: Watched) -> None:
    async with committing(watched) as committer:
        watched.gate.clear()
        gone = asyncio.create_task(committer.submit([arrival("gone")]))
        await watched.begun()
        queued = asyncio.create_task(committer.submit([arrival("queued")]))
        stays = asyncio.create_task(committer.submit([arrival("stays")]))
        await asyncio.sleep(0)
        gone.cancel()
        queued.cancel()
        await asyncio.wait([gone, queued])
        watched.gate.set()
        await stays
        assert watched.stored() == ["gone", "queued", "stays"]


async def test_what_waits_is_bounded(watched: Watched) -> None:
    size = 10_000
    async with committing(watched, max_waiting=3 * (size + OVERHEAD)) as committer:
        watched.gate.clear()
        tasks = [asyncio.create_task(committer.submit([arrival(str(n), size)])) for n in range(20)]
        await watched.begun()
        assert committer._waiting <= 3 * (size + OVERHEAD)
        tasks[10].cancel()  # one that waits for room gives its turn to the next
        watched.gate.set()
        await asyncio.wait(tasks)
        assert max(map(len, watched.groups)) <= 3
        assert watched.stored() == [str(n) for n in range(20) if n != 10]
        assert committer._waiting == 0


async def test_one_larger_than_all_room_goes_alone(watched: Watched) -> None:
    async with committing(watched, max_waiting=100) as committer:
        texts = ["one", "two", "three"]
        await asyncio.gather(*(committer.submit([arrival(each, 1000)]) for each in texts))
        assert watched.groups == [[each] for each in texts]


async def test_only_the_one_at_fault_is_refused(watched: Watched) -> None:
    async with committing(watched) as committer:
        watched.gate.clear()
        watched.bad = "bad"
        tasks = [asyncio.create_task(committer.submit([arrival("first")]))]
        await watched.begun()
        tasks += [asyncio.create_task(committer.submit([arrival(x)])) for x in ("a", "bad", "b")]
        await asyncio.sleep(0)
        watched.gate.set()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(each) for each in outcomes] == [
            type(None),
            type(None),
            LedgerError,
            type(None),
        ]
        assert watched.stored() == ["first", "a", "b"]
        assert watched.opened == 3  # again after each failure
        await committer.submit([arrival("later")])


async def test_a_locked_ledger_refuses_the_group_and_is_tried_again(watched: Watched) -> None:
    async with committing(watched) as committer:
        await committer.submit([arrival("before")])
        with closing(sqlite3.connect(watched.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            tasks = [committer.submit([arrival(str(n))]) for n in range(10)]
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            assert {type(each) for each in outcomes} == {LedgerBusy}
            assert len(watched.groups) <= 3  # not one attempt for each
        await committer.submit([arrival("after")])
        assert watched.stored() == ["before", "after"]


async def test_closing_commits_what_was_handed_over(watched: Watched) -> None:
    committer = Committer(watched.open)
    tasks = [asyncio.create_task(committer.submit([arrival(str(n))])) for n in range(10)]
    await asyncio.sleep(0)
    await asyncio.gather(committer.close(), committer.close())
    await asyncio.gather(*tasks)
    assert len(watched.stored()) == 10
    with pytest.raises(LedgerError, match="closed"):
        await committer.submit([arrival("late")])
    await asyncio.to_thread(committer._thread.join, 10)
    assert not committer._thread.is_alive()


async def test_closing_does_not_wait_for_ever(watched: Watched) -> None:
    committer = Committer(watched.open)
    watched.gate.clear()
    task = asyncio.create_task(committer.submit([arrival("stuck")]))
    await watched.begun()
    await committer.close(0.05)
    assert not task.done()
    watched.gate.set()
    await committer.close()
    await task
