"""A service on loopback, over real HTTP: what HubSpot, SmartLead and a webhook's receiver share."""

import json
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit


@dataclass
class Call:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Reply:
    """`body` is JSON, or bytes as they are."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


class Service:
    """Answers with `answer`, unless `troubles` holds replies to give first, one a call.

    `before` is called with each call before it is answered, `after` when it was carried out but not
    answered yet.
    """

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.troubles: deque[Reply] = deque()
        self.before: Callable[[Call], None] = lambda _: None
        self.after: Callable[[Call], None] = lambda _: None
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, call: Call) -> Reply:
        raise NotImplementedError

    def handle(self, call: Call) -> Reply:
        self.calls.append(call)
        self.before(call)
        reply = self.troubles.popleft() if self.troubles else self.answer(call)
        self.after(call)
        return reply

    def count(self, method: str, path: str = "") -> int:
        return sum(call.method == method and path in call.path for call in self.calls)


def _handler(service: Service) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            split = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            call = Call(
                self.command,
                unquote(split.path),
                dict(parse_qsl(split.query)),
                {name.lower(): value for name, value in self.headers.items()},
                self.rfile.read(length),
            )
            reply = service.handle(call)
            body = reply.body
            if not isinstance(body, bytes):
                body = b"" if body is None else json.dumps(body).encode()
            try:
                self.send_response(reply.status)
                for name, value in {"Content-Length": str(len(body)), **reply.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)
            except (BrokenPipeError, ConnectionResetError):
                pass  # whoever asked was killed meanwhile

        do_GET = do_POST = do_PATCH = do_DELETE = handle_any  # noqa: N815 - names of http.server

        def log_message(self, *_: object) -> None: ...

    return Handler
