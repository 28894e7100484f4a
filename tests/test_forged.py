"""Forged bounces through the front door: whoever can write to bounces@ must silence nobody.

The attacker knows a lead's address, our domain, the form of our Message-IDs, and how every mail
server words a bounce. As we mailed them once, they have a return path and a Message-ID of ours too.
In two of the set-ups they even know the mailbox that mailed the lead. In the third, where mailboxes
are all that is configured, they do not: there, that knowledge is all it takes (the last test).
"""

import base64
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import signing
from commands import Run
from structlog.testing import capture_logs

from bouncesink import config, verp
from bouncesink.engine import Engine
from bouncesink.identity import arrival_id
from bouncesink.ledger import Ledger, open_ledger
from bouncesink.model import OPEN, ActionKind, Arrival, Contact, Kind, Lead, Send, Severity
from bouncesink.reader import ReaderPool

SAMPLES = sorted((Path(__file__).parents[1] / "samples").glob("*.eml"))
KEY = b"0123456789abcdef0123456789abcdef"
NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
VICTIM, ATTACKER = "lead@example.com", "attacker@example.net"
MAILBOX, GUESS, OURS = "sales@example.org", "info@example.org", "bounces@example.org"
SENT_TO_VICTIM, SENT_TO_ATTACKER = "20260309.7@example.org", "20260309.8@example.org"
MADE_UP_ID = "20260309.6@example.org"

MAILBOXES = f'[[mailboxes]]\naddress = "{MAILBOX}"\n'
PLAIN = "verp = false\n"
KEYS = f'[trust]\nverp_key_file = "verp.key"\ndkim_keys = {{"{signing.NAME}" = "{signing.record()}"}}\n'


@dataclass(frozen=True)
class Setup:
    """What is configured, and which From the attacker can put on the returned message."""

    toml: str
    from_: str
    sends: bool = False


SETUPS = {
    "mailboxes": Setup(MAILBOXES, GUESS),
    "signed": Setup('[trust]\nverp_key_file = "verp.key"\n' + MAILBOXES, MAILBOX),
    "authenticated": Setup(KEYS + 'authserv_id = "mx.example.org"\n' + MAILBOXES, MAILBOX),
    "sends": Setup("[trust]\nsends_complete = true\n" + MAILBOXES + PLAIN, MAILBOX, sends=True),
}


def path_for(address: str, days_ago: int = 1, key: bytes = KEY) -> str:
    day = NOW.date().toordinal() - days_ago
    return verp.return_path(OURS, address, key, NOW.date().fromordinal(day))


STOLEN = path_for(ATTACKER)


def returned(from_: str, to: str = VICTIM, message_id: str = MADE_UP_ID) -> str:
    return f"From: Sales <{from_}>\nTo: {to}\nSubject: Hello\nMessage-ID: <{message_id}>\n"


def signed(from_: str, to: str = VICTIM) -> str:
    """Give what is returned of a message that our server signed."""
    return signing.signed(returned(from_, to))


def dsn(
    original: str,
    *,
    recipient: str = f"Final-Recipient: rfc822; {VICTIM}",
    says: str = "550 5.1.1 User unknown",
    status: str = "5.1.1",
    top: str = "",
    to_us: str = OURS,
    number: int = 1,
) -> str:
    return f"""\
{top}From: Mail Delivery System <mailer-daemon@example.com>
To: {to_us}
Subject: Undelivered Mail Returned to Sender
Date: Tue, 10 Mar 2026 11:00:00 +0000
Message-ID: <made-up-{number}@example.com>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

It could not be delivered: {says}
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.com

{recipient}
Action: failed
Status: {status}
Diagnostic-Code: smtp; {says}
--b
Content-Type: text/rfc822-headers

{original}
--b--
"""


def text(body: str, subject: str = "failure notice", top: str = "") -> str:
    return f"""\
{top}From: MAILER-DAEMON@mx.example.com
To: {OURS}
Subject: {subject}
Date: Tue, 10 Mar 2026 11:00:00 +0000
Message-ID: <text@mx.example.com>
Content-Type: text/plain

{body}
"""


