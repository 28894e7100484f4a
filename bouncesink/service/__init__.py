"""`serve`: intake, engine and outbox in one process.

LMTP lives in the event loop, which does nothing slow. The committer, the engine and the sheet each
have a thread and a ledger connection of their own, so that none waits for another; what one of
them cannot do now it tries again later, and mail is taken in meanwhile.
"""

import asyncio
import signal
from collections.abc import Callable

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
    path = config.ledger.path
    metrics = make_metrics(config)
    observers = metrics.observers if metrics else Observers()
    chores = prepare(config, observers)  # what cannot be used stops us here
    with claim(path):
        health, notifier = Health(), Notifier()
        crew = Crew(health, notifier.watchdog)
        committer = Committer(
            lambda: open_ledger(path),
            on_commit=lambda: crew.wake(ENGINE),
            observe=observers.committed,
        )
        pulse = Pulse(committer, health)
        server = LmtpServer(config, pulse.submit)
        policy = PolicyServer(config)
        web = make_web(config, server, health, metrics)
        reloader = Reloader(config, reread, server, crew, observers)
        tasks: list[asyncio.Task[None]] = []
        deadline = loop.time() + config.lmtp.shutdown_timeout
        try:
            await server.start()
            await policy.start()
            if web is not None:
                web.start()
            health.expect(LMTP, vital_limit(config, notifier.watchdog), vital=True)
            crew.start(chores, config)
            tasks += [
                asyncio.create_task(pulse.ask()),
                asyncio.create_task(feed(notifier, health)),
                asyncio.create_task(_at_each(again, reloader, notifier, server)),
            ]
            health.started()
            notifier.ready(_status(server))
            await stop.wait()
            log.info("service.stopping")
            health.stopping()
            notifier.stopping()
            patience = reloader.config.lmtp.shutdown_timeout
            deadline = loop.time() + patience
            tasks.pop().cancel()
            crew.stop()
            await server.stop(patience)
        finally:
            crew.stop()
            await policy.stop()
            if web is not None:
                await asyncio.to_thread(web.stop, max(1.0, deadline - loop.time()))
            # What is accepted is in the committer's hands: it gets a moment even when time is up.
            await committer.close(max(1.0, deadline - loop.time()))
            await crew.join(deadline)
            for task in tasks:
                task.cancel()
    log.info("service.stopped")


async def _at_each(
    again: asyncio.Event, reloader: Reloader, notifier: Notifier, server: LmtpServer
) -> None:
    while True:
        await again.wait()
        again.clear()
        notifier.reloading()
        await reloader.reload()
        notifier.ready(_status(server))


def _status(server: LmtpServer) -> str:
    return f"Taking in mail on {', '.join(server.names)}"
