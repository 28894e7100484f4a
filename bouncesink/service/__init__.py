"""`serve`: intake, engine and outbox in one process.

LMTP lives in the event loop, which does nothing slow. The committer, the engine and the sheet each
have a thread and a ledger connection of their own, so that none waits for another; what one of
them cannot do now it tries again later, and mail is taken in meanwhile.
"""

import asyncio
import signal
from contextlib import closing

import structlog

from bouncesink.classify import load_rules
from bouncesink.config import Config
from bouncesink.engine import Engine
from bouncesink.intake.committer import Committer
from bouncesink.intake.lmtp import LmtpServer
from bouncesink.ledger import ArrivalState, open_ledger
from bouncesink.service.chores import chores as make_chores

log = structlog.get_logger(__name__)


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
    chores = make_chores(config)
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
