"""What octets mean on the wire, however they are cut into chunks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bouncesink.intake.dialogue import Refused, recipient, sender
from bouncesink.intake.recipients import Recipients
from bouncesink.intake.wire import MAX_LINE, CommandLines, Content

PIECES = st.lists(
    st.sampled_from([b"\r\n", b"\n", b"\r", b".", b"..", b"\r\n.", b"\0", b"text", b"x" * 50]),
    max_size=30,
).map(b"".join)
CUTS = st.lists(st.integers(1, 40), min_size=1)


def stuffed(lines: bytes) -> bytes:
    """What a client must send (RFC 5321, section 4.5.2)."""
    return (b"\r\n" + lines).replace(b"\r\n.", b"\r\n..")[2:] + b"\r\n.\r\n"


def received(octets: bytes, cuts: list[int], limit: int = 10**6) -> tuple[Content, bytes]:
    content, buffer, rest = Content(limit), bytearray(), octets
    turn = 0
    while True:
        size = cuts[turn % len(cuts)]
        turn += 1
        chunk, rest = rest[:size], rest[size:]
        assert chunk, "the end was not found"
        buffer += chunk
        if content.take(buffer):
            return content, bytes(buffer) + rest


@given(PIECES, PIECES, CUTS)
def test_content_comes_out_as_it_went_in(text: bytes, after: bytes, cuts: list[int]) -> None:
    content, left = received(stuffed(text) + after, cuts)
    assert content.octets() == text + b"\r\n"
    assert left == after


@given(PIECES, CUTS, st.integers(-3, 3))
def test_only_what_is_over_the_limit_is_too_big(text: bytes, cuts: list[int], slack: int) -> None:
    size = len(text) + 2
    content, left = received(stuffed(text) + b"QUIT\r\n", cuts, limit=max(0, size + slack))
    assert content.too_big == (max(0, size + slack) < size)
    assert left == b"QUIT\r\n"


def test_nothing_is_kept_of_what_is_too_big() -> None:
    content, buffer = Content(1000), bytearray()
    for _ in range(1000):
        buffer += b"x" * 1000
        assert not content.take(buffer)
        assert len(content._kept) < 2100
    buffer += b"\r\n.\r\n"
    assert content.take(buffer)
    assert content.too_big


@pytest.mark.parametrize(
    "smuggled",
    [
        b"\n.\n",
        b"\n.\r\n",
        b"\r\n.\n",
        b"\r.\r",
        b"\r.\r\n",
        b"\r\n.\r",
        b"\n.\r",
        b"\r.\n",
        b"\r\r\n.\r\r\n",
        b"\r\n\0.\r\n",
        b"\r\n.\0\r\n",
        b"\r\n. \r\n",
        b"\r\n .\r\n",
        b"\x0b.\x0b",
        b"\x85.\x85",
        b"\xe2\x80\xa8.\xe2\x80\xa8",
    ],
)
def test_only_crlf_dot_crlf_ends_the_data(smuggled: bytes) -> None:
    body = b"one" + smuggled + b"MAIL FROM:<thief@example.net>\r\n"
    for size in range(1, 12):
        content, left = received(body + b".\r\nQUIT\r\n", [size])
        # Of a line that begins with a dot and is not the end, the dot goes: the client put it in.
        assert content.octets() == body.replace(b"\r\n.", b"\r\n")
        assert left == b"QUIT\r\n"


@given(
    st.lists(st.binary(max_size=60).map(lambda line: line.replace(b"\n", b"")), max_size=8), CUTS
)
def test_command_lines_are_the_same_however_cut(lines: list[bytes], cuts: list[int]) -> None:
    rest, buffer, taken, reader = (
        b"".join(x + b"\r\n" for x in lines),
        bytearray(),
        [],
        CommandLines(),
    )
    turn = 0
    while rest:
        buffer += rest[: cuts[turn % len(cuts)]]
        rest = rest[cuts[turn % len(cuts)] :]
        turn += 1
        while (line := reader.take(buffer)) is not None:
            taken.append(line)
    assert taken == lines


@pytest.mark.parametrize(
    "size", [MAX_LINE - 1, MAX_LINE, MAX_LINE + 1, MAX_LINE + 2, 10 * MAX_LINE]
)
@pytest.mark.parametrize("chunk", [1, 100, 100_000])
def test_a_line_too_long_is_one_line_and_takes_no_room(size: int, chunk: int) -> None:
    octets = b"x" * size + b"\r\nQUIT\r\n"
    reader, buffer, taken = CommandLines(), bytearray(), []
    for start in range(0, len(octets), chunk):
        buffer += octets[start : start + chunk]
        while (line := reader.take(buffer)) is not None:
            taken.append(line)
        assert len(buffer) <= MAX_LINE + 1
    assert [len(line) for line in taken] == [min(size, MAX_LINE + 1), 4]


@pytest.mark.parametrize(
    ("argument", "address"),
    [
        ("FROM:<>", ""),
        ("from:<a@example.com>", "a@example.com"),
        ("FROM: <a@example.com> SIZE=1000", "a@example.com"),
        ("FROM:<a@example.com> BODY=8BITMIME SMTPUTF8 size=10", "a@example.com"),
        ('FROM:<"a b>c"@example.com>', '"a b>c"@example.com'),
        ("FROM:<@one.example,@two.example:a@example.com>", "a@example.com"),
        ("FROM:<jürgen@example.com> SMTPUTF8", "jürgen@example.com"),
        ('FROM:<"@x:y"@example.com>', '"@x:y"@example.com'),
    ],
)
def test_senders(argument: str, address: str) -> None:
    assert sender(argument, 1000) == address


@pytest.mark.parametrize(
    ("argument", "code"),
    [
        ("", "501 5.5.4"),
        ("FROM", "501 5.5.4"),
        ("FROM:", "501 5.5.4"),
        ("FROM:a@example.com", "501 5.5.4"),
        ("TO:<a@example.com>", "501 5.5.4"),
        ("FROM:<a@example.com", "501 5.5.4"),
        ("FROM:<a@example.com>SIZE=3", "501 5.5.4"),
        ("FROM:<a@example.com> SIZE=1001", "552 5.3.4"),
        ("FROM:<a@example.com> SIZE=" + "9" * 1500, "552 5.3.4"),
        ("FROM:<a@example.com> SIZE=x", "555 5.5.4"),
        ("FROM:<a@example.com> SIZE", "555 5.5.4"),
        ("FROM:<a@example.com> BODY=BINARYMIME", "555 5.5.4"),
        ("FROM:<a@example.com> RET=HDRS", "555 5.5.4"),
        ("FROM:<a\x1b[2J@example.com>", "501 5.5.4"),
        ('FROM:<"a\x00b"@example.com>', "501 5.5.4"),
        ("FROM:<" + '"' * 1000 + "\\" * 1000, "501 5.5.4"),
    ],
)
def test_senders_refused(argument: str, code: str) -> None:
    with pytest.raises(Refused) as refused:
        sender(argument, 1000)
    assert refused.value.reply.startswith(code + " ")


def test_recipient_arguments() -> None:
    assert recipient("TO:<bounces@example.com>") == "bounces@example.com"
    for argument, code in (("TO:<b@example.com> NOTIFY=NEVER", "555"), ("FROM:<>", "501")):
        with pytest.raises(Refused, match=code):
            recipient(argument)


@pytest.mark.parametrize(
    ("address", "ours"),
    [
        ("bounces@example.com", True),
        ("BOUNCES@Example.COM", True),
        ("bounces+token@example.com", True),
        ("bounces-token@example.com", True),
        ("bounces+user=example.net@example.com", True),
        ("bounces-a-b+c@example.com", True),
        ('"bounces"@example.com', True),
        ("bounces@bücher.example", True),
        ("bounces@xn--bcher-kva.example", True),
        ("sales@example.org", True),
        ("sales+x@example.org", True),
        ("sales-team@example.org", False),
        ("bounces@example.org", False),
        ("bouncesx@example.com", False),
        ("bounce@example.com", False),
        ("+bounces@example.com", False),
        ("bounces@example.com.example.net", False),
        ("bounces+\ud800@example.com\0", False),
        ("bounces", False),
        ("", False),
    ],
)
def test_who_is_ours(address: str, ours: bool) -> None:
    recipients = Recipients(
        ["bounces@example.com", "bounces@bücher.example"], ["Sales@example.org"]
    )
    assert (address in recipients) is ours
