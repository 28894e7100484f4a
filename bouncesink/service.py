"""`serve`: intake, engine and outbox in one process.

LMTP lives in the event loop, which does nothing slow. The committer, the engine and the sheet each
have a thread and a ledger connection of their own, so that none waits for another; what one of
them cannot do now it tries again later, and mail is taken in meanwhile.
"""

import asyncio
import signal
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import structlog

from bouncesink.classify import load_rules
from bouncesink.config import Config
from bouncesink.engine import Engine, utcnow
from bouncesink.errors import BouncesinkError, LedgerError
from bouncesink.intake.committer import Committer
from bouncesink.intake.lmtp import LmtpServer
from bouncesink.ledger import ArrivalState, open_ledger
from bouncesink.outbox import FlushResult, Sheet, flush, open_sheet
from bouncesink.outbox.sinks import only_shows, open_sinks
from bouncesink.outbox.worker import QueueSink, Worker
from bouncesink.reader import ReaderPool

MAX_PAUSE = 30.0
"""Seconds after which a failed drain or flush is tried again, at the most."""

POLL = 5.0
"""Seconds after which the engine looks for arrivals that another process appended."""

log = structlog.get_logger(__name__)


class Chore:
    """A thread that does one thing, whenever it is woken and every so many seconds."""

    def __init__(
        self, name: str, every: float, step: Callable[["Chore"], None], ledger: Path
    ) -> None:
        self._name = name
        self._every = every
        self._step = step
        self._ledger = ledger
        self._trouble: str | None = None
        self._woken = threading.Event()
        self.stopping = threading.Event()
        # A daemon: what it does can be cut off at exit, and is done again at the next start.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        self._woken.set()

    def goes_on(self) -> bool:
        """Whether to do more; whoever wakes it from now on is not missed."""
        self._woken.clear()
        return not self.stopping.is_set()

    def rest(self) -> None:
        """Wait until there may be something to do, or until it is time to stop."""
        if not self.stopping.is_set():
            self._woken.wait(self._every)

    def stop(self) -> None:
        self.stopping.set()
        self._woken.set()

    def join(self, patience: float) -> None:
        """Wait for the end of what it is doing, `patience` seconds at the most."""
        if self._thread.is_alive():
            self._thread.join(patience)

    def trouble(self, text: str) -> None:
        """Have `status` show what goes wrong here, or with "" that nothing does any more."""
        if text == self._trouble:
            return
        with suppress(LedgerError), closing(open_ledger(self._ledger)) as ledger:
            ledger.put_trouble(self._name, text, utcnow())
            self._trouble = text

    def _run(self) -> None:
        pause = 1.0
        while self.goes_on():
            try:
                self._step(self)
                pause = 1.0
                self.rest()
            except Exception as error:
                if self.stopping.is_set():
                    return
                log.error(  # noqa: TRY400 - with a traceback only where it tells something
                    "chore.failed",
                    chore=self._name,
                    error=str(error),
                    again_in=pause,
                    exc_info=not isinstance(error, BouncesinkError),
                )
                self.trouble(str(error) or repr(error))
                self.stopping.wait(pause)
                pause = min(pause * 2, MAX_PAUSE)


async def serve(config: Config) -> None:
    """Run until SIGTERM or SIGINT, then finish what is in flight within `shutdown_timeout`.

    Raises BouncesinkError if it cannot start.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    path = config.ledger.path
    with closing(open_ledger(path)) as ledger:  # a ledger that cannot be used stops us here
        Engine(ledger, config)  # and so does a key that cannot
        load_rules(config.classify.rules)  # and so do rules
        log.info(
            "ledger.open",
            path=str(path),
            pending=ledger.totals().arrivals.get(ArrivalState.PENDING, 0),
        )
    chores = _chores(config)
    committer = Committer(lambda: open_ledger(path), on_commit=chores["engine"].wake)
    server = LmtpServer(config, committer.submit)
    patience = config.lmtp.shutdown_timeout
    deadline = loop.time() + patience
    try:
        await server.start()
        for chore in chores.values():
            chore.start()
        await stop.wait()
        log.info("service.stopping")
        deadline = loop.time() + patience
        for chore in chores.values():
            chore.stop()
        await server.stop(patience)
    finally:
        # What is accepted is in the committer's hands: it gets a moment even when time is up.
        await committer.close(max(1.0, deadline - loop.time()))
        for chore in chores.values():
            await asyncio.to_thread(chore.join, max(0.0, deadline - loop.time()))
    log.info("service.stopped")


def _chores(config: Config) -> dict[str, Chore]:
    """Give every chore by its name; those that find something to be done wake the queues."""
    path = config.ledger.path
    queues = {
        sink.name: Chore(sink.name, POLL, partial(_work, config, sink), path)
        for sink in open_sinks(config, utcnow)
        if not only_shows(config, sink)
    }

    def on_actions() -> None:
        for queue in queues.values():
            queue.wake()

    flusher = _Flusher(config, on_actions)
    return {
        "engine": Chore("engine", POLL, partial(_drain, config, on_actions), path),
        "sheet": Chore("sheet", config.sheet.flush_every, flusher.step, path),
        **queues,
    }


def _drain(config: Config, on_actions: Callable[[], None], chore: Chore) -> None:
    """Drain whenever woken, until told to stop; the pool and the ledger stay open meanwhile."""
    with (
        ReaderPool(config.parse, config.classify.rules) as pool,
        closing(open_ledger(config.ledger.path)) as ledger,
    ):
        engine = Engine(ledger, config)
        while chore.goes_on():
            done = engine.drain_batch(pool)
            chore.trouble("")
            if done is None:
                chore.rest()
            elif done.actions:
                on_actions()


def _work(config: Config, sink: QueueSink, chore: Chore) -> None:
    """Work a queue whenever something in it is due; each has a thread, and holds up no other."""
    with closing(open_ledger(config.ledger.path)) as ledger:
        worker = Worker(ledger, sink, utcnow)
        while chore.goes_on():
            worked = worker.step()
            chore.trouble(str(worker.trouble or ""))
            if not worked:
                chore.rest()


class _Flusher:
    """Brings leads in from the sheet, and the five columns out to it."""

    def __init__(self, config: Config, on_actions: Callable[[], None]) -> None:
        self._config = config
        self._on_actions = on_actions
        self._sheet: Sheet | None = None
        self._last: FlushResult | None = None

    def step(self, chore: Chore) -> None:
        sheet = self._sheet = self._sheet or open_sheet(self._config)
        if sheet is None:
            return
        with closing(open_ledger(self._config.ledger.path)) as ledger:
            engine = Engine(ledger, self._config)
            last = self._last
            result = flush(sheet, ledger, self._config, redecide=engine.redecide, last=last)
        self._last = result
        if result.addresses:
            self._on_actions()
        if result.changes or result.repairs:
            log.info(
                "sheet.flushed",
                sheet=sheet.name,
                leads=result.leads,
                cells=result.cells,
                put_back=len(result.put_back),
                repairs=result.repairs,
            )
        chore.trouble("; ".join(result.problems))
        for problem in result.problems:
            if last is None or problem not in last.problems:
                log.warning("sheet.problem", sheet=sheet.name, problem=problem)