def from_victim(body: str, subject: str, top: str = "") -> str:
    return (
        f"{top}From: The Lead <{VICTIM}>\nTo: {OURS}\nSubject: {subject}\n"
        f"Date: Tue, 10 Mar 2026 11:00:00 +0000\nMessage-ID: <own@example.com>\n\n{body}\n"
    )


def attached(inner: str, *, encoded: bool = False) -> str:
    body = base64.encodebytes(inner.encode()).decode() if encoded else inner
    coding = "Content-Transfer-Encoding: base64\n" if encoded else ""
    return (
        f"From: Sales <{MAILBOX}>\nTo: {OURS}\nSubject: Fwd: Undelivered Mail\n"
        "Date: Tue, 10 Mar 2026 11:30:00 +0000\nMessage-ID: <forward@example.org>\n"
        'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="w"\n\n'
        "--w\nContent-Type: text/plain\n\nSee below.\n"
        f"--w\nContent-Type: message/rfc822\n{coding}\n{body}\n--w--\n"
    )


QMAIL = f"""\
Hi. This is the qmail-send program at mx.example.com.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<{VICTIM}>:
192.0.2.1 does not like recipient.
Remote host said: 550 5.1.1 User unknown

--- Below this line is a copy of the message.

"""
EXIM = f"""\
This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  {VICTIM}
    host mx.example.com [192.0.2.1]
    SMTP error from remote mail server after RCPT TO:<{VICTIM}>:
    550 5.1.1 User unknown

------ This is a copy of the message, including all the headers. ------

"""
INLINE = f"""\
---------- Forwarded message ----------
From: Mail Delivery Subsystem <mailer-daemon@googlemail.com>
Date: Tue, 10 Mar 2026 at 11:00
Subject: Delivery Status Notification (Failure)
To: <{MAILBOX}>

Address not found. Your message wasn't delivered to {VICTIM} because the address couldn't be found.
The response was: 550 5.1.1 The email account that you tried to reach does not exist.
"""
COMPLAINT = """\
From: staff@hotmail.example
To: bounces@example.org
Subject: complaint about message from 192.0.2.1
Date: Tue, 10 Mar 2026 11:00:00 +0000
Message-ID: <arf@example.com>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="b"

--b
Content-Type: text/plain

This is an abuse report.
--b
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: made-up/1.0
Version: 1
Original-Rcpt-To: lead@example.com
--b
Content-Type: text/rfc822-headers

{}
--b--
"""
BY_A_MAILBOX = (
    f"X-Forwarded-For: {MAILBOX} {OURS}\nX-Forwarded-To: {OURS}\nDelivered-To: {MAILBOX}\n"
    f"X-Gm-Original-To: {MAILBOX}\nDelivered-To: {OURS}\n"
    "Received: by mx.example.org with SMTP id a1; Tue, 10 Mar 2026 11:00:00 +0000\n"
)
PASSED = (
    "Authentication-Results: mx.example.org; dkim=pass header.d=example.org; spf=pass; dmarc=pass\n"
    "ARC-Authentication-Results: i=1; mx.example.org; dkim=pass header.d=example.org\n"
    "Received-SPF: pass (mx.example.org: domain of bounces@example.org)\n"
)
PASSED_AT_THEIRS = PASSED.replace("mx.example.org; dkim=pass", "mx.example.com; dkim=pass")
FAILED = "Authentication-Results: mx.example.org; dmarc=fail header.from=example.com\n"
DSN_BOTH = f"Original-Recipient: rfc822; {VICTIM}\nFinal-Recipient: rfc822; {ATTACKER}"
DSN_LOUD = f"Final-Recipient: rfc822; <{VICTIM.upper()}>"

Mail = tuple[str, str]
"""A message, and the envelope recipient that it came for."""

