"""The ledger for those who answer requests: a Ledger belongs to its thread, so each has its own."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from bouncesink.errors import LedgerError
from bouncesink.ledger import Ledger

THREADS = 3
"""Pages that read at the same time; the others wait for their turn."""

T = TypeVar("T")


class _Kept:
    """A ledger that is opened when it is first wanted, and again after trouble with it."""

    def __init__(self, open_: Callable[[], Ledger]) -> None:
        self._open = open_
        self._ledger: Ledger | None = None

    @property
    def ledger(self) -> Ledger:
        if self._ledger is None:
            self._ledger = self._open()
        return self._ledger

    def run(self, work: Callable[[Ledger], T]) -> T:
        try:
            return work(self.ledger)
        except LedgerError:
            self.close()  # the next one begins with a new connection
            raise

    def close(self) -> None:
        ledger, self._ledger = self._ledger, None
        if ledger is not None:
            ledger.close()


class _Reader(_Kept):
    """One with a thread to itself."""

    def __init__(self, open_: Callable[[], Ledger], number: int) -> None:
        super().__init__(open_)
        self.thread = ThreadPoolExecutor(1, f"web-reader-{number}")


class Ledgers:
    """Belongs to the event loop in which it is first used; `open_` opens one for reading only."""

    def __init__(self, open_: Callable[[], Ledger], threads: int = THREADS) -> None:
        self._readers = [_Reader(open_, number) for number in range(threads)]
        self._free: asyncio.LifoQueue[_Reader] = asyncio.LifoQueue()
        for reader in self._readers:
            self._free.put_nowait(reader)
        self._quick = _Kept(open_)

    @property
    def quick(self) -> Ledger:
        """The loop's own: what is read here holds up every other request."""
        return self._quick.ledger

    def quickly(self, work: Callable[[Ledger], T]) -> T:
        """Do `work` in the loop itself: a thread would take longer than the ledger."""
        return self._quick.run(work)

    async def read(self, work: Callable[[Ledger], T]) -> T:
        """Do `work` in a thread of the pool and give its result. Raises what it raises."""
        loop = asyncio.get_running_loop()
        reader = await self._free.get()

        def give_back(_: "Future[T]") -> None:
            loop.call_soon_threadsafe(self._free.put_nowait, reader)

        done = reader.thread.submit(reader.run, work)
        # By the thread, not here: whoever asked may have gone while it still works.
        done.add_done_callback(give_back)
        return await asyncio.wrap_future(done)

    async def close(self) -> None:
        self._quick.close()
        for reader in self._readers:
            await asyncio.wrap_future(reader.thread.submit(reader.close))
            reader.thread.shutdown(wait=False)
