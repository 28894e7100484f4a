"""A real LMTP server over a real ledger, and a peer that talks to it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

from bouncesink.config import Config, LmtpConfig, MailboxConfig
from bouncesink.intake.committer import Committer
from bouncesink.intake.lmtp import LmtpServer
from bouncesink.ledger import open_ledger
from bouncesink.model import Arrival

RECIPIENT = "bounces@example.org"
MAIL = "MAIL FROM:<>"
RCPT = f"RCPT TO:<{RECIPIENT}>"
TIMEOUT = 60.0


class Peer:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def reply(self) -> str:
        """One reply, its lines joined; "" when the connection is closed."""
        lines = []
        async with asyncio.timeout(TIMEOUT):
            while line := (await self.reader.readline()).decode():
                assert line.endswith("\r\n"), line
                lines.append(line.rstrip())
                if line[3:4] == " ":
                    break
        return "\n".join(lines)

    async def send(self, octets: bytes) -> None:
        self.writer.write(octets)
        async with asyncio.timeout(TIMEOUT):
            await self.writer.drain()

    async def say(self, *lines: str) -> list[str]:
        """Say each line and wait for its reply."""
        replies = []
        for line in lines:
            await self.send(line.encode() + b"\r\n")
            replies.append(await self.reply())
        return replies

    async def deliver(
        self, content: bytes, recipients: tuple[str, ...] = (RECIPIENT,)
    ) -> list[str]:
        """Say one message as it is, up to the last reply; give the replies after DATA."""
        commands = (MAIL, *(f"RCPT TO:<{each}>" for each in recipients), "DATA")
        replies = await self.say(*commands)
        assert replies[-1].startswith("354 "), replies
        await self.send(content + b".\r\n")
        return [await self.reply() for _ in recipients]

    async def closed(self) -> bool:
        async with asyncio.timeout(TIMEOUT):
            return await self.reader.read(1) == b""


class Sink:
    def __init__(self, server: LmtpServer, committer: Committer, ledger: Path) -> None:
        self.server = server
        self.committer = committer
        self.ledger = ledger

    @asynccontextmanager
    async def peer(self, *, lhlo: bool = True) -> AsyncIterator[Peer]:
        name = self.server.names[0]
        if name.startswith("unix:"):
            reader, writer = await asyncio.open_unix_connection(name.removeprefix("unix:"))
        else:
            host, _, port = name.rpartition(":")
            reader, writer = await asyncio.open_connection(host, int(port))
        peer = Peer(reader, writer)
        try:
            if lhlo:
                assert (await peer.reply()).startswith("220 ")
                assert (await peer.say("LHLO peer.example.net"))[0].startswith("250-")
            yield peer
        finally:
            writer.close()

    def stored(self) -> list[Arrival]:
        with closing(open_ledger(self.ledger)) as ledger:
            return ledger.pending(1000)


@asynccontextmanager
async def sink(
    folder: Path, *, busy_timeout: float = 10.0, mailboxes: tuple[str, ...] = (), **limits: object
) -> AsyncIterator[Sink]:
    """A running server; `limits` are of the [lmtp] table."""
    given = {"listen": ("127.0.0.1:0",), "recipients": (RECIPIENT,), "shutdown_timeout": 5.0}
    config = Config(
        lmtp=LmtpConfig(**(given | limits)),
        mailboxes=tuple(MailboxConfig(address) for address in mailboxes),
    )
    path = folder / "ledger.db"
    committer = Committer(lambda: open_ledger(path, busy_timeout=busy_timeout))
    server = LmtpServer(config, committer.submit)
    await server.start()
    try:
        yield Sink(server, committer, path)
    finally:
        await server.stop()
        await committer.close()


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until it is so."""
    async with asyncio.timeout(TIMEOUT):
        while not condition():  # noqa: ASYNC110 - what is waited for is in nobody's event
            await asyncio.sleep(0.001)