ATTACKS: dict[str, Callable[[str], list[Mail]]] = {
    "a DSN": lambda who: [(dsn(returned(who)), OURS)],
    "a DSN that returns nothing": lambda who: [(dsn(""), OURS)],
    "a DSN, addressed loudly": lambda who: [(dsn(returned(who), recipient=DSN_LOUD), OURS)],
    "a DSN about the domain": lambda who: [
        (dsn(returned(who), says="550 5.1.2 Host not found", status="5.1.2"), OURS)
    ],
    "as qmail words it": lambda who: [(text(QMAIL + returned(who)), OURS)],
    "as Exim words it": lambda who: [
        (
            text(
                EXIM + returned(who),
                "Mail delivery failed: returning message to sender",
                f"X-Failed-Recipients: {VICTIM}\n",
            ),
            OURS,
        )
    ],
    "three full mailboxes": lambda who: [
        (
            dsn(
                returned(who, message_id=f"2026030{n}.1@example.org"),
                says="452 4.2.2 Mailbox full",
                status="4.2.2",
                number=n,
            ),
            OURS,
        )
        for n in range(1, 4)
    ],
    "their own bounce, with the recipient replaced": lambda who: [
        (dsn(returned(who, ATTACKER, SENT_TO_ATTACKER)), OURS)
    ],
    "their own bounce, all replaced but the Message-ID": lambda who: [
        (dsn(returned(who, VICTIM, SENT_TO_ATTACKER)), OURS)
    ],
    "a forwarder that names the lead": lambda who: [
        (dsn(returned(who, ATTACKER, SENT_TO_ATTACKER), recipient=DSN_BOTH), STOLEN)
    ],
    "their own return path": lambda who: [(dsn(returned(who)), STOLEN)],
    "their own return path in To and Delivered-To": lambda who: [
        (dsn(returned(who), to_us=STOLEN, top=f"Delivered-To: {STOLEN}\n"), OURS)
    ],
    "the lead's return path of last year": lambda who: [
        (dsn(returned(who)), path_for(VICTIM, days_ago=365))
    ],
    "a return path of tomorrow's tomorrow": lambda who: [
        (dsn(returned(who)), path_for(VICTIM, days_ago=-2))
    ],
    "a return path with a guessed key": lambda who: [
        (dsn(returned(who)), path_for(VICTIM, key=b"g" * 32))
    ],
    "attached to a forward": lambda who: [(attached(dsn(returned(who))), OURS)],
    "attached twice, encoded, to their own return path": lambda who: [
        (attached(attached(dsn(returned(who), to_us=STOLEN), encoded=True)), STOLEN)
    ],
    "forwarded inline": lambda who: [
        (
            text(INLINE, "Fwd: Delivery Status Notification (Failure)").replace(
                "From: MAILER-DAEMON@mx.example.com", f"From: Sales <{MAILBOX}>"
            ),
            OURS,
        )
    ],
    "by Gmail's auto-forwarding, it says": lambda who: [
        (dsn(returned(who), top=BY_A_MAILBOX), OURS)
    ],
    "authenticated, it says": lambda who: [(dsn(returned(who), top=PASSED), OURS)],
    "authenticated by another server, it says, and by ours before": lambda who: [
        (dsn(returned(who), top=PASSED_AT_THEIRS + PASSED), OURS)
    ],
    "not authenticated, but it says so": lambda who: [
        (dsn(returned(who), top=FAILED + PASSED), OURS)
    ],
    "headers stolen from their own mail": lambda who: [(dsn(signed(who, ATTACKER)), OURS)],
    "headers stolen from their own mail, with the lead in To": lambda who: [
        (dsn(signed(who, ATTACKER).replace(f"To: {ATTACKER}", f"To: {VICTIM}")), OURS)
    ],
    "headers stolen from their own mail, below a To with the lead": lambda who: [
        (dsn(f"To: {VICTIM}\n" + signed(who, ATTACKER)), OURS)
    ],
    "headers stolen from their own mail, above a To with the lead": lambda who: [
        (dsn(signed(who, ATTACKER) + f"To: {VICTIM}\n"), OURS)
    ],
    "headers stolen from a mail to them and the lead": lambda who: [
        (dsn(signed(who, f"{ATTACKER}, {VICTIM}")), OURS)
    ],
    "headers signed for them with the lead in a name": lambda who: [
        (dsn(signed(who, f'"<{VICTIM}>" <{ATTACKER}>')), OURS)
    ],
    "headers signed with a key of theirs": lambda who: [
        (dsn(signing.signed(returned(who), "theirs")), OURS)
    ],
    "headers signed for a domain of theirs": lambda who: [
        (dsn(signing.signed(returned(who), "theirs", "example.net")), OURS)
    ],
    "headers that leave To unsigned": lambda who: [
        (dsn(signing.signed(returned(who), covers=("from", "subject"))), OURS)
    ],
    "a complaint": lambda who: [(COMPLAINT.format(returned(who)), OURS)],
    "a complaint, to their own return path": lambda who: [
        (COMPLAINT.format(returned(who)), STOLEN)
    ],
    "an unsubscribe request": lambda who: [
        (from_victim("Please remove me from your list.", "unsubscribe"), OURS)
    ],
    "an unsubscribe request, to their own return path": lambda who: [
        (
            from_victim("unsubscribe", "unsubscribe", f"In-Reply-To: <{SENT_TO_ATTACKER}>\n"),
            STOLEN,
        )
    ],
}

