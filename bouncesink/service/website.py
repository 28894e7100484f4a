"""The web server as a part of the service: what it may use of the others."""

import asyncio
from typing import TYPE_CHECKING

from bouncesink.config import Config
from bouncesink.intake.listeners import WEB, passed_names
from bouncesink.intake.lmtp import Submit
from bouncesink.ledger import open_ledger
from bouncesink.service.health import Health

if TYPE_CHECKING:  # needs the extra
    from bouncesink.web.server import WebServer

BUSY_TIMEOUT = 1.0
"""Seconds for which a request waits for a ledger that is locked, which for reading it hardly is."""


def make_web(config: Config, submit: Submit, health: Health) -> "WebServer | None":
    """Give the web server, not started yet; None where the config wants none, nor systemd.

    Raises ConfigError when what it needs is not installed.
    """
    if not config.web.listen and WEB not in passed_names():
        return None
    from bouncesink.web import require

    require()
    from bouncesink.web.context import AppContext, across
    from bouncesink.web.ledgers import Ledgers
    from bouncesink.web.server import WebServer

    path = config.ledger.path
    return WebServer(
        AppContext(
            config=config,
            ledgers=Ledgers(lambda: open_ledger(path, read_only=True, busy_timeout=BUSY_TIMEOUT)),
            submit=across(asyncio.get_running_loop(), submit),
            health=health,
        )
    )
