"""What the service does beside taking mail in: the engine, the sheet and the queues."""

from collections.abc import Callable
from contextlib import closing
from functools import partial
from time import monotonic

import structlog

from bouncesink.config import Config
from bouncesink.engine import Engine, utcnow
from bouncesink.engine.stand_watch import stand_watch
from bouncesink.ledger import SHEET, open_ledger
from bouncesink.outbox import FlushResult, Sheet, flush, open_sheet, suppression
from bouncesink.outbox.sinks import only_shows, open_sinks
from bouncesink.outbox.worker import QueueSink, Worker
from bouncesink.reader import ReaderPool
from bouncesink.service.chore import Chore
from bouncesink.service.maintenance import maintenance_chores
from bouncesink.service.mining import mining_chores
from bouncesink.service.monitor import EVERY, MONITOR, Monitor
from bouncesink.service.observers import Observers

WATCH = 60.0
"""Seconds between two looks at the rates where the sheet is not flushed by the service."""

POLL = 5.0
"""Seconds after which the engine looks for arrivals that another process appended."""

log = structlog.get_logger(__name__)


def chores(config: Config, observers: Observers) -> dict[str, Chore]:
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

    made = {
        "engine": Chore("engine", POLL, partial(_drain, config, on_actions, observers), path),
        **queues,
    }
    made[MONITOR] = Chore(MONITOR, EVERY, Monitor(config, on_actions).step, path)
    if every := config.sheet.flush_every:
        made["sheet"] = Chore("sheet", every, _Flusher(config, on_actions, observers).step, path)
    often = config.sheet.flush_every or WATCH
    made["watch"] = Chore("watch", often, partial(_watch, config, on_actions), path)
    if config.gate.export is not None:
        made["export"] = Chore("export", config.gate.export_every, partial(_export, config), path)
    return made | maintenance_chores(config) | mining_chores(config, made["engine"].wake)


def _drain(
    config: Config, on_actions: Callable[[], None], observers: Observers, chore: Chore
) -> None:
    """Drain whenever woken, until told to stop; the pool and the ledger stay open meanwhile."""
    with (
        ReaderPool(config.parse, config.classify.rules) as pool,
        closing(open_ledger(config.ledger.path)) as ledger,
    ):
        engine = Engine(ledger, config, progress=chore.beat)
        while chore.goes_on():
            done = engine.drain_batch(pool, observers.read)
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


def _watch(config: Config, on_actions: Callable[[], None], chore: Chore) -> None:
    """Look at the rates of hard bounces, and at blocks."""
    with closing(open_ledger(config.ledger.path)) as ledger:
        if stand_watch(ledger, config, utcnow()):
            on_actions()
    chore.trouble("")


def _export(config: Config, chore: Chore) -> None:
    """Bring the file with the suppression list up to date."""
    assert config.gate.export is not None
    with closing(open_ledger(config.ledger.path, read_only=True)) as ledger:
        if suppression.write(ledger, config.gate.export, chore.beat):
            log.info("export.written", file=str(config.gate.export))
    chore.trouble("")


class _Flusher:
    """Brings leads in from the sheet, and the five columns out to it."""

    def __init__(
        self, config: Config, on_actions: Callable[[], None], observers: Observers
    ) -> None:
        self._config = config
        self._on_actions = on_actions
        self._observers = observers
        self._sheet: Sheet | None = None
        self._last: FlushResult | None = None

    def step(self, chore: Chore) -> None:
        sheet = self._sheet = self._sheet or open_sheet(self._config)
        if sheet is None:
            return
        last, began = self._last, monotonic()
        try:
            result = self._last = self._flush(sheet, chore)
        except Exception:
            self._observers.flushed(monotonic() - began, False)
            raise
        self._observers.flushed(monotonic() - began, True)
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

    def _flush(self, sheet: Sheet, chore: Chore) -> FlushResult:
        with closing(open_ledger(self._config.ledger.path)) as ledger:
            engine = Engine(ledger, self._config, progress=chore.beat)
            result = flush(sheet, ledger, self._config, redecide=engine.redecide, last=self._last)
            ledger.put_beat(SHEET, utcnow())
        return result
