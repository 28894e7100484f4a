"""`bouncesink risk`: what speaks against an address, with its reasons, and the DNS if it may be asked."""

import socketserver
import threading
from datetime import UTC, datetime, timedelta

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from bouncesink import mx
from bouncesink.ledger import open_ledger
from bouncesink.model import Contact, Reason, Send, Severity
from bouncesink.risk import DomainRecord, Known, Mx, assess

NOW = datetime.now(UTC)
HARD = {"bounce_type": Severity.HARD, "suppressed": frozenset({Reason.HARD})}


@pytest.mark.parametrize(
    ("known", "score", "level"),
    [
        (Known("lead@example.org"), 0, "low"),
        (Known("info@example.org"), 10, "low"),
        (Known("info+spring@example.org"), 10, "low"),
        (Known("informer@example.org"), 0, "low"),
        (Known("lead@example.org", strikes=1), 20, "medium"),
        (Known("lead@example.org", strikes=2, mx=Mx.ADDRESS_ONLY), 55, "high"),
        (Known("lead@example.org", frozenset({Reason.COMPLAINT})), 100, "blocked"),
        (Known("lead@example.org", mx=Mx.NULL_MX), 100, "blocked"),
        (Known("lead@example.org", mx=Mx.NO_MAIL), 100, "blocked"),
        (Known("lead@example.org", mx=Mx.NO_DOMAIN), 100, "blocked"),
        (Known("lead@example.org", mx=Mx.ACCEPTS), 0, "low"),
        (Known("lead@example.org", domain=DomainRecord(100, 50)), 40, "medium"),
        (Known("lead@example.org", domain=DomainRecord(1, 1)), 21, "medium"),
        (Known("lead@example.org", domain=DomainRecord(0, 1)), 5, "low"),
        (Known("lead@example.org", domain=DomainRecord(0, 900)), 25, "medium"),
        (Known("lead@example.org", domain=DomainRecord(gone=True), strikes=2), 99, "high"),
        (Known(f"{'x' * 65}@example.org"), 50, "high"),
    ],
)
def test_what_it_comes_to(known, score, level):
    risk = assess(known)
    assert (risk.score, risk.level) == (score, level)
    assert sum(ground.points for ground in risk.grounds) >= score
    assert all(ground.words for ground in risk.grounds)


@pytest.fixture
def told(tmp_path):
    ledger = open_ledger(tmp_path / "bouncesink.db")
    gone = [Contact(f"gone-{n}@example.org", **HARD, bounce_count=1) for n in range(5)]
    last = NOW - timedelta(days=1)
    soft = Contact("soft@example.net", Severity.SOFT, 2, last, 2, last)
    stale = Contact(
        "stale@example.net", Severity.SOFT, 2, NOW - timedelta(days=99), 2, last.replace(year=2020)
    )
    ledger.put_contacts([*gone, soft, stale])
    ledger.put_sends([Send(f"m{n}@example.com", f"lead-{n}@example.org") for n in range(5)])
    ledger.put_sends([Send(f"n{n}@example.com", f"gone-{n}@example.org") for n in range(5)])
    ledger.put_sends([Send("again@example.com", "gone-1@example.org")])
    yield
    ledger.close()


def test_a_person_reads_why(told, run):
    printed = run(
        "risk", "lead@example.org", "info@example.net", "soft@example.net", "stale@example.net"
    )
    assert printed.code == 0
    assert printed.out.splitlines() == [
        "lead@example.org: 24, medium",
        "   24  5 of 10 addresses of the domain that were mailed are HARD",
        "info@example.net: 10, low",
        "   10  info is a function, not a person",
        "soft@example.net: 40, medium",
        "   40  2 soft bounces lately",
        "stale@example.net: 0, low",
    ]


def test_a_program_reads_it_and_a_blocked_one_ends_with_1(told, run):
    printed = run("risk", "--json", "gone-1@example.org")
    assert printed.code == 1
    (shape,) = printed.lines
    assert (shape["address"], shape["score"], shape["level"]) == (
        "gone-1@example.org",
        100,
        "blocked",
    )
    assert shape["reasons"][0] == {"points": 100, "words": "must not be mailed: hard"}


def test_what_is_no_address_is_refused(told, run):
    printed = run("risk", "not an address")
    assert printed.code == 2
    assert "would be refused" in printed.err


ZONE = {
    ("good.test.", "MX"): "10 mx.good.test.",
    ("null.test.", "MX"): "0 .",
    ("old.test.", "A"): "192.0.2.1",
    ("six.test.", "AAAA"): "2001:db8::1",
}
NAMES = {"good.test.", "null.test.", "old.test.", "six.test.", "web.test."}


class Answers(socketserver.BaseRequestHandler):
    """Answers over UDP from ZONE; a name in NAMES is there, broken.test. fails."""

    def handle(self):
        data, sock = self.request
        query = dns.message.from_wire(data)
        answer = dns.message.make_response(query)
        question = query.question[0]
        name, kind = question.name.to_text(), dns.rdatatype.to_text(question.rdtype)
        if (name, kind) in ZONE:
            answer.answer.append(
                dns.rrset.from_text(question.name, 60, "IN", kind, ZONE[name, kind])
            )
        elif name == "broken.test.":
            answer.set_rcode(dns.rcode.SERVFAIL)
        elif name not in NAMES:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        sock.sendto(answer.to_wire(), self.client_address)


@pytest.fixture(scope="module")
def nameserver():
    with socketserver.ThreadingUDPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.mark.parametrize(
    ("domain", "wanted"),
    [
        ("good.test", Mx.ACCEPTS),
        ("null.test", Mx.NULL_MX),
        ("old.test", Mx.ADDRESS_ONLY),
        ("six.test", Mx.ADDRESS_ONLY),
        ("web.test", Mx.NO_MAIL),
        ("gone.test", Mx.NO_DOMAIN),
        ("broken.test", Mx.UNKNOWN),
        ("a" * 64 + ".test", Mx.UNKNOWN),
        ("under..dots.test", Mx.UNKNOWN),
        ("\u2028.test", Mx.UNKNOWN),
    ],
)
def test_what_the_dns_says(nameserver, domain, wanted):
    assert mx.lookup(domain, ("127.0.0.1",), nameserver) is wanted
