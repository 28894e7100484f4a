"""LMTP (RFC 2033) on aiosmtpd: mail in, answered for only when it is durable.

aiosmtpd gives the connection's life, the session, the envelope and the table of commands. What is
ours: reading in bulk and not by line, replies with enhanced codes (RFC 3463) and one a recipient
after DATA, the limits, and that trouble of our own is always 4yz: a 5yz makes the peer throw a
bounce away for good.
"""

# ruff: noqa: N802 - aiosmtpd finds the commands by these names

import asyncio
import math
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from time import perf_counter

import structlog
from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import Envelope

from bouncesink.config import Config
from bouncesink.errors import LedgerError, LedgerFull
from bouncesink.identity import arrival_id
from bouncesink.intake.dialogue import TOO_BIG, Refused, recipient, sender
from bouncesink.intake.handles import make_room
from bouncesink.intake.listeners import Listener, open_listeners
from bouncesink.intake.recipients import Recipients
from bouncesink.intake.wire import MAX_LINE, CommandLines, Content
from bouncesink.model import Arrival

log = structlog.get_logger()

Submit = Callable[[Sequence[Arrival]], Awaitable[None]]
"""Make arrivals durable, or raise LedgerError."""

HIGH_WATER = 262_144
"""Octets that are read ahead of what the session has come to."""

MAX_BOGUS = 20
"""Commands that nobody knows, before the peer is sent away."""

MAX_REPLIES = 100
"""Replies that are kept for one write: who sends commands and reads none costs no more memory."""

MIN_RATE = 500
"""Octets of mail data a second, in the long run, as Postfix's smtpd_min_data_rate. Else who sends
one a minute keeps his connection for ever."""

BACKLOG = 128
"""Connections that the kernel keeps for us, and also how many are taken up in a turn of the loop:
so that those who are one too many are gone before there are no handles left."""

OUR_TROUBLE = "451 4.3.0 Cannot store it now, try again later"
DISK_FULL = "452 4.3.1 No room to store it now, try again later"
SHUTTING_DOWN = "421 4.3.2 Shutting down, try again later"
TOO_MANY = "421 4.3.2 Too many connections, try again later"
WAITED = "421 4.4.2 Waited too long, closing"