GONE = from_victim(
    "The lead no longer works here. Write to attacker@example.net instead.",
    "Automatic reply: I no longer work here",
    "Auto-Submitted: auto-replied\n",
)


@pytest.fixture
def pool(readers: ReaderPool) -> ReaderPool:
    return readers


@dataclass
class Sink:
    """A running bouncesink, but for the socket."""

    ledger: Ledger
    engine: Engine
    pool: ReaderPool
    who: str

    def deliver(self, *mails: Mail) -> Contact:
        """Take mails in; give the state of the victim."""
        arrivals = []
        for mail, to in mails:
            raw = mail.replace("\n", "\r\n").encode()
            sender = VICTIM if f"<{VICTIM}>\nTo: {OURS}" in mail else ""
            arrivals.append(Arrival(arrival_id(raw, to), "lmtp", sender, to, NOW, raw))
        self.take(*arrivals)
        return self.ledger.contacts([VICTIM]).get(VICTIM, Contact(VICTIM))

    def take(self, *arrivals: Arrival) -> None:
        self.ledger.append(arrivals)
        self.engine.drain(self.pool)


@pytest.fixture(params=SETUPS)
def sink(request: pytest.FixtureRequest, run: Run, pool: ReaderPool) -> Iterator[Sink]:
    """Give a sink in a folder where `run` finds its ledger and, as c.toml, its config."""
    setup = SETUPS[request.param]
    Path("verp.key").write_bytes(KEY)
    Path("c.toml").write_text(setup.toml)
    with closing(open_ledger(Path("bouncesink.db"))) as ledger, capture_logs():
        ledger.put_leads([Lead("1", VICTIM, VICTIM), Lead("2", ATTACKER, ATTACKER)])
        if setup.sends:
            ledger.put_sends(
                [Send(SENT_TO_VICTIM, VICTIM, NOW), Send(SENT_TO_ATTACKER, ATTACKER, NOW)]
            )
        engine = Engine(ledger, config.load(Path("c.toml")), clock=lambda: NOW)
        yield Sink(ledger, engine, pool, setup.from_)


def listed(run: Run) -> list[dict[str, Any]]:
    return run("review", "list", "--json", "--limit", "1000", "--config", "c.toml").lines


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_silences_nobody_and_shows_in_review(sink: Sink, run: Run, name: str) -> None:
    mails = ATTACKS[name](sink.who)
    contact = sink.deliver(*mails)
    assert contact.mailable
    assert (contact.bounce_type, contact.bounce_count, contact.evidence) == (None, 0, ())
    items = [item for item in listed(run) if item["address"] == VICTIM]
    assert len(items) == len(mails)
    for item in items:
        assert item["payload"]["why"] == "doubtful"
        signals = item["payload"]["signals"]
        assert signals
        assert (
            signals.split("; ")[0] in run("review", "show", item["key"], "--config", "c.toml").out
        )
    assert run("check", VICTIM, "--config", "c.toml").code == 0


