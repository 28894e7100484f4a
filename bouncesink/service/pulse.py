"""Whether mail is taken in: asked again and again, and told to the watchdog."""

import asyncio
from collections.abc import Sequence

import structlog

from bouncesink.errors import LedgerError
from bouncesink.intake.committer import Committer
from bouncesink.model import Arrival
from bouncesink.service.health import Health
from bouncesink.service.notify import Notifier

LMTP = "lmtp"

EVERY = 5.0
"""Seconds between two questions to the committer."""

log = structlog.get_logger(__name__)


class Pulse:
    """Speaks for LMTP: its event loop turns, as this runs in it, and the committer answers.

    `submit` is the committer's, and what goes wrong there is known from then on.
    """

    def __init__(self, committer: Committer, health: Health) -> None:
        self._committer = committer
        self._health = health
        self._refused = False

    async def submit(self, arrivals: Sequence[Arrival]) -> None:
        try:
            await self._committer.submit(arrivals)
        except LedgerError as error:
            self._refused = True
            self._health.trouble(LMTP, str(error))
            raise
        self._health.trouble(LMTP, "")

    async def ask(self, every: float = EVERY) -> None:
        """Have the committer commit nothing, again and again: for that it takes the writer's lock.

        A full disk does not show in that, so what befell real mail is forgotten only when none was
        refused between two answers.
        """
        while True:
            try:
                await self._committer.submit(())
            except LedgerError as error:
                self._health.trouble(LMTP, str(error))
            else:
                if not self._refused:
                    self._health.trouble(LMTP, "")
                self._refused = False
            self._health.beat(LMTP, rests=every)
            await asyncio.sleep(every)


async def feed(notifier: Notifier, health: Health) -> None:
    """Feed systemd's watchdog as long as no vital part is stuck, and say once which is."""
    if notifier.watchdog is None:
        return
    was_alive = True
    while True:
        alive = health.alive()
        if alive:
            notifier.feed()
        if was_alive and not alive:
            log.error("service.stuck", reasons=health.why_not_ready())
        was_alive = alive
        await asyncio.sleep(notifier.watchdog / 2)
