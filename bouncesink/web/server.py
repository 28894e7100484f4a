"""The web server: its thread, its event loop, its sockets. What it answers is in `ROUTES`."""

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace

import structlog
from aiohttp import web
from aiohttp.http import HttpProcessingError

from bouncesink.config import Config
from bouncesink.config.exposure import refusal
from bouncesink.errors import ConfigError
from bouncesink.intake.listeners import Listener, open_listeners
from bouncesink.web import gate, health, metrics, pages, webhooks
from bouncesink.web.connections import Connections
from bouncesink.web.context import AppContext
from bouncesink.web.protection import preparing, protecting, watching

Routes = Callable[[AppContext], list[web.RouteDef]]

ROUTES: tuple[Routes, ...] = (
    health.routes,
    metrics.routes,
    gate.routes,
    webhooks.routes,
    pages.routes,
)

BACKLOG = 128

log = structlog.get_logger(__name__)


class _AiohttpsLog(logging.Handler):
    """Brings what aiohttp itself has to say into our log: it is told of no other trouble."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError | UnicodeError):  # a peer that speaks no HTTP
            log.debug("web.bad_request", error=type(error).__name__)
        else:
            log.error("web.aiohttp", message=record.getMessage(), exc_info=error)


def _aiohttps_logger() -> logging.Logger:
    logger = logging.getLogger("bouncesink.web.aiohttp")
    logger.propagate = False
    logger.handlers = [_AiohttpsLog()]
    return logger


class WebServer:
    """Serves until it is stopped. `start` and `stop` may be called from any thread, once each."""

    def __init__(self, context: AppContext, routes: Sequence[Routes] = ROUTES) -> None:
        self._context = context
        self._routes = routes
        self._listeners: list[Listener] = []
        self._started: Future[None] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._connections = Connections(
            context.config.web.max_connections, context.config.web.timeout
        )
        self._runner: web.AppRunner | None = None
        # A daemon: a request that does not end must not hold up the exit.
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)

    @property
    def names(self) -> list[str]:
        """Where it listens, as `listen` has it, with the real ports."""
        return [listener.name for listener in self._listeners]

    def start(self, environ: Mapping[str, str] = os.environ) -> None:
        """Listen. Raises BouncesinkError if that cannot be."""
        config = self._context.config
        self._listeners = open_listeners(
            config.web.listen, int(config.lmtp.socket_mode, 8), environ, web=True
        )
        try:
            self._refuse_strangers(config)
        except ConfigError:
            self._close_listeners()
            raise
        self._thread.start()
        self._started.result()

    def stop(self, patience: float) -> None:
        """Let requests in flight finish; returns within `patience` seconds, whatever they do."""
        if self._loop is None:
            return
        with suppress(RuntimeError):  # it has ended meanwhile
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(patience)
        if self._thread.is_alive():
            log.warning("web.cut")

    def adopt(self, config: Config) -> None:
        """Answer by this config from now on, on the same sockets; what is in flight, by the last.

        Raises ConfigError for what cannot be used: then all stays as it is.
        """
        assert self._loop is not None
        self._refuse_strangers(config)
        answering = self._answer_by(replace(self._context, config=config))
        asyncio.run_coroutine_threadsafe(answering, self._loop).result()

    def _refuse_strangers(self, config: Config) -> None:
        for listener in self._listeners:
            if why := refusal(listener.name, config.web):
                raise ConfigError(f"web: {why}")

    # What follows runs in the thread.

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            if self._started.done():
                log.exception("web.ended")
            else:
                self._close_listeners()
                self._started.set_exception(error)

    async def _serve(self) -> None:
        loop = self._loop = asyncio.get_running_loop()
        await self._answer_by(self._context)
        servers = [
            await loop.create_server(self._connections, sock=listener.socket, backlog=BACKLOG)
            for listener in self._listeners
        ]
        for listener in self._listeners:
            log.info("web.listening", on=listener.name)
        self._started.set_result(None)
        await self._stop.wait()
        for server in servers:
            server.close()
        self._close_listeners()
        if self._runner is not None:
            await self._runner.cleanup()
        await self._context.ledgers.close()
        log.info("web.stopped")

    async def _answer_by(self, context: AppContext) -> None:
        """Have the connections from now on answered in this context, and let the others end."""
        config = context.config.web
        runner = web.AppRunner(
            _application(context, self._routes, self._connections),
            access_log=None,
            logger=_aiohttps_logger(),
            auto_decompress=False,
            keepalive_timeout=config.timeout / 2,
            lingering_time=min(config.timeout, 10.0),
            shutdown_timeout=context.config.lmtp.shutdown_timeout / 2,
        )
        await runner.setup()
        assert runner.server is not None
        self._connections.make = runner.server
        self._connections.most = config.max_connections
        self._connections.timeout = config.timeout
        before, self._runner, self._context = self._runner, runner, context
        if before is not None:
            await before.cleanup()

    def _close_listeners(self) -> None:
        for listener in self._listeners:
            listener.close()


def _application(
    context: AppContext, routes: Sequence[Routes], connections: Connections
) -> web.Application:
    config = context.config.web
    app = web.Application(
        client_max_size=config.max_body_size,
        middlewares=[
            watching(connections, context.observe),
            protecting(config, connections),
            pages.lost,
        ],
    )
    app.on_response_prepare.append(preparing(connections))
    for each in routes:
        app.add_routes(each(context))
    return app