def test_a_forged_absence_is_recorded_and_counts_as_nothing(sink: Sink) -> None:
    contact = sink.deliver((GONE, OURS), (GONE.replace("own@", "own2@"), STOLEN))
    assert contact.mailable
    assert (contact.bounce_type, contact.bounce_count) == (None, 0)
    kinds = {event.kind for event in sink.ledger.events_of([VICTIM])[VICTIM]}
    assert kinds == {Kind.AUTO_REPLY}


def test_all_attacks_at_once_are_one_item_and_one_alert(sink: Sink, run: Run) -> None:
    mails = [mail for attack in ATTACKS.values() for mail in attack(sink.who)]
    several = [
        (mail.replace("Message-ID: <made-up-", f"Message-ID: <made-up-{n}-"), to)
        for n, (mail, to) in enumerate(mails)
    ]
    assert sink.deliver(*several).mailable
    (item,) = [item for item in listed(run) if item["address"] == VICTIM]
    assert "flood" in item["payload"]
    assert len(sink.ledger.list_actions(ActionKind.ALERT, OPEN)) == 1


def test_a_flood_over_many_leads_is_one_item_and_one_alert(sink: Sink, run: Run) -> None:
    leads = [f"lead{n}@example.com" for n in range(300)]
    sink.ledger.put_leads([Lead(str(n), lead, lead) for n, lead in enumerate(leads)])
    template = dsn(returned(sink.who))
    sink.deliver(
        *(
            (template.replace(VICTIM, lead).replace("made-up-1", f"made-up-{n}"), OURS)
            for n, lead in enumerate(leads)
        )
    )
    assert all(contact.mailable for contact in sink.ledger.contacts(leads).values())
    (item,) = listed(run)
    assert item["payload"]["why"] == "doubtful"
    assert len(sink.ledger.list_actions(ActionKind.ALERT, OPEN)) == 1
    acts = ("--reason", "forged", "--actor", "operator", "--config", "c.toml")
    assert "300 notifications" in run("review", "dismiss", item["key"], *acts).out
    assert listed(run) == []
    sink.engine.redecide(leads)
    assert listed(run) == []
    assert sink.ledger.list_actions(ActionKind.ALERT, OPEN) == []


def test_no_sample_of_any_server_silences_a_lead(sink: Sink) -> None:
    """Every bounce that we can read, sent by a stranger: none is about mail we sent."""
    raws = [sample.read_bytes() for sample in SAMPLES]
    sink.take(*(Arrival(arrival_id(raw, OURS), "lmtp", "", OURS, NOW, raw) for raw in raws))
    contacts = [contact for batch in sink.ledger.all_contacts(1000) for contact in batch]
    assert len(contacts) > 50
    assert [contact for contact in contacts if not contact.mailable] == []
    assert sum(contact.bounce_count for contact in contacts) == 0


REAL = {
    "mailboxes": (dsn(returned(MAILBOX)), OURS),
    "signed": (dsn(""), path_for(VICTIM)),
    "authenticated": (dsn(signed(MAILBOX), top=PASSED), OURS),
    "sends": (dsn(returned(GUESS, VICTIM, SENT_TO_VICTIM)), OURS),
}


@pytest.mark.parametrize(("sink", "name"), [(name, name) for name in REAL], indirect=["sink"])
def test_the_real_bounce_counts(sink: Sink, name: str) -> None:
    """With mailboxes alone, who knows which of them mailed the lead can write this one too."""
    contact = sink.deliver(REAL[name])
    assert contact.bounce_type is Severity.HARD
    assert not contact.mailable
