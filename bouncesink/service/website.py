"""The web server as a part of the service: what it may use of the others."""

import asyncio
from importlib.util import find_spec
from typing import TYPE_CHECKING

from bouncesink.config import Config
from bouncesink.errors import ConfigError
from bouncesink.intake.listeners import WEB, passed_names
from bouncesink.intake.lmtp import LmtpServer
from bouncesink.ledger import open_ledger
from bouncesink.service.health import Health

if TYPE_CHECKING:  # needs the extra
    from bouncesink.service.metrics import Metrics
    from bouncesink.web.server import WebServer

BUSY_TIMEOUT = 1.0
"""Seconds for which a request waits for a ledger that is locked, which for reading it hardly is."""


def is_wanted(config: Config) -> bool:
    return bool(config.web.listen) or WEB in passed_names()


def make_metrics(config: Config) -> "Metrics | None":
    """Give what counts; None where nobody can ask for it, or its extra is not installed."""
    if not is_wanted(config) or find_spec("prometheus_client") is None:
        return None
    from bouncesink.service.metrics import Metrics

    return Metrics(config.ledger.path)


def make_web(
    config: Config, server: LmtpServer, health: Health, metrics: "Metrics | None"
) -> "WebServer | None":
    """Give the web server, not started yet; None where the config wants none, nor systemd.

    Raises ConfigError when what it needs is not installed.
    """
    if not is_wanted(config):
        _refuse_providers(config)
        return None
    from bouncesink.web import require

    require()
    from bouncesink.web.context import AppContext, across
    from bouncesink.web.ledgers import Ledgers
    from bouncesink.web.server import WebServer

    if metrics is not None:
        metrics.watch(server, health)
    path = config.ledger.path
    return WebServer(
        AppContext(
            config=config,
            ledgers=Ledgers(lambda: open_ledger(path, read_only=True, busy_timeout=BUSY_TIMEOUT)),
            submit=across(asyncio.get_running_loop(), server.submit),
            health=health,
            metrics=metrics.text if metrics else None,
            observe=metrics.observers.request if metrics else lambda *_: None,
            webhook=metrics.observers.webhook if metrics else lambda *_: None,
        )
    )


def adopt(web: "WebServer | None", config: Config) -> None:
    """Have the web server, if there is one, answer by this config from now on.

    Raises ConfigError for what it cannot use; then it goes on as before.
    """
    if web is None:
        _refuse_providers(config)
    else:
        web.adopt(config)


def _refuse_providers(config: Config) -> None:
    if config.providers:
        raise ConfigError("[[providers]] tell it over HTTP: [web] listen is wanted, too")
