"""The gate for Postfix: a policy service (SMTPD_POLICY_README) that refuses suppressed recipients.

A request is lines of `name=value` and an empty one; the answer is `action=...` and an empty one.
Where we cannot tell, because the ledger cannot be read now, the mail goes its way: an outage of
ours must not stop a mail server.
"""

import asyncio
from contextlib import suppress

import structlog

from bouncesink.address import normalise
from bouncesink.config import Config
from bouncesink.engine.answers import Answer, answers
from bouncesink.errors import LedgerError
from bouncesink.intake.listeners import Listener, open_listeners
from bouncesink.ledger import Ledger, open_ledger

MAX_LINE = 8192
MAX_LINES = 100
"""Of one request; Postfix sends some thirty, of its own limits' length."""

MAX_CONNECTIONS = 500
IDLE = 600.0
"""Seconds; Postfix closes an idle connection after 300 (smtpd_policy_service_max_idle)."""

BUSY_TIMEOUT = 0.2
"""Seconds: the loop that waits for a locked ledger takes no mail in meanwhile."""

FREE = "DUNNO"
"""Nothing against it: the restrictions that follow decide (access(5))."""

_MAX_WORDS = 200

log = structlog.get_logger(__name__)


class PolicyServer:
    """Belongs to the event loop in which it is started; a look-up takes it some 50 microseconds."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._ledger: Ledger | None = None
        self._listeners: list[Listener] = []
        self._servers: list[asyncio.Server] = []
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def names(self) -> list[str]:
        """Where it listens, as `gate.postfix` has it, with the real ports."""
        return [listener.name for listener in self._listeners]

    async def start(self) -> None:
        """Listen where the config says, which may be nowhere. Raises BouncesinkError."""
        if not self._config.gate.postfix:
            return
        mode = int(self._config.lmtp.socket_mode, 8)
        self._listeners = open_listeners(self._config.gate.postfix, mode, {})
        for listener in self._listeners:
            server = await asyncio.start_server(self._serve, sock=listener.socket, limit=MAX_LINE)
            self._servers.append(server)
            log.info("policy.listening", on=listener.name)

    def adopt(self, config: Config) -> None:
        """Answer by this config from now on; where it listens stays."""
        self._config = config

    async def stop(self) -> None:
        for server in self._servers:
            server.close()
        for writer in self._writers:
            writer.close()
        for listener in self._listeners:
            listener.close()
        self._close_ledger()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._writers) >= MAX_CONNECTIONS:
            log.warning("policy.busy", connections=len(self._writers))
            writer.close()
            return
        self._writers.add(writer)
        try:
            # A peer that is slow, gone, or speaks another protocol costs itself only.
            with suppress(OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
                while (asked := await self._request(reader)) is not None:
                    writer.write(f"action={self._action(asked)}\n\n".encode())
                    async with asyncio.timeout(IDLE):
                        await writer.drain()
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _request(self, reader: asyncio.StreamReader) -> dict[str, str] | None:
        """Read a request; None at the end. Raises ValueError for what is none."""
        asked: dict[str, str] = {}
        async with asyncio.timeout(IDLE):
            for _ in range(MAX_LINES):
                line = (await reader.readline()).decode("utf-8", "replace")
                if not line.endswith("\n"):
                    return None
                if line == "\n":
                    return asked
                name, _, value = line[:-1].partition("=")
                asked[name] = value
        raise ValueError("too many lines")

    def _action(self, asked: dict[str, str]) -> str:
        address = normalise(asked.get("recipient", ""))
        if asked.get("request") != "smtpd_access_policy" or address is None:
            return FREE
        try:
            if self._ledger is None:
                path = self._config.ledger.path
                self._ledger = open_ledger(path, read_only=True, busy_timeout=BUSY_TIMEOUT)
            answer = answers(self._ledger, [address], self._config)[address]
        except LedgerError as error:
            log.warning("policy.ledger", error=str(error))
            self._close_ledger()
            return FREE
        if answer.mailable:
            return FREE
        log.info("policy.refused", reasons=answer.reasons, client=asked.get("client_address", ""))
        return refusal(answer)

    def _close_ledger(self) -> None:
        ledger, self._ledger = self._ledger, None
        if ledger is not None:
            ledger.close()


def refusal(answer: Answer) -> str:
    """Give the reply for a blocked recipient: one line of printable ASCII (RFC 5321, 4.2.1)."""
    since = f" since {answer.since.date()}" if answer.since else ""
    words = f"suppressed by bouncesink ({', '.join(answer.reasons)}{since})"
    if answer.said:
        words += f"; it was said: {answer.said}"
    plain = "".join(c if " " <= c <= "~" else " " for c in words)
    return f"550 5.7.1 {' '.join(plain.split())[:_MAX_WORDS]}"
