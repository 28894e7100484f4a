"""SIGHUP: the config is read again, and takes the place of the one in use while mail comes in.

One that is wrong is refused, and all goes on as before. The listening sockets and the ledger stay
as they are until the next start.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import replace

import structlog

from bouncesink import logs
from bouncesink.classify import load_rules
from bouncesink.config import Config
from bouncesink.engine import Engine, utcnow
from bouncesink.errors import BouncesinkError, LedgerError
from bouncesink.ledger import ArrivalState, open_ledger
from bouncesink.service.chore import Chore
from bouncesink.service.chores import chores as make_chores
from bouncesink.service.crew import Crew
from bouncesink.service.observers import Observers

PATIENCE = 60.0
"""Seconds that a reload waits for chores to end what they were at; then they end it meanwhile."""

FIXED = ("ledger.path", "lmtp.listen", "lmtp.socket_mode", "web.listen", "gate.postfix")
"""What only a start reads."""

log = structlog.get_logger(__name__)


def prepare(config: Config, observers: Observers) -> dict[str, Chore]:
    """Give the chores of a config, not started yet.

    Raises BouncesinkError for whatever in the config, or in the files that it names, would only
    show when it is too late.
    """
    path = config.ledger.path
    with closing(open_ledger(path)) as ledger:
        Engine(ledger, config)  # its keys
        load_rules(config.classify.rules)
        chores = make_chores(config, observers)
        for trouble in ledger.troubles():
            if trouble.part not in chores:  # nobody would ever say that it is over
                ledger.put_trouble(trouble.part, "", utcnow())
        pending = ledger.totals().arrivals.get(ArrivalState.PENDING, 0)
        log.info("ledger.open", path=str(path), pending=pending)
    return chores


class Reloader:
    """Holds the config in use. `reread` gives that of the file, or raises BouncesinkError.

    `prepare` makes the chores of a config. Those of `adopt` make it that of other parts; only the
    first of them may refuse it.
    """

    def __init__(
        self,
        config: Config,
        reread: Callable[[], Config],
        prepare: Callable[[Config], dict[str, Chore]],
        adopt: Sequence[Callable[[Config], None]],
        crew: Crew,
    ) -> None:
        self.config = config
        self._reread = reread
        self._prepare = prepare
        self._adopt = adopt
        self._crew = crew

    async def reload(self) -> None:
        """Read the config again and use it, or say why not. Raises nothing."""
        try:
            found = await asyncio.to_thread(self._reread)
            config, left = _with_fixed(found, self.config)
            chores = await asyncio.to_thread(self._prepare, config)
            for adopt in self._adopt:
                await asyncio.to_thread(adopt, config)
        except Exception as error:
            await asyncio.to_thread(self._tell, f"the old config stays in use: {error}")
            log.error(  # noqa: TRY400 - with a traceback only where it tells something
                "config.refused",
                error=str(error),
                exc_info=not isinstance(error, BouncesinkError),
            )
            return
        self.config = config
        logs.configure(config.log)
        if left:
            log.warning("config.needs_restart", keys=left)
        self._crew.start(chores, config)
        behind = await self._crew.changed(PATIENCE)
        log.info("config.reloaded", still_ending=sorted(behind))

    def _tell(self, text: str) -> None:
        """Have `status` show it, until a config is taken up."""
        with suppress(LedgerError), closing(open_ledger(self.config.ledger.path)) as ledger:
            ledger.put_trouble("config", text, utcnow())


def _with_fixed(new: Config, old: Config) -> tuple[Config, list[str]]:
    """Give the new config with what stays as it is, and the names of the keys where that tells."""
    left = []
    for name in FIXED:
        section, _, key = name.partition(".")
        before, after = getattr(old, section), getattr(new, section)
        if getattr(before, key) != getattr(after, key):
            left.append(name)
            kept = replace(after, **{key: getattr(before, key)})
            new = replace(new, **{section: kept})
    return new, left
