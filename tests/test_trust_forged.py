"""Forged bounces from the wire to the review queue: an attacker must not silence a lead.

They can reach bounces@, know a lead's address, our domain, the form of our Message-IDs and, as we
mailed them once, the name of a mailbox and a return path of their own. Everything runs but LMTP.
"""

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bouncesink import config, verp
from bouncesink.engine import Engine
from bouncesink.identity import arrival_id
from bouncesink.ledger import open_ledger
from bouncesink.model import ActionKind, Arrival, Lead, Reason, Severity
from bouncesink.reader import ReaderPool

KEY = b"0123456789abcdef0123456789abcdef"
NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
VICTIM, ATTACKER = "lead@example.com", "attacker@example.net"
SIGNING, PLAIN = "sales@example.org", "team@example.org"
CONFIG = """
[trust]
verp_key_file = "verp.key"
[[mailboxes]]
address = "sales@example.org"
[[mailboxes]]
address = "team@example.org"
verp = false
"""


def path_for(address, days_ago=1, key=KEY):
    return verp.return_path("bounces@example.org", address, key, NOW.date() - timedelta(days_ago))


def dsn(
    recipient=VICTIM,
    from_=SIGNING,
    to=VICTIM,
    message_id="<20260309.7@example.org>",
    top="",
    to_us="bounces@example.org",
):
    returned = f"From: Sales <{from_}>\nTo: {to}\nMessage-ID: {message_id}\nSubject: Hello\n"
    return f"""\
{top}From: Mail Delivery System <mailer-daemon@example.com>
To: {to_us}
Subject: Undelivered Mail Returned to Sender
Date: Tue, 10 Mar 2026 11:00:00 +0000
Message-ID: <made.up@example.com>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

<{recipient}>: 550 5.1.1 User unknown
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.com

Final-Recipient: rfc822; {recipient}
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 User unknown
--b
Content-Type: text/rfc822-headers

{returned if from_ else ""}
--b--
"""


def wrapped(inner, encode=False):
    body = base64.encodebytes(inner.encode()).decode() if encode else inner
    coding = "Content-Transfer-Encoding: base64\n" if encode else ""
    return f"""\
From: Sales <{SIGNING}>
To: bounces@example.org
Subject: Fwd: Undelivered Mail Returned to Sender
Date: Tue, 10 Mar 2026 11:30:00 +0000
Message-ID: <forward@example.org>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="w"

--w
Content-Type: text/plain

See below.
--w
Content-Type: message/rfc822
{coding}
{body}
--w--
"""


def bare(text):
    return f"""\
From: mailer-daemon@example.com
To: bounces@example.org
Subject: failure notice
Date: Tue, 10 Mar 2026 11:00:00 +0000
Message-ID: <bare@example.com>

Hi. This is the qmail-send program at example.com.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<{VICTIM}>:
{text}
"""


COMPLAINT = f"""\
From: feedback@example.com
To: bounces@example.org
Subject: complaint
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
Original-Rcpt-To: {VICTIM}
--b
Content-Type: text/rfc822-headers

From: Sales <{SIGNING}>
To: {VICTIM}
Message-ID: <20260309.7@example.org>
--b--
"""

OURS = "bounces@example.org"
STOLEN = path_for(ATTACKER)
FORGED_WAY = (
    f"X-Forwarded-For: {PLAIN} {OURS}\nX-Forwarded-To: {OURS}\nDelivered-To: {PLAIN}\n"
    "Received: from mx.example.org by mx.example.org; Tue, 10 Mar 2026 11:00:00 +0000\n"
)
FORGED_RESULTS = (
    "Authentication-Results: mx.example.org; dkim=pass header.d=example.org; spf=pass\n"
    "ARC-Authentication-Results: i=1; mx.example.org; dkim=pass header.d=example.org\n"
)

