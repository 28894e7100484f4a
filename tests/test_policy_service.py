"""Postfix's question whether a recipient may be mailed, over a real socket."""

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from bouncesink.config import Config, GateConfig, LedgerConfig
from bouncesink.engine.answers import Answer
from bouncesink.ledger import open_ledger
from bouncesink.model import Contact, Reason, Severity
from bouncesink.service import policy
from bouncesink.service.policy import PolicyServer, refusal

AT = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
GONE = Contact(
    "gone@example.org", Severity.HARD, 1, AT, suppressed=frozenset({Reason.HARD}), hard_since=AT
)
REFUSED = "action=550 5.7.1 suppressed by bouncesink (hard since 2026-03-02)\n\n"
FREE = "action=DUNNO\n\n"


@asynccontextmanager
async def service(path, listen="127.0.0.1:0"):
    config = replace(Config(), ledger=LedgerConfig(path), gate=GateConfig(postfix=(listen,)))
    server = PolicyServer(config)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@pytest.fixture
async def asked(tmp_path):
    path = tmp_path / "ledger.db"
    ledger = open_ledger(path)
    ledger.put_contacts([GONE])
    ledger.close()
    async with service(path) as server:
        yield server


async def connect(server):
    host, _, port = server.names[0].rpartition(":")
    return await asyncio.open_connection(host, int(port))


def request(recipient: str, **more: str) -> bytes:
    """A request as Postfix 3.7 sends it (SMTPD_POLICY_README), shortened."""
    fields = {
        "request": "smtpd_access_policy",
        "protocol_state": "RCPT",
        "protocol_name": "ESMTP",
        "client_address": "192.0.2.1",
        "sender": "sales@example.com",
        "recipient": recipient,
        "recipient_count": "0",
        **more,
    }
    return "".join(f"{name}={value}\n" for name, value in fields.items()).encode() + b"\n"


async def replies(server, *requests: bytes) -> list[str]:
    reader, writer = await connect(server)
    found = []
    async with asyncio.timeout(10):
        for each in requests:
            writer.write(each)
            answer = await reader.readline() + await reader.readline()
            found.append(answer.decode())
    writer.close()
    return found


async def test_a_suppressed_recipient_is_refused_and_another_goes_on(asked):
    wanted = [request("Gone@Example.org"), request("new@example.org"), request("gone@example.org")]
    assert await replies(asked, *wanted) == [REFUSED, FREE, REFUSED]


@pytest.mark.parametrize(
    "asked_for",
    [
        request(""),
        request("nobody"),
        request("gone@example.org", request="something_else"),
        b"\n",
        b"recipient\n\n",
        b"\xff\xfe=\xff\n\n",
    ],
)
async def test_what_is_about_nobody_goes_on(asked, asked_for):
    assert await replies(asked, asked_for) == [FREE]


@pytest.mark.parametrize("nonsense", [b"x" * 100_000, b"a=b\n" * 1000, b"GET / HTTP/1.1\r\n" * 200])
async def test_who_speaks_nonsense_is_cut_off_and_others_are_served(asked, nonsense):
    reader, writer = await connect(asked)
    with suppress(ConnectionError):
        writer.write(nonsense)
        async with asyncio.timeout(10):
            assert await reader.read() == b""
    writer.close()
    assert await replies(asked, request("gone@example.org")) == [REFUSED]


async def test_several_requests_at_once_are_answered_in_their_order(asked):
    both = request("gone@example.org") + request("new@example.org")
    reader, writer = await connect(asked)
    writer.write(both)
    writer.write_eof()
    async with asyncio.timeout(10):
        assert (await reader.read()).decode() == REFUSED + FREE
    writer.close()


async def test_when_the_ledger_cannot_be_read_mail_goes_its_way_and_when_it_can_again_is_refused(
    tmp_path,
):
    path = tmp_path / "ledger.db"
    async with service(path) as server:
        assert await replies(server, request("gone@example.org")) == [FREE]
        ledger = open_ledger(path)
        ledger.put_contacts([GONE])
        ledger.close()
        assert await replies(server, request("gone@example.org")) == [REFUSED]


async def test_beyond_so_many_connections_one_is_turned_away_and_served_when_another_leaves(
    asked, monkeypatch
):
    monkeypatch.setattr(policy, "MAX_CONNECTIONS", 2)
    held = [await connect(asked) for _ in range(2)]
    for reader, writer in held:
        writer.write(request("gone@example.org"))
        await reader.readline()
    reader, writer = await connect(asked)
    async with asyncio.timeout(10):
        assert await reader.read() == b""
    writer.close()
    for _, each in held:
        each.close()
        await each.wait_closed()
    async with asyncio.timeout(10):
        while True:
            with suppress(ConnectionError, AssertionError):
                assert await replies(asked, request("gone@example.org")) == [REFUSED]
                break


async def test_over_a_unix_socket(tmp_path):
    path = tmp_path / "ledger.db"
    open_ledger(path).close()
    async with service(path, f"unix:{tmp_path}/policy") as server:
        assert server.names == [f"unix:{tmp_path}/policy"]
        reader, writer = await asyncio.open_unix_connection(tmp_path / "policy")
        writer.write(request("new@example.org"))
        async with asyncio.timeout(10):
            assert await reader.readline() == b"action=DUNNO\n"
        writer.close()


def test_what_a_bounce_said_cannot_break_out_of_the_line():
    said = "550 no\naction=OK\r\n\x1b[2J\u202eétrange" + "x" * 5000
    reply = refusal(Answer("a@example.org", (Reason.HARD,), said=said))
    assert reply.startswith(
        "550 5.7.1 suppressed by bouncesink (hard); it was said: 550 no action=OK"
    )
    assert reply.isascii()
    assert reply.isprintable()
    assert len(reply) < 300
