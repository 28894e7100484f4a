"""The chore that looks at how things stand once a minute, and tells who is to be told."""

from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta

import structlog

from bouncesink.config import Config
from bouncesink.engine import utcnow
from bouncesink.fold.alert import about_of
from bouncesink.ledger import SERVICE, Ledger, Trouble, open_ledger
from bouncesink.service.alerts import WEEKS, Snapshot, due
from bouncesink.service.chore import Chore

MONITOR = "monitor"

EVERY = 60.0
"""Seconds between two looks."""

_MOST = 1000
"""Arrivals of a span that are counted: more than that is a lot."""

log = structlog.get_logger(__name__)


class Monitor:
    """`on_actions` is called when there is something to tell."""

    def __init__(
        self,
        config: Config,
        on_actions: Callable[[], None],
        clock: Callable[[], datetime] = utcnow,
    ) -> None:
        self._config = config
        self._on_actions = on_actions
        self._clock = clock
        self._started_at = clock()

    def step(self, chore: Chore) -> None:
        now = self._clock()
        with closing(open_ledger(self._config.ledger.path)) as ledger:
            ledger.put_beat(SERVICE, now)
            if self._config.alerts.told:
                self._alert(ledger, chore, now)
        chore.trouble("")

    def _alert(self, ledger: Ledger, chore: Chore, now: datetime) -> None:
        stuck = [
            Trouble(part.name, part.text, part.since)
            for part in chore.health.parts()
            if not part.ok
        ]
        troubles = {trouble.part: trouble for trouble in (*stuck, *ledger.troubles())}
        span = timedelta(seconds=self._config.alerts.silence_after)
        ends = [now - timedelta(weeks=week) for week in range(1, WEEKS + 1)]
        seen = Snapshot(
            now,
            self._started_at,
            ledger.totals(),
            list(troubles.values()),
            [ledger.arrivals_between(end - span, end, _MOST) for end in ends],
        )
        with ledger.transaction():
            alerts = due(seen, self._config.alerts, ledger.standing_alerts())
            ledger.add_actions(alerts)
        for alert in alerts:
            log.warning("alert.raised", about=about_of(alert), subject=alert.payload["subject"])
        if alerts:
            self._on_actions()
