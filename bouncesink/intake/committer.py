"""Group commit: many connections share one transaction and one fsync."""

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import perf_counter

import structlog

from bouncesink.errors import LedgerBusy, LedgerError, LedgerFull
from bouncesink.ledger import Ledger
from bouncesink.model import Arrival

log = structlog.get_logger()

MAX_WAITING = 64_000_000
"""Octets that may wait for the disk before `submit` holds its callers back."""

PATIENCE = 10.0
"""Seconds that a close waits for the disk, or for another process that holds the ledger."""

OVERHEAD = 1024
"""Octets that an arrival costs beside its content, roughly."""


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    arrivals: Sequence[Arrival]
    done: asyncio.Future[None]
    size: int


class Committer:
    """One thread with a ledger of its own. Everything that comes while it commits goes next.

    Belongs to the event loop in which it was made. `on_commit` is called in that loop after each
    commit; `observe` in the thread, with the arrivals of a commit, the seconds it took, and whether
    it worked.
    """

    def __init__(
        self,
        open_ledger: Callable[[], Ledger],
        *,
        on_commit: Callable[[], None] | None = None,
        observe: Callable[[int, float, bool], None] = lambda *_: None,
        max_waiting: int = MAX_WAITING,
    ) -> None:
        self._open_ledger = open_ledger
        self._on_commit = on_commit
        self._observe = observe
        self._max_waiting = max_waiting
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._waiting = 0
        self._room: deque[asyncio.Future[None]] = deque()
        self._stopped = self._loop.create_future()
        self._closing = False
        self._ledger: Ledger | None = None
        self._thread = threading.Thread(target=self._run, name="committer", daemon=True)
        self._thread.start()

    async def submit(self, arrivals: Sequence[Arrival]) -> None:
        """Return when these are committed with fsync. Raises LedgerError if they are not.

        A caller that is cancelled costs nothing: what was handed over is committed all the same.
        """
        size = sum(len(each.raw) + OVERHEAD for each in arrivals)
        await self._wait_for_room(size)
        if self._closing:
            raise LedgerError("the ledger is being closed")
        job = _Job(arrivals, self._loop.create_future(), size)
        self._waiting += size
        self._jobs.put(job)
        await job.done

    async def close(self, patience: float = PATIENCE) -> None:
        """Commit what was submitted, then end the thread and close its ledger.

        After `patience` seconds the thread is left to itself; it does not outlive the process.
        """
        if not self._closing:
            self._closing = True
            self._let_in()
            self._jobs.put(None)
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._stopped), patience)

    async def _wait_for_room(self, size: int) -> None:
        while self._waiting and self._waiting + size > self._max_waiting and not self._closing:
            turn = self._loop.create_future()
            self._room.append(turn)
            try:
                await turn
            finally:
                if turn in self._room:
                    self._room.remove(turn)

    def _let_in(self) -> None:
        for turn in self._room:
            if not turn.done():
                turn.set_result(None)
        self._room.clear()

    def _settle(self, outcomes: Sequence[tuple[_Job, LedgerError | None]]) -> None:
        """Tell the callers; in the event loop, once for a whole commit."""
        committed = False
        for job, error in outcomes:
            self._waiting -= job.size
            committed = committed or error is None
            if job.done.done():
                continue
            if error is None:
                job.done.set_result(None)
            else:
                job.done.set_exception(error)
        self._let_in()
        if committed and self._on_commit is not None:
            self._on_commit()

    # What follows runs in the thread.

    def _run(self) -> None:
        more = True
        while more:
            group = [self._jobs.get()]
            try:
                while True:
                    group.append(self._jobs.get_nowait())
            except queue.Empty:
                pass
            jobs = [job for job in group if job is not None]
            more = len(jobs) == len(group)
            if jobs:
                self._tell(self._settle, self._commit(jobs))
        self._discard_ledger()
        self._tell(self._stopped.set_result, None)

    def _tell(self, callback: Callable[..., object], value: object) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, value)
        except RuntimeError:
            # The loop is closed: nobody is left to be told.
            log.debug("committer.loop_closed")

    def _commit(self, jobs: Sequence[_Job]) -> list[tuple[_Job, LedgerError | None]]:
        began = perf_counter()
        arrivals = [arrival for job in jobs for arrival in job.arrivals]
        error = self._append(arrivals)
        self._observe(len(arrivals), perf_counter() - began, error is None)
        if error is None or len(jobs) == 1 or isinstance(error, LedgerBusy | LedgerFull):
            return [(job, error) for job in jobs]
        # Perhaps only one of them is at fault: the others need not suffer for it.
        return [(job, self._append(job.arrivals)) for job in jobs]

    def _append(self, arrivals: Sequence[Arrival]) -> LedgerError | None:
        try:
            if self._ledger is None:
                self._ledger = self._open_ledger()
            self._ledger.append(arrivals)
        except LedgerBusy as error:
            return error
        except LedgerError as error:
            self._discard_ledger()
            return error
        except Exception as error:
            self._discard_ledger()
            log.exception("committer.failed")
            return LedgerError(f"the ledger failed: {error!r}")
        return None

    def _discard_ledger(self) -> None:
        """Close the connection; the next commit opens a new one."""
        ledger, self._ledger = self._ledger, None
        if ledger is not None:
            try:
                ledger.close()
            except LedgerError as error:
                log.warning("committer.close_failed", error=str(error))
