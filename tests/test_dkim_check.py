"""Our own signature on returned headers: what verifies, what does not, and what must not hang."""

import base64
import builtins
import quopri
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dns.message
import dns.resolver
import dns.rrset
import pytest
import signing
from commands import Run
from hypothesis import given
from hypothesis import strategies as st

from bouncesink import config
from bouncesink.dkim_check import KEEP, MAX_MISSES, DnsKeys, Signature, Signatures
from bouncesink.engine import Engine
from bouncesink.errors import ConfigError
from bouncesink.identity import arrival_id
from bouncesink.ledger import open_ledger
from bouncesink.model import Arrival
from bouncesink.parse import Options, parse

LEAD = "lead@example.com"
HEADERS = (
    f"From: Sales <sales@example.org>\nTo: The Lead\n <{LEAD}>\nSubject: Hello\n"
    "Date: Mon, 09 Mar 2026 12:00:00 +0000\nMessage-ID: <1@example.org>\nX-Mailer: a\n"
)
OURS = Signature(verifies=True, from_="Sales <sales@example.org>", to=f"The Lead <{LEAD}>")
BROKEN = Signature(verifies=False)
PATH = Path("/etc/bouncesink/bouncesink.toml")
MAILBOX = '[[mailboxes]]\naddress = "sales@example.org"\n'


def toml(trust: str) -> str:
    return f"[trust]\n{trust}\n{MAILBOX}"


def keys(**records: str) -> str:
    return "dkim_keys = {" + ", ".join(f'"{n}" = "{r}"' for n, r in records.items()) + "}"


def made(trust: str) -> Signatures:
    signatures = Signatures.of(config.parse(toml(trust), PATH))
    assert signatures is not None
    return signatures


CONFIGURED = keys(**{signing.NAME: signing.record()})


@pytest.fixture(scope="module")
def ours() -> Signatures:
    return made(CONFIGURED)


def block(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode("latin-1")


RECEIVED = "Received: from a by b; Mon, 09 Mar 2026 12:00:01 +0000\nReturn-Path: <x@example.org>\n"


@pytest.mark.parametrize("header", [b"relaxed", b"simple"])
def test_our_signature_verifies_without_the_body(ours: Signatures, header: bytes) -> None:
    returned = RECEIVED + signing.signed(HEADERS, header=header)
    assert ours.check(block(returned)) == OURS
    # What it does not cover may be changed, and the rest refolded where it is relaxed.
    assert ours.check(block(returned.replace("X-Mailer: a", "X-Mailer: b"))) == OURS
    refolded = ours.check(block(returned.replace("To: The Lead\n", "TO:  The\n\tLead\n")))
    assert refolded == (OURS if header == b"relaxed" else BROKEN)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (LEAD, "other@example.com"),
        ("sales@", "sale@"),
        ("<1@example.org>", "<2@example.org>"),
        ("From: ", "From: Boss <boss@example.org>\nFrom: "),
        ("h=from : to", "h=from : cc"),
        ("c=relaxed", "c=simple"),
        ("a=rsa-sha256", "a=rsa-sha1"),
        ("a=rsa-sha256", "a=none"),
        ("v=1", "v=2"),
        (" b=", " b=BBBB"),
        (" b=", " b=="),
        (" b=", " b=\N{LATIN SMALL LETTER E WITH ACUTE}"),
    ],
)
def test_a_changed_one_does_not(ours: Signatures, old: str, new: str) -> None:
    returned = signing.signed(HEADERS)
    assert old in returned
    assert ours.check(block(returned.replace(old, new))) == BROKEN


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("d=example.org", "d=example.net"),
        ("d=example.org", "d=mail.example.org"),
        ("s=s1", "s=s2"),
        ("s=s1", "s=" + "x." * 2000),
        ("s=s1", "s=s1; s=s1"),
        (" b=", " b" + " " * 200 + "="),
        (" b=", " b=" + "A" * 5000),
        ("DKIM-Signature", "X-DKIM-Signature"),
        ("DKIM-Signature:", "DKIM-Signature:;;;;"),
        ("DKIM-Signature:", "no field\nDKIM-Signature:"),
    ],
)
def test_what_is_none_of_ours_says_nothing(ours: Signatures, old: str, new: str) -> None:
    returned = signing.signed(HEADERS)
    assert old in returned
    assert ours.check(block(returned.replace(old, new))) is None


