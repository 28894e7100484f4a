"""`serve`: intake, engine and outbox in one process.

LMTP lives in the event loop, which does nothing slow. The committer, the engine and the sheet each
have a thread and a ledger connection of their own, so that none waits for another; what one of
them cannot do now it tries again later, and mail is taken in meanwhile.
"""

import asyncio
import signal
from collections.abc import Callable
from functools import partial

import structlog

from bouncesink.config import Config
from bouncesink.intake.committer import Committer
from bouncesink.intake.lmtp import LmtpServer
from bouncesink.ledger import open_ledger
from bouncesink.service.claim import claim
from bouncesink.service.crew import ENGINE, Crew, vital_limit
from bouncesink.service.health import Health
from bouncesink.service.notify import Notifier
from bouncesink.service.observers import Observers
from bouncesink.service.policy import PolicyServer
from bouncesink.service.pulse import LMTP, Pulse, feed
from bouncesink.service.reload import Reloader, prepare
from bouncesink.service.website import adopt as adopt_by_web
from bouncesink.service.website import make_metrics, make_web

log = structlog.get_logger(__name__)


async def serve(config: Config, reread: Callable[[], Config]) -> None:
    """Run until SIGTERM or SIGINT, then finish what is in flight within `shutdown_timeout`.

    At SIGHUP `reread` gives the config to go on with. Raises BouncesinkError if it cannot start.
    """
    loop = asyncio.get_running_loop()
    stop, again = asyncio.Event(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, again.set)
    with claim(config.ledger.path):
        service = _Service(config, reread)
        try:
            await service.start(again)
            await stop.wait()
            log.info("service.stopping")
        finally:
            await service.stop()
    log.info("service.stopped")


class _Service:
    """The parts, and in which order they start and stop."""

    def __init__(self, config: Config, reread: Callable[[], Config]) -> None:
        path = config.ledger.path
        self._health, self._notifier = Health(), Notifier()
        metrics = make_metrics(config)
        observers = metrics.observers if metrics else Observers()
        self._chores = prepare(config, observers)  # what cannot be used stops us here
        self._crew = Crew(self._health, self._notifier.watchdog)
        self._committer = Committer(
            lambda: open_ledger(path),
            on_commit=lambda: self._crew.wake(ENGINE),
            observe=observers.committed,
        )
        self._pulse = Pulse(self._committer, self._health)
        self._lmtp = LmtpServer(config, self._pulse.submit)
        self._policy = PolicyServer(config)
        self._web = make_web(config, self._lmtp, self._health, metrics)
        adopt = (partial(adopt_by_web, self._web), self._lmtp.adopt, self._policy.adopt)
        self._reloader = Reloader(
            config, reread, lambda config: prepare(config, observers), adopt, self._crew
        )
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, again: asyncio.Event) -> None:
        """Start all, and reload at each `again`. Raises BouncesinkError."""
        config = self._reloader.config
        await self._lmtp.start()
        await self._policy.start()
        if self._web is not None:
            self._web.start()
        self._health.expect(LMTP, vital_limit(config, self._notifier.watchdog), vital=True)
        self._crew.start(self._chores, config)
        self._tasks = [
            asyncio.create_task(self._pulse.ask()),
            asyncio.create_task(feed(self._notifier, self._health)),
            asyncio.create_task(self._reload(again)),
        ]
        self._health.started()
        self._notifier.ready(self._status)

    async def stop(self) -> None:
        """Finish what is in flight, within `shutdown_timeout`; also after half a start."""
        loop = asyncio.get_running_loop()
        patience = self._reloader.config.lmtp.shutdown_timeout
        deadline = loop.time() + patience
        self._health.stopping()
        self._notifier.stopping()
        for task in self._tasks:
            task.cancel()
        self._crew.stop()
        await self._lmtp.stop(patience)
        await self._policy.stop()
        if self._web is not None:
            await asyncio.to_thread(self._web.stop, max(1.0, deadline - loop.time()))
        # What is accepted is in the committer's hands: it gets a moment even when time is up.
        await self._committer.close(max(1.0, deadline - loop.time()))
        await self._crew.join(deadline)

    async def _reload(self, again: asyncio.Event) -> None:
        while True:
            await again.wait()
            again.clear()
            self._notifier.reloading()
            await self._reloader.reload()
            self._notifier.ready(self._status)

    @property
    def _status(self) -> str:
        return f"Taking in mail on {', '.join(self._lmtp.names)}"