ATTACKS = {
    "made up, with the mailbox that mailed them": (dsn(), OURS),
    "made up, with a mailbox guessed from our domain": (dsn(from_="info@example.org"), OURS),
    "made up, returning nothing": (dsn(from_=None), OURS),
    "made up by an old server": (bare("550 5.1.1 User unknown"), OURS),
    "made up by an old server that blames the domain": (bare("Host not found"), OURS),
    "their own bounce with the recipient replaced": (dsn(from_=PLAIN, to=ATTACKER), OURS),
    "their own return path": (dsn(), STOLEN),
    "their own return path, from the mailbox without": (dsn(from_=PLAIN), STOLEN),
    "their own return path in the To only": (dsn(to_us=STOLEN, from_=None), OURS),
    "the lead's return path of last year": (dsn(), path_for(VICTIM, days_ago=365)),
    "a return path signed with a guessed key": (dsn(), path_for(VICTIM, key=b"g" * 32)),
    "a return path with the token in pieces": (dsn(), f"{STOLEN[:30]}@example.org"),
    "wrapped in a forward": (wrapped(dsn()), OURS),
    "wrapped twice, encoded": (wrapped(wrapped(dsn(), encode=True)), OURS),
    "wrapped, to their own return path": (wrapped(dsn(from_=PLAIN, to_us=STOLEN)), STOLEN),
    "forged Authentication-Results": (dsn(top=FORGED_RESULTS), OURS),
    "a forged way through a mailbox": (dsn(top=FORGED_WAY), OURS),
    "a forged complaint": (COMPLAINT, OURS),
}


@pytest.fixture
def pool(readers: ReaderPool) -> ReaderPool:
    return readers


@pytest.fixture
def deliver(tmp_path: Path, pool):
    (tmp_path / "verp.key").write_bytes(KEY)
    (tmp_path / "verp.key").chmod(0o600)
    settings = config.parse(CONFIG, tmp_path / "bouncesink.toml")
    ledger = open_ledger(tmp_path / "bouncesink.db")
    ledger.put_leads([Lead("L-1", VICTIM, VICTIM), Lead("L-2", ATTACKER, ATTACKER)])
    engine = Engine(ledger, settings)

    def deliver(*mails):
        arrivals = [
            Arrival(arrival_id(raw, to), "lmtp", "", to, NOW, raw)
            for raw, to in ((text.replace("\n", "\r\n").encode(), to) for text, to in mails)
        ]
        ledger.append(arrivals)
        engine.drain(pool)
        contact = ledger.contacts([VICTIM]).get(VICTIM)
        return contact, ledger.list_actions()

    yield deliver
    ledger.close()


@pytest.mark.parametrize("name", ATTACKS)
def test_a_forged_bounce_silences_nobody_and_shows_in_review(deliver, name):
    contact, actions = deliver(ATTACKS[name])
    assert contact is not None, "the attack was not even read as a bounce of the lead"
    assert contact.mailable
    assert (contact.bounce_type, contact.bounce_count, contact.evidence) == (None, 0, ())
    (review,) = actions
    assert (review.kind, review.address) == (ActionKind.REVIEW, VICTIM)
    assert review.payload["why"] == "doubtful"
    assert review.payload["signals"]


def test_all_attacks_at_once_are_one_item_and_an_alert(deliver):
    several = [
        (text.replace("made.up@", f"made.up.{n}@"), to)
        for n, (text, to) in enumerate(ATTACKS.values())
    ]
    contact, actions = deliver(*several)
    assert contact.mailable
    waiting = [a for a in actions if a.state == "pending"]
    assert {a.kind for a in waiting} == {ActionKind.REVIEW, ActionKind.ALERT}
    assert len(waiting) == 2


@pytest.mark.parametrize(
    ("mail", "envelope_to"),
    [
        (dsn(), path_for(VICTIM)),
        (dsn(from_=None), path_for(VICTIM)),
        (bare("550 5.1.1 User unknown"), path_for(VICTIM).upper()),
        (dsn(from_=PLAIN), OURS),
        (dsn(top=FORGED_WAY, from_=PLAIN), OURS),
    ],
)
def test_the_real_bounce_makes_the_lead_hard(deliver, mail, envelope_to):
    contact, actions = deliver((mail, envelope_to))
    assert contact.bounce_type is Severity.HARD
    assert ActionKind.SMARTLEAD_REMOVAL in {action.kind for action in actions}


def test_a_real_complaint_closes_the_gate_and_nothing_else(deliver):
    contact, actions = deliver((COMPLAINT, path_for(VICTIM)))
    assert contact.suppressed == {Reason.COMPLAINT}
    assert (contact.bounce_type, contact.bounce_count) == (None, 0)
    assert actions == []