def test_no_signature_no_headers_and_half_of_them(ours: Signatures) -> None:
    assert ours.check(b"") is None
    assert ours.check(block(HEADERS)) is None
    assert ours.check(block(" DKIM-Signature: x\n" + HEADERS)) is None
    assert ours.check(block("DKIM-Signature: a\n" * 5000)) is None
    half = signing.signed(HEADERS)
    assert ours.check(block(half[: half.index("Date:")])) == BROKEN


def test_only_what_it_covers_counts(ours: Signatures) -> None:
    """DKIM covers the lowest field of a name: one put on top is not in it."""
    returned = signing.signed(HEADERS)
    assert ours.check(block(f"To: victim@example.com\n{returned}")) == OURS
    uncovered = signing.signed(HEADERS, covers=("from", "subject"))
    assert ours.check(block(uncovered)) == Signature(True, OURS.from_, "")
    both = signing.signed("Cc: x@example.net\n" + HEADERS, covers=(*signing.COVERED, "cc"))
    found = ours.check(block(both))
    assert found is not None
    assert found.to == f"The Lead <{LEAD}>, x@example.net"


def test_the_best_of_several_signatures(ours: Signatures) -> None:
    returned = signing.signed(HEADERS)
    other = signing.signed(HEADERS, "theirs").replace(HEADERS, "")
    assert ours.check(block(other + HEADERS)) == BROKEN
    assert ours.check(block(other + other + returned)) == OURS
    assert ours.check(block(other * 20 + returned)) == BROKEN


def test_a_late_bounce_has_an_expired_signature_and_it_counts(ours: Signatures) -> None:
    import dkim

    class Expired(dkim.DKIM):  # type: ignore[misc]
        def gen_header(self, fields: Any, *rest: Any) -> Any:
            return super().gen_header([*fields[:-1], (b"x", b"1700000000"), fields[-1]], *rest)

    pem = signing.pem()
    mail = Expired(block(HEADERS + "\n"))
    field = mail.sign(b"s1", b"example.org", pem, include_headers=[b"from", b"to"])
    assert b"x=1700000000" in field
    found = ours.check(field + block(HEADERS))
    assert found is not None
    assert found.verifies


def test_other_domains_that_sign_for_us() -> None:
    elsewhere = signing.signed(HEADERS, domain="mail.example.net")
    name = "s1._domainkey.mail.example.net"
    assert made(keys(**{name: signing.record()})).check(block(elsewhere)) == OURS
    assert made(keys(**{name: signing.record("theirs")})).check(block(elsewhere)) == BROKEN


# Through the front door


def bounce(returned: str, media_type: str = "text/rfc822-headers", coding: str = "8bit") -> str:
    if coding == "base64":
        returned = base64.encodebytes(returned.encode()).decode()
    elif coding == "quoted-printable":
        returned = quopri.encodestring(returned.encode()).decode()
    return f"""\
From: Mail Delivery System <mailer-daemon@example.com>
To: bounces@example.org
Subject: Undelivered Mail Returned to Sender
Date: Tue, 10 Mar 2026 11:00:00 +0000
Message-ID: <2@example.com>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.com

Final-Recipient: rfc822; {LEAD}
Action: failed
Status: 5.1.1

--b
Content-Type: {media_type}
Content-Transfer-Encoding: {coding}

{returned}
--b--
"""


def forwarded(mail: str) -> str:
    return (
        "From: sales@example.org\nTo: bounces@example.org\nSubject: Fwd: Undelivered\n"
        "Date: Tue, 10 Mar 2026 11:30:00 +0000\nMessage-ID: <3@example.org>\nMIME-Version: 1.0\n"
        'Content-Type: multipart/mixed; boundary="w"\n\n--w\nContent-Type: message/rfc822\n\n'
        f"{mail}\n--w--\n"
    )


def qmail(returned: str) -> str:
    return (
        "From: MAILER-DAEMON@example.com\nTo: bounces@example.org\nSubject: failure notice\n"
        "Date: Tue, 10 Mar 2026 11:00:00 +0000\nMessage-ID: <2@example.com>\n\n"
        "Hi. This is the qmail-send program at example.com.\n"
        "I'm afraid I wasn't able to deliver your message to the following addresses.\n"
        "This is a permanent error; I've given up. Sorry it didn't work out.\n\n"
        f"<{LEAD}>:\n550 5.1.1 User unknown\n\n"
        f"--- Below this line is a copy of the message.\n\nReturn-Path: <sales@example.org>\n{returned}"
    )