class LmtpSession(LMTP):
    """One connection. Replies are kept until there is nothing more to read (RFC 2920)."""

    def __init__(self, server: "LmtpServer") -> None:
        self._server = server
        self._limits = server.limits
        super().__init__(
            None,
            data_size_limit=self._limits.max_message_size,
            enable_SMTPUTF8=True,
            hostname=server.hostname,
            timeout=self._limits.idle_timeout,
            loop=asyncio.get_running_loop(),
        )
        self._buffer = bytearray()
        self._lines = CommandLines()
        self._news = asyncio.Event()
        self._replies: list[bytes] = []
        self._eof = False
        self._leaving = False
        self._ended = False
        self._bogus = 0
        self._received = 0
        self.welcome = True
        self._due = math.inf
        for command in ("HELO", "EHLO", "AUTH", "STARTTLS", "EXPN"):
            del self._smtp_methods[command]

    # The connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._server.join(self)

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._server.part(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._received += len(data)
        if len(self._buffer) > HIGH_WATER:
            self._reading().pause_reading()
        self._news.set()

    def eof_received(self) -> bool:
        """Carry out what the peer has said; it says no more, but may wait for replies."""
        self._eof = True
        self._news.set()
        return True

    def leave(self) -> None:
        """Send the peer away as soon as it is not in the middle of a message."""
        self._leaving = True
        self._news.set()

    def abort(self, reply: str) -> None:
        """Send the peer away now. A peer that does not read is not waited for."""
        transport = self.transport
        if isinstance(transport, asyncio.Transport):
            transport.write(f"{reply}\r\n".encode())
            transport.abort()

    def _reading(self) -> asyncio.ReadTransport:
        assert isinstance(self.transport, asyncio.ReadTransport)
        return self.transport

    def _reset_timeout(self, duration: float | None = None) -> None:
        """Move the end of our patience. It moves with every chunk, the timer behind it seldom."""
        self._due = self.loop.time() + (duration or self._timeout_duration)
        handle = self._timeout_handle
        if handle is None or handle.when() > self._due:
            if handle is not None:
                handle.cancel()
            self._timeout_handle = self.loop.call_at(self._due, self._timeout_cb)

    def _timeout_cb(self) -> None:
        if self.loop.time() < self._due:
            later = min(self._due, self.loop.time() + self._timeout_duration)
            self._timeout_handle = self.loop.call_at(later, self._timeout_cb)
        else:
            log.info("lmtp.timed_out", peer=self._peer())
            self._server.refused[WAITED[:9]] += 1
            self.abort(WAITED)

    def _peer(self) -> str:
        return str(self.session and self.session.peer)

    # The dialogue

    async def _handle_client(self) -> None:
        try:
            if self.welcome:
                await self.push(f"220 {self.hostname} LMTP bouncesink")
                await self._converse()
            else:
                await self.push(TOO_MANY)
            await self._flush()
        except ConnectionError:
            log.debug("lmtp.connection_lost", peer=self._peer())
        finally:
            self._writer.close()

    async def _converse(self) -> None:
        while not self._ended:
            line = None if self._leaving else self._lines.take(self._buffer)
            if line is not None:
                await self._obey(line)
            elif self._leaving:
                await self.push(SHUTTING_DOWN)
                self._ended = True
            elif not await self._more():
                return

    async def _more(self) -> bool:
        """Send the replies that are due, then wait for input; False when no more will come."""
        self._news.clear()
        await self._flush()
        if self._eof:
            return False
        self._reading().resume_reading()
        await self._news.wait()
        return True

    async def _flush(self) -> None:
        if self._replies:
            self._writer.write(b"".join(self._replies))
            self._replies.clear()
            await self._writer.drain()

    async def push(self, status: str | bytes) -> None:
        text = status if isinstance(status, str) else status.decode()
        if text[0] in "45":
            self._server.refused[text[:9]] += 1
        self._replies.append(f"{text}\r\n".encode())
        if len(self._replies) > MAX_REPLIES:
            await self._flush()

    async def _obey(self, line: bytes) -> None:
        self._reset_timeout()
        word, _, argument = line.partition(b" ")
        method = self._smtp_methods.get(word.decode("ascii", "replace").upper())
        if len(line) > MAX_LINE:
            await self.push("500 5.5.2 Line too long")
        elif method is not None:
            try:
                await method(argument.strip().decode("utf-8", "replace"))
            except Refused as refused:
                await self.push(refused.reply)
            except ConnectionError:
                raise
            except Exception:
                log.exception("lmtp.failed", peer=self._peer())
                await self.push(OUR_TROUBLE)
        elif self._bogus < MAX_BOGUS:
            self._bogus += 1
            await self.push("500 5.5.1 No such command; LMTP begins with LHLO")
        else:
            await self.push("421 4.7.0 Too many unknown commands")
            self._ended = True

    # The commands

    async def smtp_LHLO(self, arg: str) -> None:
        if not arg:
            raise Refused("501 5.5.4 Syntax: LHLO hostname")
        assert self.session is not None
        self.session.host_name = arg
        self.session.extended_smtp = True
        self.envelope = self._create_envelope()
        await self.push(
            f"250-{self.hostname}\r\n250-PIPELINING\r\n250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n"
            f"250-SMTPUTF8\r\n250 SIZE {self.data_size_limit}"
        )

    async def smtp_MAIL(self, arg: str | None) -> None:
        assert self.session is not None
        assert self.envelope is not None
        if not self.session.host_name:
            raise Refused("503 5.5.1 Say LHLO first")
        if self.envelope.mail_from is not None:
            raise Refused("503 5.5.1 There is a sender already")
        self.envelope.mail_from = sender(arg or "", self._limits.max_message_size)
        await self.push("250 2.1.0 Sender ok")

    async def smtp_RCPT(self, arg: str | None) -> None:
        assert self.envelope is not None
        if self.envelope.mail_from is None:
            raise Refused("503 5.5.1 Say MAIL first")
        address = recipient(arg or "")
        if address not in self._server.recipients:
            log.info("lmtp.no_such_recipient", recipient=address, peer=self._peer())
            raise Refused("550 5.1.1 No such recipient here")
        if len(self.envelope.rcpt_tos) >= self._limits.max_recipients:
            raise Refused("452 4.5.3 Too many recipients, send the rest separately")
        self.envelope.rcpt_tos.append(address)
        await self.push("250 2.1.5 Recipient ok")

    async def smtp_DATA(self, arg: str) -> None:
        envelope = self.envelope
        assert envelope is not None
        if arg:
            raise Refused("501 5.5.4 Syntax: DATA")
        if not envelope.rcpt_tos:
            # RFC 2033, section 4.2: with PIPELINING, only this keeps the two sides in step.
            raise Refused("503 5.5.1 No valid recipients")
        await self.push("354 End data with <CR><LF>.<CR><LF>")
        content = await self._receive()
        if content is None:
            self._ended = True
            return
        self.envelope = self._create_envelope()
        if content.too_big:
            log.warning("lmtp.too_big", limit=content.limit, peer=self._peer())
            replies = [TOO_BIG] * len(envelope.rcpt_tos)
        else:
            replies = await self._store(envelope, content)
        for reply in replies:
            await self.push(reply)

    async def smtp_RSET(self, arg: str) -> None:
        if arg:
            raise Refused("501 5.5.4 Syntax: RSET")
        self.envelope = self._create_envelope()
        await self.push("250 2.0.0 Ok")

    async def smtp_NOOP(self, arg: str) -> None:  # noqa: ARG002 - RFC 5321, section 4.1.1.9
        await self.push("250 2.0.0 Ok")

    async def smtp_VRFY(self, arg: str) -> None:
        if not arg:
            raise Refused("501 5.5.4 Syntax: VRFY address")
        await self.push("252 2.5.0 Say RCPT to find out")

    async def smtp_HELP(self, arg: str) -> None:  # noqa: ARG002 - the same for every topic
        await self.push("214 2.0.0 LHLO MAIL RCPT DATA RSET NOOP VRFY HELP QUIT")

    async def smtp_QUIT(self, arg: str) -> None:
        if arg:
            raise Refused("501 5.5.4 Syntax: QUIT")
        await self.push("221 2.0.0 Bye")
        self._ended = True

    # The message

    async def _receive(self) -> Content | None:
        """Read mail data to its end; None when that will not come."""
        content = Content(self._limits.max_message_size)
        patience = self._limits.data_timeout
        began, received = self.loop.time(), self._received
        try:
            while not content.take(self._buffer):
                owed = self.loop.time() - began - (self._received - received) / MIN_RATE
                self._reset_timeout(max(0.001, patience - max(0.0, owed)))
                if not await self._more():
                    log.info("lmtp.cut_short", peer=self._peer())
                    return None
        except ConnectionError:
            raise
        except Exception:
            # Out of memory, say. Where the content ends we cannot tell now: what follows must not
            # be taken for commands.
            log.exception("lmtp.failed", peer=self._peer())
            await self.push("421 4.3.0 Cannot take it now, try again later")
            return None
        return content

    async def _store(self, envelope: Envelope, content: Content) -> list[str]:
        """Make the message durable; give a reply for each recipient (RFC 2033, section 4.2)."""
        began = perf_counter()
        self._due = math.inf  # it is the peer who waits now
        try:
            arrivals = _arrivals(envelope, content.octets())
            await self._server.submit(tuple({each.id: each for each in arrivals}.values()))
        except Exception as error:
            foreseen = isinstance(error, LedgerError)
            log.warning("lmtp.deferred", reason=str(error), exc_info=not foreseen)
            reply = DISK_FULL if isinstance(error, LedgerFull) else OUR_TROUBLE
            return [reply] * len(envelope.rcpt_tos)
        finally:
            self._reset_timeout()
        self._server.accepted += 1
        log.info(
            "lmtp.accepted",
            id=arrivals[0].id,
            size=len(arrivals[0].raw),
            recipients=len(arrivals),
            ms=round((perf_counter() - began) * 1000, 1),
        )
        return [f"250 2.0.0 Stored as {each.id}" for each in arrivals]


def _arrivals(envelope: Envelope, raw: bytes) -> list[Arrival]:
    now = datetime.now(UTC)
    now = now.replace(microsecond=now.microsecond // 1000 * 1000)
    return [
        Arrival(
            id=arrival_id(raw, recipient),
            source="lmtp",
            envelope_from=envelope.mail_from or "",
            envelope_to=recipient,
            received_at=now,
            raw=raw,
        )
        for recipient in envelope.rcpt_tos
    ]


class LmtpServer:
    """The listeners and their sessions. `submit` must make arrivals durable before it returns.

    `accepted` counts messages, `refused` negative replies by reply and enhanced code.
    """

    def __init__(self, config: Config, submit: Submit) -> None:
        self.submit = submit
        self.adopt(config)
        self.hostname = socket.gethostname()
        self.accepted = 0
        self.refused: Counter[str] = Counter()
        self._listeners: list[Listener] = []
        self._servers: list[asyncio.Server] = []
        self._sessions: set[LmtpSession] = set()
        self._welcome = 0
        self._deserted = asyncio.Event()
        self._stopping = False

    def adopt(self, config: Config) -> None:
        """Take its recipients and limits from this config, for the sessions that begin from now on.

        A session that has begun keeps its limits; whom it may name is always what it is now.
        """
        make_room(config.lmtp.max_connections)
        self.limits = config.lmtp
        self.recipients = Recipients(
            config.lmtp.recipients, (mailbox.address for mailbox in config.mailboxes)
        )

    @property
    def names(self) -> list[str]:
        """Where it listens, as `listen` has it, with the real ports."""
        return [listener.name for listener in self._listeners]

    @property
    def connections(self) -> int:
        return len(self._sessions)

    async def start(self) -> None:
        """Listen. Raises BouncesinkError if that cannot be."""
        self._listeners = open_listeners(self.limits.listen, int(self.limits.socket_mode, 8))
        loop = asyncio.get_running_loop()
        for listener in self._listeners:
            self._servers.append(
                await loop.create_server(
                    lambda: LmtpSession(self), sock=listener.socket, backlog=BACKLOG
                )
            )
            log.info("lmtp.listening", on=listener.name)

    async def stop(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - see below
        """Stop accepting, let messages in flight finish, then 421 to the rest.

        Returns within `timeout` seconds, whatever the peers do: unlike a cancelled wait, sending
        the last of them away is part of the work.
        """
        self._stopping = True
        for server, listener in zip(self._servers, self._listeners, strict=True):
            server.close()
            listener.close()
        for session in self._sessions:
            session.leave()
        if self._sessions:
            self._deserted.clear()
            try:
                async with asyncio.timeout(timeout or self.limits.shutdown_timeout):
                    await self._deserted.wait()
            except TimeoutError:
                log.warning("lmtp.sessions_cut", count=len(self._sessions))
                for session in self._sessions:
                    session.abort(SHUTTING_DOWN)
                await self._deserted.wait()
        log.info("lmtp.stopped", accepted=self.accepted)

    def join(self, session: LmtpSession) -> None:
        """Take a session in; above the limit it is told that it is not welcome now."""
        self._sessions.add(session)
        session.welcome = self._welcome < self.limits.max_connections
        self._welcome += session.welcome
        if self._stopping:  # it had been accepted, but not yet begun
            session.leave()

    def part(self, session: LmtpSession) -> None:
        self._sessions.discard(session)
        self._welcome -= session.welcome
        if not self._sessions:
            self._deserted.set()
