"""How long a peer may take, and how many there may be: aiohttp bounds neither by itself."""

import asyncio
from collections.abc import Callable
from typing import Any

BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 5\r\n"
    b"Content-Length: 0\r\n\r\n"
)


class Connections:
    """Makes the protocol of each connection, aiohttp's by `make`. `timeout` is in seconds.

    A peer has so long for the head of a request, however it drips, and to take an answer; while a
    request is handled the handler's own limit holds.
    """

    make: Callable[[], Any]

    def __init__(self, most: int, timeout: float) -> None:
        self.most = most
        self.timeout = timeout
        self.open: dict[object, Connection] = {}

    def __call__(self) -> "Connection":
        return Connection(self)

    def begin(self, inner: object) -> None:
        """Give the handler its time: a request has come on the connection of this protocol."""
        if (connection := self.open.get(inner)) is not None:
            connection.stop_timer()
            connection.answering = False

    def answer(self, inner: object) -> None:
        """Note that the answer has begun."""
        if (connection := self.open.get(inner)) is not None:
            connection.answering = True

    def answers(self, inner: object) -> bool:
        """Whether the answer has begun, so that there can be no other."""
        connection = self.open.get(inner)
        return connection is not None and connection.answering

    def end(self, inner: object) -> None:
        if (connection := self.open.get(inner)) is not None:
            connection.start_timer()


class Connection(asyncio.Protocol):
    """Stands before aiohttp's own protocol, and passes on what comes."""

    def __init__(self, all_: Connections) -> None:
        self.answering = False
        self._all = all_
        self._inner: Any = None
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if len(self._all.open) >= self._all.most:
            transport.write(BUSY)
            transport.close()
            return
        self._inner = self._all.make()
        self._all.open[self._inner] = self
        self._inner.connection_made(transport)
        self.start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self.stop_timer()
        if self._inner is not None:
            self._all.open.pop(self._inner, None)
            self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._inner is not None:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received() if self._inner is not None else None

    def pause_writing(self) -> None:
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        if self._inner is not None:
            self._inner.resume_writing()

    def start_timer(self) -> None:
        self.stop_timer()
        assert self._transport is not None
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._all.timeout, self._transport.abort)

    def stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
