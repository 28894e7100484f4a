"""Our own trouble is never the peer's: 451, and the session goes on; and how a server stops."""

import asyncio
import logging
import socket
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from lmtp_support import MAIL, RCPT, RECIPIENT, sink, until
from structlog.testing import capture_logs

from bouncesink.errors import LedgerError
from bouncesink.ledger import open_ledger

CONTENT = b"Subject: a bounce\r\n\r\nuser unknown\r\n"
TWO = (RECIPIENT, "bounces+2@example.org")


@contextmanager
def locked(ledger: Path) -> Iterator[None]:
    """Another process holds the ledger's one lock for writing."""
    with closing(sqlite3.connect(ledger, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


async def test_a_locked_ledger_is_not_the_peers_fault(tmp_path: Path) -> None:
    async with sink(tmp_path, busy_timeout=0.05) as it, it.peer() as peer:
        assert (await peer.deliver(b"first\r\n"))[0].startswith("250 ")
        with locked(it.ledger), capture_logs() as logs:
            replies = await peer.deliver(CONTENT, TWO)
        assert [reply[:10] for reply in replies] == ["451 4.3.0 "] * 2
        assert [each["event"] for each in logs] == ["lmtp.deferred"]
        assert "another process" in logs[0]["reason"]
        assert [reply[:4] for reply in await peer.deliver(CONTENT, TWO)] == ["250 "] * 2
        assert len(it.stored()) == 3
        assert it.server.accepted == 2
        assert it.server.refused == {"451 4.3.0": 2}


async def test_an_unusable_ledger_is_opened_again_when_it_is_well(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    async with sink(tmp_path) as it, it.peer() as peer:
        path.write_bytes(b"this is no database" * 100)
        assert (await peer.deliver(CONTENT))[0].startswith("451 4.3.0 ")
        path.unlink()
        path.mkdir()
        assert (await peer.deliver(CONTENT))[0].startswith("451 4.3.0 ")
        path.rmdir()
        assert (await peer.deliver(CONTENT))[0].startswith("250 2.0.0 ")
        assert len(it.stored()) == 1


@pytest.mark.parametrize("error", [LedgerError("no"), OSError("no"), RuntimeError("no")])
async def test_whatever_goes_wrong(error: Exception, tmp_path: Path) -> None:
    async def submit(_: object) -> None:
        raise error

    async with sink(tmp_path) as it, it.peer() as peer:
        good, it.server.submit = it.server.submit, submit
        assert [each[:10] for each in await peer.deliver(CONTENT, TWO)] == ["451 4.3.0 "] * 2
        it.server.submit = good
        assert [each[:4] for each in await peer.deliver(CONTENT, TWO)] == ["250 "] * 2


RESET = struct.pack("ii", 1, 0)  # SO_LINGER: the peer's close is an RST


@pytest.mark.parametrize("reset", [False, True])
async def test_a_peer_that_goes_while_we_commit_costs_nothing(
    reset: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with sink(tmp_path) as it:
        with capture_logs() as logs:
            with closing(open_ledger(it.ledger)), locked(it.ledger):
                async with it.peer() as peer:
                    await peer.say(MAIL, RCPT, "DATA")
                    await peer.send(CONTENT + b".\r\n")
                    (session,) = it.server._sessions
                    await until(lambda: not session.envelope.rcpt_tos)
                    if reset:
                        linger = (socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                        peer.writer.get_extra_info("socket").setsockopt(*linger)
                # Without a reset it might yet wait for its reply.
                await until(lambda: session._eof or not it.server._sessions)
                assert bool(it.server._sessions) != reset
            await until(lambda: not it.server._sessions and len(it.stored()) == 1)
        async with it.peer() as peer:
            assert (await peer.deliver(b"another\r\n"))[0].startswith("250 ")
    assert [each for each in logs if each["log_level"] not in {"info", "debug"}] == []
    assert caplog.records == []


async def test_stopping_sends_the_idle_away(tmp_path: Path) -> None:
    async with sink(tmp_path) as it, it.peer() as idle, it.peer() as halfway:
        await halfway.say(MAIL, RCPT)
        name = it.server.names[0]
        await it.server.stop()
        for peer in (idle, halfway):
            assert (await peer.reply()).startswith("421 4.3.2 ")
            assert await peer.closed()
        host, _, port = name.rpartition(":")
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(host, int(port))


async def test_stopping_lets_messages_in_flight_finish(tmp_path: Path) -> None:
    async with sink(tmp_path) as it, it.peer() as sending, it.peer() as waiting:
        with closing(open_ledger(it.ledger)), locked(it.ledger):
            await waiting.say(MAIL, RCPT, "DATA")
            await waiting.send(b"one\r\n.\r\n")
            await sending.say(MAIL, RCPT, "DATA")
            await sending.send(b"tw")
            stopping = asyncio.create_task(it.server.stop())
            await asyncio.sleep(0)
            await sending.send(b"o\r\n.\r\n")
        for peer in (sending, waiting):
            assert (await peer.reply()).startswith("250 2.0.0 ")
            assert (await peer.reply()).startswith("421 4.3.2 ")
            assert await peer.closed()
        await stopping
        assert sorted(each.raw for each in it.stored()) == [b"one\r\n", b"two\r\n"]


async def test_stopping_does_not_wait_for_ever(tmp_path: Path) -> None:
    async with sink(tmp_path) as it, it.peer() as peer:
        await peer.say(MAIL, RCPT, "DATA")
        await peer.send(b"and then nothing")
        await it.server.stop(0.05)
        assert (await peer.reply()).startswith("421 4.3.2 ")
        assert await peer.closed()