WAYS: dict[str, Callable[[str], str]] = {
    "headers": bounce,
    "a message": lambda returned: bounce(f"{returned}\nIts body.\n", "message/rfc822"),
    "in base64": lambda returned: bounce(returned, coding="base64"),
    "quoted-printable": lambda returned: bounce(returned, coding="quoted-printable"),
    "attached": lambda returned: forwarded(bounce(returned)),
    "inline": qmail,
}


UNUSUAL = HEADERS.replace("Hello", "=?utf-8?q?Gr=C3=BC=C3=9Fe?=\n\tvon  uns ")


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("way", WAYS)
def test_what_comes_back_is_read_to_the_octet(ours: Signatures, way: str, ends: str) -> None:
    mail = WAYS[way](RECEIVED + signing.signed(UNUSUAL, header=b"simple"))
    raw = mail.replace("\n", ends).encode()
    sink = "bounces@example.org"
    arrival = Arrival(arrival_id(raw, sink), "lmtp", "", sink, datetime.now(UTC), raw)
    found = ours.check(parse(arrival, Options()).original.header_block)
    assert found is not None
    assert found.verifies


def test_a_real_bounce_is_proven_and_stays_so(run: Run) -> None:
    Path("a.eml").write_text(bounce(signing.signed(HEADERS)))
    Path("b.toml").write_text(toml(f'require = "proven"\n{CONFIGURED}'))
    assert run("replay", "a.eml", "--config", "b.toml").code == 0
    told = run("explain", LEAD, "--config", "b.toml").out
    assert "our DKIM signature verifies, and is for this address" in told
    assert run("check", LEAD, "--config", "b.toml").code == 1
    assert "Nothing changes" in run("rebuild", "--config", "b.toml").out


# What must not hang

TAGS = "DKIM-Signature: v=1; a=rsa-sha256; d=example.org; s=s1; bh=AA==; b=AAAA; h=from:to"
HOSTILE = [
    f"{TAGS}; n=x b" + "\n " * 20000 + "y",
    f"{TAGS}" + "\n :" * 10000,
    f"{TAGS}; n=" + "".join(f"\n{' ' * 90}b" for _ in range(40)),
    f"{TAGS}; n=" + " b" * 1900,
    TAGS + ":x" * 1800,
    TAGS + "".join(f":x{n}" for n in range(800)) + "\n" + "X-Filler: x\n" * 4500 + "From: x",
    f"{TAGS}\n" * 600 + "From: x",
    "Subject:" + "\n " * 30000,
    "\n".join(f"X-{n}: DKIM-Signature" for n in range(4000)),
]


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_headers_take_no_time(ours: Signatures, hostile: str) -> None:
    """A pattern that backtracks takes minutes over these, not seconds."""
    before = time.process_time()
    found = ours.check(block(f"{hostile}\n{signing.signed(HEADERS)}"))
    assert time.process_time() - before < 5
    assert found in (None, BROKEN, OURS)


PIECES = [
    *(f"{tag}={value}" for tag in "vabdhstxilcq" for value in ("", "1", "AAAA", "from:to", "s1")),
    *(
        "a=rsa-sha256",
        "d=example.org",
        "h=",
        "h=:::",
        "l=99999",
        "c=x/y/z",
        "\n ",
        "\xff",
        "=",
        ";",
    ),
]


@given(st.lists(st.sampled_from(PIECES)), st.binary(max_size=50))
def test_any_header_section_is_read(pieces: list[str], rest: bytes) -> None:
    field = "DKIM-Signature: v=1; d=example.org; s=s1; " + "; ".join(pieces) + "\n"
    found = made(CONFIGURED).check(block(field + HEADERS) + rest)
    assert found is None or not found.verifies


