"""The web server in this process, over a real ledger, and requests to it over real HTTP."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field, replace
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

from bouncesink.config import Config, LedgerConfig, WebConfig
from bouncesink.intake.committer import Committer
from bouncesink.ledger import open_ledger
from bouncesink.service.health import Health
from bouncesink.web.context import AppContext, across
from bouncesink.web.ledgers import Ledgers
from bouncesink.web.server import ROUTES, Routes, WebServer


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Site:
    server: WebServer
    context: AppContext
    committer: Committer
    health: Health
    ledger: Path
    requests: list[tuple[str, str, int, float]] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self.server.names[0].rpartition(":")[2])

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    async def ask(
        self,
        path: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        return await asyncio.to_thread(self._ask, method, path, body, headers or {})

    def _ask(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            connection.request(method, path, body, headers)
            answer: HTTPResponse = connection.getresponse()
            fields = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, fields, answer.read())


@asynccontextmanager
async def site(
    folder: Path, config: Config | None = None, routes: Sequence[Routes] = ROUTES, **web: Any
) -> AsyncIterator[Site]:
    """A running server; `web` is of the [web] table."""
    path = folder / "ledger.db"
    open_ledger(path).close()
    given: dict[str, Any] = {"listen": ("127.0.0.1:0",)}
    config = replace(
        config or Config(), ledger=LedgerConfig(path=path), web=WebConfig(**(given | web))
    )
    committer = Committer(lambda: open_ledger(path))
    health = Health()
    requests: list[tuple[str, str, int, float]] = []
    context = AppContext(
        config=config,
        ledgers=Ledgers(lambda: open_ledger(path, read_only=True)),
        submit=across(asyncio.get_running_loop(), committer.submit),
        health=health,
        observe=lambda *told: requests.append(told),
    )
    server = WebServer(context, routes)
    server.start()
    try:
        yield Site(server, context, committer, health, path, requests)
    finally:
        await asyncio.to_thread(server.stop, 10)
        await committer.close()
