"""The web server in this process, over a real ledger, and requests to it over real HTTP."""

import asyncio
import http.cookies
import json
import re
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field, replace
from functools import cache
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from bouncesink.config import Config, LedgerConfig, WebConfig
from bouncesink.intake.committer import Committer
from bouncesink.ledger import open_ledger
from bouncesink.service.health import Health
from bouncesink.web.access.users import hashed
from bouncesink.web.context import AppContext, across
from bouncesink.web.ledgers import Ledgers
from bouncesink.web.server import ROUTES, Routes, WebServer

CHEAP = (2**4, 8, 1)
"""The cost of a hash that takes no time."""

PASSWORD = "correct horse"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@cache
def _known() -> str:
    return hashed(PASSWORD, CHEAP)


def users_file(folder: Path) -> Path:
    """Write a file of users: ann may act, rob may read."""
    path = folder / "users"
    path.write_text(f"# people\nann:act:{_known()}\nrob:read:{_known()}\n")
    return path


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


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


@dataclass
class Browser:
    """Keeps cookies, and sends what a browser sends with a form of the site's own."""

    site: Site
    headers: dict[str, str] = field(default_factory=dict)
    cookies: dict[str, str] = field(default_factory=dict)

    async def get(self, path: str, **headers: str) -> Answer:
        return self._keep(await self.site.ask(path, headers=self._headers(headers)))

    async def post(
        self, path: str, fields: dict[str, str] | Sequence[tuple[str, str]], **headers: str
    ) -> Answer:
        body = urlencode(fields, errors="surrogatepass").encode()
        given = FORM | self._headers({"Sec-Fetch-Site": "same-origin"} | headers)
        return self._keep(await self.site.ask(path, "POST", body, given))

    async def log_in(
        self, name: str = "ann", password: str = PASSWORD, back: str = "/", **headers: str
    ) -> Answer:
        return await self.post(
            "/login", {"name": name, "password": password, "next": back}, **headers
        )

    async def form_token(self, path: str) -> str:
        """Read the token from a form on a page."""
        page = (await self.get(path)).text
        found = re.search(r'name="form_token" value="([^"]+)"', page)
        assert found, page
        return found[1]

    async def act(self, path: str, fields: Sequence[tuple[str, str]], **headers: str) -> Answer:
        """Send a form with the token of this session."""
        token = ("form_token", await self.form_token("/settings"))
        return await self.post(path, [token, *fields], **headers)

    def _headers(self, headers: dict[str, str]) -> dict[str, str]:
        kept = {"Cookie": "; ".join(f"{k}={v}" for k, v in self.cookies.items())}
        return self.headers | (kept if self.cookies else {}) | headers

    def _keep(self, answer: Answer) -> Answer:
        given = http.cookies.SimpleCookie(answer.headers.get("set-cookie", ""))
        for name, cookie in given.items():
            if cookie["max-age"] == "0":
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = cookie.value
        return answer
