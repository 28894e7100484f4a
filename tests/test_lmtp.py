"""LMTP as a peer sees it (RFC 2033, RFC 5321), and what is stored."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from lmtp_support import MAIL, RCPT, RECIPIENT, sink, until
from structlog.testing import capture_logs

from bouncesink.identity import arrival_id

CONTENT = b"Subject: a bounce\r\n\r\nuser unknown\r\n"


async def test_what_it_offers(tmp_path: Path) -> None:
    async with sink(tmp_path, max_message_size=12345) as it, it.peer(lhlo=False) as peer:
        assert (await peer.reply()).startswith("220 ")
        (reply,) = await peer.say("LHLO peer.example.net")
        assert [line[4:] for line in reply.split("\n")][1:] == [
            "PIPELINING",
            "ENHANCEDSTATUSCODES",
            "8BITMIME",
            "SMTPUTF8",
            "SIZE 12345",
        ]


async def test_what_is_stored(tmp_path: Path) -> None:
    raw = b"Subject: \xff\x00 8bit\r\n\r\n.dot\r\n..dots\r\n" + b"x" * 100_000 + b"\r\nlf\nonly\r\n"
    before = datetime.now(UTC)
    async with sink(tmp_path) as it, it.peer() as peer:
        with capture_logs() as logs:
            replies = await peer.deliver(
                b"\r\n".join(
                    b"." + line if line.startswith(b".") else line for line in raw.split(b"\r\n")
                )
            )
        (arrival,) = it.stored()
        assert it.server.accepted == 1
    assert replies == [f"250 2.0.0 Stored as {arrival.id}"]
    assert arrival.raw == raw
    assert arrival.id == arrival_id(raw, RECIPIENT)
    assert arrival.source == "lmtp"
    assert (arrival.envelope_from, arrival.envelope_to) == ("", RECIPIENT)
    assert arrival.received_at.microsecond % 1000 == 0
    assert abs((arrival.received_at - before).total_seconds()) < 60
    (event,) = [each for each in logs if each["event"] == "lmtp.accepted"]
    assert (event["id"], event["size"], event["recipients"]) == (arrival.id, len(raw), 1)


async def test_a_sender_is_kept_as_it_is(tmp_path: Path) -> None:
    async with sink(tmp_path) as it, it.peer() as peer:
        for sender in ("Sender@example.net", "jürgen@example.net", '"a b"@example.net'):
            await peer.say(f"MAIL FROM:<{sender}> SMTPUTF8 BODY=8BITMIME", RCPT, "DATA")
            assert (await peer.say(f"for {sender}\r\n."))[0].startswith("250 ")
        await peer.send(b"MAIL FROM:<\xff@example.net>\r\n")
        assert await peer.reply() == "250 2.1.0 Sender ok"
        await peer.say(RCPT, "DATA")
        assert (await peer.say("."))[0].startswith("250 ")
        assert [each.envelope_from for each in it.stored()] == [
            "Sender@example.net",
            "jürgen@example.net",
            '"a b"@example.net',
            "\N{REPLACEMENT CHARACTER}@example.net",
        ]


DIALOGUES = {
    "everything needs LHLO": [(MAIL, "503 5.5.1"), (RCPT, "503 5.5.1"), ("DATA", "503 5.5.1")],
    "this is not SMTP": [("EHLO x", "500 5.5.1"), ("HELO x", "500 5.5.1"), (MAIL, "503 5.5.1")],
    "LHLO needs a name": [("LHLO", "501 5.5.4"), ("LHLO x", "250-"), (MAIL, "250 2.1.0")],
    "RCPT needs MAIL": [("LHLO x", "250-"), (RCPT, "503 5.5.1")],
    "DATA needs RCPT": [("LHLO x", "250-"), (MAIL, "250 2.1.0"), ("DATA", "503 5.5.1")],
    "DATA needs a valid RCPT": [
        ("LHLO x", "250-"),
        (MAIL, "250 2.1.0"),
        ("RCPT TO:<nobody@example.org>", "550 5.1.1"),
        ("DATA", "503 5.5.1"),
        (RCPT, "250 2.1.5"),
        ("DATA", "354 "),
        (".", "250 2.0.0"),
        (RCPT, "503 5.5.1"),
    ],
    "MAIL comes once": [("LHLO x", "250-"), (MAIL, "250 2.1.0"), (MAIL, "503 5.5.1")],
    "RSET and LHLO begin anew": [
        ("LHLO x", "250-"),
        (MAIL, "250 2.1.0"),
        (RCPT, "250 2.1.5"),
        ("RSET", "250 2.0.0"),
        ("DATA", "503 5.5.1"),
        (MAIL, "250 2.1.0"),
        (RCPT, "250 2.1.5"),
        ("LHLO x", "250-"),
        ("DATA", "503 5.5.1"),
        (MAIL, "250 2.1.0"),
    ],
    "arguments": [
        ("LHLO x", "250-"),
        ("MAIL", "501 5.5.4"),
        ("MAIL FROM:a@example.net", "501 5.5.4"),
        ("MAIL FROM:<a@example.net> FOO=1", "555 5.5.4"),
        ("MAIL FROM:<a@example.net> SIZE=60000001", "552 5.3.4"),
        ("mail from:<a@example.net> size=60000000", "250 2.1.0"),
        ("RCPT", "501 5.5.4"),
        ("RCPT TO:<nobody@example.org>", "550 5.1.1"),
        (f"{RCPT} NOTIFY=NEVER", "555 5.5.4"),
        ("rcpt to: <BOUNCES+X@EXAMPLE.ORG>", "250 2.1.5"),
        ("DATA now", "501 5.5.4"),
        ("RSET now", "501 5.5.4"),
        ("QUIT now", "501 5.5.4"),
        ("VRFY", "501 5.5.4"),
    ],
    "the rest": [
        ("NOOP", "250 2.0.0"),
        ("NOOP ignored", "250 2.0.0"),
        ("VRFY bounces", "252 2.5.0"),
        ("HELP", "214 2.0.0"),
        ("HELP MAIL", "214 2.0.0"),
        ("EXPN list", "500 5.5.1"),
        ("AUTH PLAIN AAAA", "500 5.5.1"),
        ("STARTTLS", "500 5.5.1"),
        ("BDAT 10 LAST", "500 5.5.1"),
        ("", "500 5.5.1"),
        ("\xe9", "500 5.5.1"),
        ("x" * 2048, "500 5.5.1"),
        ("NOOP " + "x" * 300_000, "500 5.5.2"),
        ("NOOP", "250 2.0.0"),
        ("QUIT", "221 2.0.0"),
        ("NOOP", ""),
    ],
    "sent away after too much nonsense": [("FOO", "500 5.5.1")] * 20
    + [("FOO", "421 4.7.0"), ("NOOP", "")],
}


@pytest.mark.parametrize("name", DIALOGUES)
async def test_dialogue(name: str, tmp_path: Path) -> None:
    async with sink(tmp_path) as it, it.peer(lhlo=False) as peer:
        assert (await peer.reply()).startswith("220 ")
        for line, expected in DIALOGUES[name]:
            (reply,) = await peer.say(line)
            assert reply.startswith(expected), (line[:80], reply)
            assert bool(reply) == bool(expected)


async def test_one_reply_a_recipient(tmp_path: Path) -> None:
    recipients = (RECIPIENT, "bounces+token@example.org", RECIPIENT, "sales@example.com")
    async with sink(tmp_path, mailboxes=("sales@example.com",)) as it, it.peer() as peer:
        replies = await peer.deliver(CONTENT, recipients)
        assert replies == [f"250 2.0.0 Stored as {arrival_id(CONTENT, to)}" for to in recipients]
        assert await peer.say("NOOP") == ["250 2.0.0 Ok"]
        assert [each.envelope_to for each in it.stored()] == list(dict.fromkeys(recipients))


async def test_a_redelivery_is_accepted_and_stored_once(tmp_path: Path) -> None:
    async with sink(tmp_path) as it, it.peer() as peer:
        assert await peer.deliver(CONTENT) == await peer.deliver(CONTENT)
        assert len(it.stored()) == 1


async def test_recipient_limit(tmp_path: Path) -> None:
    async with sink(tmp_path, max_recipients=2) as it, it.peer() as peer:
        replies = await peer.say(
            MAIL, RCPT, RCPT, RCPT, "RCPT TO:<nobody@example.org>", "DATA", "."
        )
        assert [reply[:9] for reply in replies[1:5]] == [
            "250 2.1.5",
            "250 2.1.5",
            "452 4.5.3",
            "550 5.1.1",
        ]
        assert replies[5].startswith("354 ")
        assert replies[6] == await peer.reply()
        assert it.server.refused == {"452 4.5.3": 1, "550 5.1.1": 1}


@pytest.mark.parametrize("size", [999, 1000, 1001, 2000, 2_000_000])
@pytest.mark.parametrize("chunk", [7, 1000, 65_536])
async def test_size_limit(size: int, chunk: int, tmp_path: Path) -> None:
    content = (b"." + b"x" * size)[: size - 2] + b"\r\n"
    wire = b"." + content + b".\r\n"
    if len(wire) // chunk > 1000:
        chunk = 65_536
    async with sink(tmp_path, max_message_size=1000) as it, it.peer() as peer:
        await peer.say(MAIL, RCPT, RCPT, "DATA")
        for start in range(0, len(wire), chunk):
            await peer.send(wire[start : start + chunk])
        expected = "250 2.0.0" if size <= 1000 else "552 5.3.4"
        assert [(await peer.reply())[:9] for _ in range(2)] == [expected] * 2
        assert [each.raw for each in it.stored()] == ([content] if size <= 1000 else [])
        assert (await peer.deliver(b"small\r\n"))[0].startswith("250 ")


@pytest.mark.parametrize("chunk", [1, 10, 100_000])
async def test_pipelining(chunk: int, tmp_path: Path) -> None:
    nobody = b"RCPT TO:<nobody@example.org>\r\n"
    mail, rcpt, data = MAIL.encode() + b"\r\n", RCPT.encode() + b"\r\n", b"DATA\r\n"
    talk = (
        b"LHLO peer.example.net\r\n"
        + (mail + rcpt + nobody + rcpt + data + b"one\r\n.\r\n")
        + (mail + nobody + data + b"RSET\r\n")
        + (mail + rcpt + data + b".\r\n")
        + b"NOOP\r\nQUIT\r\nNOOP\r\n"
    )
    async with sink(tmp_path) as it, it.peer(lhlo=False) as peer:
        for start in range(0, len(talk), chunk):
            await peer.send(talk[start : start + chunk])
        replies = []
        while reply := await peer.reply():
            replies.append(reply[:3])
        expected = "220 250/250 250 550 250 354 250 250/250 550 503 250/250 250 354 250/250 221"
        assert replies == expected.replace("/", " ").split()
        assert [each.raw for each in it.stored()] == [b"one\r\n", b""]


@pytest.mark.parametrize(
    "end", [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\r\n", b"\r\n.\r", b"\n.\r", b"\r.\n"]
)
async def test_a_message_cannot_be_smuggled(end: bytes, tmp_path: Path) -> None:
    """Only CRLF.CRLF ends the data; everything else is content, stored as it is."""
    inner = MAIL.encode() + b"\r\n" + RCPT.encode() + b"\r\nDATA\r\nevil\r\n"
    async with sink(tmp_path) as it, it.peer() as peer:
        replies = await peer.deliver(b"good" + end + inner)
        assert [reply[:3] for reply in replies] == ["250"]
        assert await peer.say("NOOP") == ["250 2.0.0 Ok"]
        (arrival,) = it.stored()
    # A dot at the start of a line is the client's stuffing.
    assert arrival.raw == b"good" + end.replace(b"\r\n.", b"\r\n") + inner


async def test_a_half_closed_peer_gets_its_replies(tmp_path: Path) -> None:
    async with sink(tmp_path) as it, it.peer() as peer:
        talk = f"{MAIL}\r\n{RCPT}\r\nDATA\r\ntext\r\n.\r\nMAIL FROM:<unfinished"
        await peer.send(talk.encode())
        peer.writer.write_eof()
        replies = [(await peer.reply())[:3] for _ in range(5)]
        assert replies == ["250", "250", "354", "250", ""]
        assert [each.raw for each in it.stored()] == [b"text\r\n"]


async def test_a_message_cut_short_is_none(tmp_path: Path) -> None:
    async with sink(tmp_path) as it, it.peer() as peer:
        await peer.say(MAIL, RCPT, "DATA")
        await peer.send(b"text\r\n.")
        peer.writer.write_eof()
        assert await peer.closed()
        assert it.stored() == []


async def test_connection_limit(tmp_path: Path) -> None:
    async with sink(tmp_path, max_connections=1) as it:
        async with it.peer() as first:
            async with it.peer(lhlo=False) as second:
                assert (await second.reply()).startswith("421 4.3.2 ")
                assert await second.closed()
            assert (await first.deliver(CONTENT))[0].startswith("250 ")
        await until(lambda: not it.server._sessions)
        async with it.peer() as third:
            assert (await third.deliver(CONTENT))[0].startswith("250 ")


class Clock:
    """The event loop's clock, put forward at will."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        self.time = loop.time
        self.ahead = 0.0
        monkeypatch.setattr(loop, "time", lambda: self.time() + self.ahead)


