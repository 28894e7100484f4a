"""The chore that keeps no more than `[retention]` says."""

from contextlib import closing
from dataclasses import asdict

import structlog

from bouncesink.config import Config
from bouncesink.engine import Engine
from bouncesink.engine.retention import Retention
from bouncesink.ledger import open_ledger
from bouncesink.reader import ReaderPool
from bouncesink.service.chore import Chore

MAINTENANCE = "maintenance"
EVERY = 3600.0
"""Seconds between two; the first comes as long after the start, which has enough to do."""

log = structlog.get_logger(__name__)


def maintenance_chores(config: Config) -> dict[str, Chore]:
    """Give the chore by its name, or none where a timer does it."""
    if not config.retention.in_service:
        return {}
    step = Maintenance(config).step
    return {MAINTENANCE: Chore(MAINTENANCE, EVERY, step, config.ledger.path)}


class Maintenance:
    """Carries out what `bouncesink maintain` does, but for the first time that it is asked to."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._is_due = False

    def step(self, chore: Chore) -> None:
        if not self._is_due:
            self._is_due = True
            return
        with (
            ReaderPool(self._config.parse, self._config.classify.rules) as pool,
            closing(open_ledger(self._config.ledger.path)) as ledger,
        ):
            engine = Engine(ledger, self._config, progress=chore.beat)
            done = Retention(
                engine, pool, advance=lambda _what, _more: chore.beat(), goes_on=chore.goes_on
            ).run()
        log.info("ledger.maintained", **asdict(done))
        chore.trouble("")