@pytest.mark.parametrize(
    ("trust", "message"),
    [
        (keys(**{signing.NAME: "p="}), "s1._domainkey.example.org: the DNS record is wanted"),
        (keys(**{signing.NAME: "v=DKIM1; k=rsa; p=AAAA"}), "the DNS record is wanted"),
        (keys(**{signing.NAME: "nothing"}), "the DNS record is wanted"),
        (keys(**{signing.NAME: "v=DKIM1; k=dsa; p=AAAA"}), "the DNS record is wanted"),
    ],
)
def test_a_key_that_is_none_is_refused(trust: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        made(trust)


# The DNS


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_dns_is_asked_once_an_hour_and_seldom_for_what_is_not_there() -> None:
    asked: list[str] = []

    def lookup(name: str) -> bytes | None:
        asked.append(name)
        if name.startswith("gone"):
            raise TimeoutError
        return b"p=x" if name.startswith("real") else None

    clock = Clock()
    resolver = DnsKeys(lookup, clock)
    assert [resolver.get("real"), resolver.get("real")] == [b"p=x"] * 2
    assert [resolver.get("gone"), resolver.get("gone")] == [None] * 2
    assert asked == ["real", "gone"]
    for n in range(100):
        assert resolver.get(f"fake{n}") is None
    assert len(asked) == 1 + MAX_MISSES
    # A real key stays to be had, also when its time is up, however many fakes were tried.
    clock.now = KEEP
    assert resolver.get("real") == b"p=x"
    assert len(asked) == 2 + MAX_MISSES
    assert resolver.get("gone") is None
    assert asked[-1] == "gone"


@pytest.fixture
def dns_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Serve our key by a name server on this machine; give what it was asked."""
    asked: list[str] = []
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))

    def answer() -> None:
        while len(packet := (received := server.recvfrom(4096))[0]) > 1:
            query = dns.message.from_wire(packet)
            name = query.question[0].name.to_text()
            asked.append(name)
            response = dns.message.make_response(query)
            if name == signing.NAME + ".":
                text = f'"{signing.record()[:100]}" "{signing.record()[100:]}"'
                response.answer.append(dns.rrset.from_text(name, 60, "IN", "TXT", text))
            else:
                response.set_rcode(dns.rcode.NXDOMAIN)
            server.sendto(response.to_wire(), received[1])

    thread = threading.Thread(target=answer)
    thread.start()
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], server.getsockname()[1]
    monkeypatch.setattr(dns.resolver, "default_resolver", resolver)
    yield asked
    server.sendto(b"x", server.getsockname())
    thread.join()
    server.close()


def test_a_key_from_the_dns(dns_server: list[str]) -> None:
    ours = made("dkim_dns = true")
    returned = signing.signed(HEADERS)
    assert ours.check(block(returned)) == OURS
    assert ours.check(block(returned.replace("s=s1", "s=s2"))) is None
    assert ours.check(block(returned.replace("d=example.org", "d=example.net"))) is None
    assert dns_server == ["s1._domainkey.example.org.", "s2._domainkey.example.org."]


def test_no_dns_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    resolver = dns.resolver.Resolver(configure=False)
    monkeypatch.setattr(dns.resolver, "default_resolver", resolver)
    assert made("dkim_dns = true").check(block(signing.signed(HEADERS))) is None


# The commands


@pytest.fixture
def without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Import as if `bouncesink[auth]` were not installed."""
    really = builtins.__import__

    def fail(name: str, *args: Any, **named: Any) -> Any:
        if name in ("dkim", "authres"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return really(name, *args, **named)

    monkeypatch.setattr(builtins, "__import__", fail)


@pytest.mark.usefixtures("without_the_extra")
@pytest.mark.parametrize("trust", [CONFIGURED, "dkim_dns = true", 'authserv_id = "mx.example.org"'])
def test_without_the_extra_it_says_so_at_the_start(run: Run, trust: str) -> None:
    Path("b.toml").write_text(f'[lmtp]\nlisten = "127.0.0.1:1"\n{toml(trust)}')
    open_ledger(Path("bouncesink.db")).close()
    found = run("doctor", "--config", "b.toml", "--json")
    (failed,) = [line["message"] for line in found.lines if line["state"] == "fail"]
    assert "pip install 'bouncesink[auth]'" in failed
    for command in (["serve"], ["rebuild"]):
        refused = run(*command, "--config", "b.toml")
        assert (refused.code, failed in refused.err) == (2, True), refused.err


def test_doctor_tells_the_keys(run: Run) -> None:
    Path("b.toml").write_text(toml(f'{CONFIGURED}\nauthserv_id = "mx.example.org"'))
    found = run("doctor", "--config", "b.toml", "--json")
    told = {line["what"]: line for line in found.lines}
    assert told["dkim"]["message"] == "1 key; signatures of example.org"
    assert told["authserv_id"]["state"] == "ok"
    Path("b.toml").write_text(toml(keys(**{signing.NAME: "p=AAAA"})))
    found = run("doctor", "--config", "b.toml")
    assert "s1._domainkey.example.org: the DNS record is wanted" in found.out
    assert found.code == 2


def test_the_engine_refuses_a_broken_key(tmp_path: Path) -> None:
    broken = config.parse(toml(keys(**{signing.NAME: "p=AAAA"})), PATH)
    ledger = open_ledger(tmp_path / "bouncesink.db")
    with pytest.raises(ConfigError, match="the DNS record is wanted"):
        Engine(ledger, broken)
    ledger.close()