async def test_an_idle_peer_is_sent_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with sink(tmp_path, idle_timeout=100.0) as it, it.peer() as peer:
        clock = Clock(monkeypatch)
        for _ in range(3):
            clock.ahead += 90
            assert await peer.say("NOOP") == ["250 2.0.0 Ok"]
        await peer.send(b"half a comm")  # which is no progress
        clock.ahead += 101
        assert (await peer.reply()).startswith("421 4.4.2 ")
        assert await peer.closed()


async def test_data_may_take_long_while_it_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with sink(tmp_path, idle_timeout=1000.0, data_timeout=100.0) as it, it.peer() as peer:
        clock = Clock(monkeypatch)
        await peer.say(MAIL, RCPT, "DATA")
        (session,) = it.server._sessions
        for _ in range(30):
            clock.ahead += 90
            due = session._due
            await peer.send(b"text\r\n" * 8000)
            await until(lambda due=due: session._due > due)
        assert (await peer.say("\r\n."))[0].startswith("250 ")
        await peer.say(MAIL, RCPT, "DATA")
        await peer.send(b"text")
        clock.ahead += 101
        assert (await peer.reply()).startswith("421 4.4.2 ")
        assert await peer.closed()
        assert len(it.stored()) == 1


async def test_data_that_trickles_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or whoever sends an octet a minute would have his connection for ever."""
    async with sink(tmp_path, idle_timeout=1000.0, data_timeout=100.0) as it, it.peer() as peer:
        clock = Clock(monkeypatch)
        await peer.say(MAIL, RCPT, "DATA")
        (session,) = it.server._sessions
        for _ in range(3):
            clock.ahead += 30
            before = session._received
            await peer.send(b"x")
            await until(lambda before=before: session._received > before)
        assert it.server._sessions
        clock.ahead += 11
        assert (await peer.reply()).startswith("421 4.4.2 ")
        assert await peer.closed()
        assert it.stored() == []


async def test_a_peer_that_does_not_read_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with sink(tmp_path, idle_timeout=100.0) as it, it.peer() as peer:
        (session,) = it.server._sessions
        clock = Clock(monkeypatch)
        peer.writer.transport.pause_reading()
        while session.transport.is_reading() or not session.transport.get_write_buffer_size():
            peer.writer.write(b"HELP\r\n" * 50_000)
            await asyncio.sleep(0)
        assert len(session._buffer) < 1_000_000
        assert len(session._replies) <= 101
        assert session.transport.get_write_buffer_size() < 200_000
        clock.ahead += 101
        await until(lambda: not it.server._sessions)
