"""SIGHUP: the config is read again, and takes the place of the one in use while mail comes in.

One that is wrong is refused, and all goes on as before. The listening sockets and the ledger stay
as they are until the next start.
"""

import asyncio
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import fields, replace

import structlog

from bouncesink import logs
from bouncesink.classify import load_rules
from bouncesink.config import Config
from bouncesink.engine import Engine, utcnow
from bouncesink.errors import BouncesinkError, LedgerError
from bouncesink.intake.lmtp import LmtpServer
from bouncesink.ledger import ArrivalState, open_ledger
from bouncesink.service.chore import Chore
from bouncesink.service.chores import chores as make_chores
from bouncesink.service.crew import Crew
from bouncesink.service.observers import Observers

PATIENCE = 60.0
"""Seconds that a reload waits for chores to end what they were at; then they end it meanwhile."""

FIXED = {"ledger": ("path",), "lmtp": ("listen", "socket_mode"), "web": ()}
"""Keys that only a start reads, by their section; without any, those of the whole section."""

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
    """Holds the config in use. `reread` gives that of the file, or raises BouncesinkError."""

    def __init__(
        self,
        config: Config,
        reread: Callable[[], Config],
        server: LmtpServer,
        crew: Crew,
        observers: Observers,
    ) -> None:
        self.config = config
        self._reread = reread
        self._server = server
        self._crew = crew
        self._observers = observers

    async def reload(self) -> None:
        """Read the config again and use it, or say why not. Raises nothing."""
        try:
            found = await asyncio.to_thread(self._reread)
            config, left = _with_fixed(found, self.config)
            chores = await asyncio.to_thread(prepare, config, self._observers)
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
        self._server.adopt(config)
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
    for section, names in FIXED.items():
        before, after = getattr(old, section), getattr(new, section)
        kept = {
            name: getattr(before, name)
            for name in names or (each.name for each in fields(before))
            if getattr(before, name) != getattr(after, name)
        }
        left += [f"{section}.{name}" for name in kept]
        new = replace(new, **{section: replace(after, **kept)})
    return new, left
