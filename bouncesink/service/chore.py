"""A thread of the service that does one thing again and again, and does not give up."""

import threading
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import structlog

from bouncesink.engine import utcnow
from bouncesink.errors import BouncesinkError, LedgerError
from bouncesink.ledger import open_ledger
from bouncesink.service.health import Health

MAX_PAUSE = 30.0
"""Seconds after which a failed drain or flush is tried again, at the most."""

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
        self._health = Health()
        self._woken = threading.Event()
        self.stopping = threading.Event()
        # A daemon: what it does can be cut off at exit, and is done again at the next start.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self, health: Health) -> None:
        """Begin; how it goes is told to `health`, where it is expected under its name."""
        self._health = health
        self._thread.start()

    @property
    def health(self) -> Health:
        return self._health

    def wake(self) -> None:
        self._woken.set()

    def goes_on(self) -> bool:
        """Whether to do more; whoever wakes it from now on is not missed."""
        self._woken.clear()
        self.beat()
        return not self.stopping.is_set()

    def beat(self) -> None:
        """Say that the work goes on: a step that takes long does so at each thing it has done."""
        self._health.beat(self._name)

    def rest(self) -> None:
        """Wait until there may be something to do, or until it is time to stop."""
        if not self.stopping.is_set():
            self._health.beat(self._name, rests=self._every)
            self._woken.wait(self._every)
            self.beat()

    def stop(self) -> None:
        self.stopping.set()
        self._woken.set()

    def join(self, patience: float) -> bool:
        """Wait for the end of what it is doing, `patience` seconds at the most; whether it came."""
        if self._thread.is_alive():
            self._thread.join(patience)
        return not self._thread.is_alive()

    def trouble(self, text: str) -> None:
        """Have `status` show what goes wrong here, or with "" that nothing does any more."""
        self._health.trouble(self._name, text)
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
                self._health.beat(self._name, rests=pause)
                self.stopping.wait(pause)
                pause = min(pause * 2, MAX_PAUSE)
