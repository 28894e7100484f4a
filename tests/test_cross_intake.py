"""The same failure by several ways, in any order, is one strike; told by one notification, one event.

Each way changes a notification as it does in life: header fields above it, other line ends, the
quoting of an mbox, a mail around it. A provider's webhook and an events file tell of the failure in
words of their own: that is another event, about the same message, and so the same strike.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from mails import hard
from webhook_support import Web, post, providers

from bouncesink.config import Config
from bouncesink.engine import Engine
from bouncesink.identity import arrival_id
from bouncesink.intake import events as events_file
from bouncesink.intake.archive import Wanted
from bouncesink.intake.files import find, to_arrival
from bouncesink.intake.webhooks import Account, Means, Request, open_accounts
from bouncesink.ledger import Ledger, open_ledger
from bouncesink.model import Arrival, Severity
from bouncesink.parse.jsonfields import canonical
from bouncesink.reader import ReaderPool

CONFIG = Config()
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
AT = "2026-03-02T10:00:00Z"
EPOCH = int(datetime.fromisoformat(AT).timestamp())
FAILURES = 200


@dataclass(frozen=True)
class Failure:
    """One message that failed. `named` is whether the notification of it has a Message-ID."""

    number: int
    severity: Severity
    named: bool = True

    @property
    def address(self) -> str:
        return f"lead-{self.number}@example.org"

    @property
    def message(self) -> str:
        """Its Message-ID, as Postmark would write it."""
        return f"original-{self.number}@mtasv.net"

    @property
    def reply(self) -> tuple[int, str, str]:
        if self.severity is Severity.HARD:
            return 550, "5.1.1", "User unknown"
        return 552, "5.2.2", "Mailbox full"

    def notification(self) -> bytes:
        """What the mail system sent, with LF, as it stands before any way."""
        code, status, said = self.reply
        text = hard(self.number).replace("Lead@example.org", self.address)
        text = text.replace("original-1@example.com", self.message)
        text = text.replace("550 5.1.1", f"{code} {status}").replace("5.1.1", status)
        text = text.replace("User unknown", said)
        text = text.replace("delivered.\n", "delivered.\n\nFrom here on it is quoted:\n>From me.\n")
        if not self.named:
            text = text.replace(f"Message-ID: <notice-{self.number}@mx.example.net>\n", "", 1)
        return text.encode()


FAILED = [
    Failure(n, Severity.SOFT if n % 2 else Severity.HARD, named=n % 3 > 0) for n in range(FAILURES)
]


def arrival(raw: bytes, source: str, envelope_from: str, envelope_to: str) -> Arrival:
    return Arrival(arrival_id(raw, envelope_to), source, envelope_from, envelope_to, NOW, raw)


def crlf(raw: bytes) -> bytes:
    return raw.replace(b"\n", b"\r\n")


def by_lmtp(failure: Failure) -> Arrival:
    head = b"Received: from mx.example.net by mail.example.com with ESMTPS; " + AT.encode() + b"\n"
    return arrival(crlf(head + failure.notification()), "lmtp", "", "bounces@example.com")


def by_gmail(failure: Failure) -> Arrival:
    """As Gmail forwards by a rule: its header fields, and a reverse-path of its own."""
    path = "sales+caf_=bounces=example.com@example.com"
    head = f"""\
Return-Path: <{path}>
Received: from mail-forward.example.net by mail.example.com with ESMTPS; {AT}
X-Google-DKIM-Signature: v=1; a=rsa-sha256; d=1e100.net; s=20230601; b=AbCd{failure.number}
X-Forwarded-Encrypted: i=2; AJvYcCX@example.com
X-Gm-Message-State: AOJu0Yx{failure.number}
X-Received: by 2002:a05:6a00:1 with SMTP id x{failure.number}; {AT}
X-Forwarded-To: bounces@example.com
X-Forwarded-For: sales@example.com bounces@example.com
Delivered-To: sales@example.com
ARC-Seal: i=1; a=rsa-sha256; t=1; cv=none; d=google.com; s=arc-20240605; b=x
Authentication-Results: mx.google.com; spf=pass smtp.helo=mx.example.net
"""
    raw = crlf(head.encode() + failure.notification())
    return arrival(raw, "lmtp", path, "bounces@example.com")


def by_imap(failure: Failure) -> Arrival:
    head = (
        "Delivered-To: sales@example.com\n"
        f"Received: by 2002:a05:7300:1 with SMTP id i{failure.number}; {AT}\n"
        "Return-Path: <>\n"
    )
    raw = crlf(head.encode() + failure.notification())
    return arrival(raw, "imap", "", "sales@example.com")


def by_archive(failure: Failure, folder: Path) -> Arrival:
    """As Takeout writes it: labels above it, quoted, one of many."""
    mail = f"X-GM-THRID: 17{failure.number}\nX-Gmail-Labels: Inbox\n".encode()
    mail += failure.notification()
    lines = [b">" + x if x.lstrip(b">").startswith(b"From ") else x for x in mail.split(b"\n")]
    separator = b"From 17@xxx Mon Mar 02 10:00:00 +0000 2026\n"
    file = folder / f"{failure.number}.mbox"
    file.write_bytes(separator + b"\n".join(lines) + b"\n" + separator + b"Subject: x\n\nother\n")
    first, _, _ = find([str(file)], Wanted(1_000_000, everything=False))
    return to_arrival(first, NOW)


def by_hand(failure: Failure) -> Arrival:
    """As a person forwards it: as an attachment."""
    text = f"""\
From: Sales <sales@example.com>
To: bounces@example.com
Subject: Fwd: Undelivered
Message-ID: <forward-{failure.number}@example.com>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="==f"

--==f
Content-Type: text/plain

see below
--==f
Content-Type: message/rfc822

"""
    raw = text.encode() + failure.notification() + b"\n--==f--\n"
    return arrival(crlf(raw), "lmtp", "sales@example.com", "bounces@example.com")


def by_events(failure: Failure) -> Arrival:
    code, status, said = failure.reply
    entry = {
        "email": failure.address.title(),
        "date": AT,
        "code": status,
        "diagnostic": f"{code} {status} {said}",
        "message_id": f"<{failure.message}>",
    }
    (made,) = events_file.arrivals([canonical(entry)], NOW)
    return made


MAILS: dict[str, Callable[[Failure], Arrival]] = {
    "lmtp": by_lmtp,
    "gmail": by_gmail,
    "imap": by_imap,
    "hand": by_hand,
}


def told(provider: str, failure: Failure) -> Any:
    """What each provider posts of a failure, with its own id of the event."""
    number, address, (code, status, said) = failure.number, failure.address, failure.reply
    text, is_hard = f"{code} {status} {said}", failure.severity is Severity.HARD
    bodies: dict[str, Any] = {
        "ses": {
            "notificationType": "Bounce",
            "bounce": {
                "feedbackId": f"feed-{number}",
                "bounceType": "Permanent" if is_hard else "Transient",
                "bounceSubType": "General" if is_hard else "MailboxFull",
                "bouncedRecipients": [
                    {
                        "emailAddress": address,
                        "action": "failed",
                        "status": status,
                        "diagnosticCode": f"smtp; {text}",
                    }
                ],
                "timestamp": AT,
            },
            "mail": {
                "messageId": f"ses-{number}",
                "commonHeaders": {"messageId": f"<{failure.message}>"},
            },
        },
        "sendgrid": [
            {
                "email": address,
                "timestamp": EPOCH,
                "smtp-id": f"<{failure.message}>",
                "event": "bounce",
                "type": "bounce",
                "sg_event_id": f"event-{number}",
                "sg_message_id": f"14c5d{number}.filter0001.16648.5515E0B88.0",
                "reason": text,
                "status": status,
            }
        ],
        "postmark": {
            "RecordType": "Bounce",
            "ID": 4000 + number,
            "Type": "HardBounce" if is_hard else "SoftBounce",
            "MessageID": failure.message.partition("@")[0],
            "Details": f"smtp;{text}",
            "Email": address,
            "BouncedAt": AT,
        },
        "mailgun": {
            "id": f"event-{number}",
            "event": "failed",
            "severity": "permanent",
            "reason": "generic",
            "timestamp": EPOCH,
            "recipient": address,
            "delivery-status": {"code": code, "message": f"{status} {said}"},
            "message": {"headers": {"message-id": failure.message}},
        },
        "smartlead": {
            "event_type": "EMAIL_BOUNCE",
            "stats_id": f"stats-{number}",
            "to_email": address,
            "event_timestamp": AT,
            "sent_message": {"message_id": f"<{failure.message}>"},
            "bounce_message": {"text": f"It could not be delivered.\n\n{text}\n"},
        },
        "generic": {
            "email": address,
            "date": AT,
            "reply": text,
            "message_id": f"<{failure.message}>",
        },
        "mandrill": [
            {
                "event": "hard_bounce" if is_hard else "soft_bounce",
                "_id": f"mandrill-{number}",
                "ts": EPOCH,
                "msg": {"_id": f"mandrill-{number}", "email": address, "diag": f"smtp;{text}"},
            }
        ],
    }
    return bodies[provider]


WEBHOOKS = ("ses", "sendgrid", "postmark", "mailgun", "smartlead", "generic")
"""Those that tell the Message-ID."""


@pytest.fixture
def accounts(tmp_path: Path) -> dict[str, Account]:
    async def nothing(*_: object) -> list[bytes]:
        return []

    return open_accounts(providers(tmp_path), Means(Web().fetch, nothing))


@pytest.fixture
def pool(readers: ReaderPool) -> ReaderPool:
    return readers


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(open_ledger(tmp_path / "x.db")) as ledger:
        yield ledger


async def by_webhook(account: Account, failure: Failure) -> Arrival:
    request = post(account.name, told(account.name, failure))
    headers = {name.lower(): value for name, value in request.headers.items()}
    found = await account.provider.told(Request(headers, request.body, datetime.now(UTC)))
    (made,) = account.arrivals(found, NOW)
    return made


def take(ledger: Ledger, pool: ReaderPool, arrivals: list[Arrival], at_once: int = 150) -> Engine:
    """Take arrivals in as they come, some of them in one batch."""
    engine = Engine(ledger, CONFIG)
    for start in range(0, len(arrivals), at_once):
        ledger.append(arrivals[start : start + at_once])
        engine.drain(pool)
    return engine


@pytest.mark.parametrize("seed", [1, 2])
async def test_200_failures_by_two_to_four_ways_are_200_strikes(
    seed: int, tmp_path: Path, ledger: Ledger, pool: ReaderPool, accounts: dict[str, Account]
) -> None:
    rng = random.Random(seed)
    arrivals: list[Arrival] = []
    events: dict[str, int] = {}
    for failure in FAILED:
        ways = rng.sample([*MAILS, "archive", "events", *WEBHOOKS], rng.randint(2, 4))
        for way in ways:
            if way in MAILS:
                arrivals.append(MAILS[way](failure))
            elif way == "archive":
                arrivals.append(by_archive(failure, tmp_path))
            elif way == "events":
                arrivals.append(by_events(failure))
            else:
                arrivals.append(await by_webhook(accounts[way], failure))
        mails = [way for way in ways if way in MAILS or way == "archive"]
        events[failure.address] = len(ways) - max(0, len(mails) - 1)
    arrivals += rng.sample(arrivals, 50)  # some came twice
    rng.shuffle(arrivals)
    take(ledger, pool, arrivals)

    contacts = ledger.contacts(events)
    assert [contacts[each.address].bounce_count for each in FAILED] == [1] * FAILURES
    assert [contacts[each.address].bounce_type for each in FAILED] == [f.severity for f in FAILED]
    strikes = [contacts[each.address].strikes for each in FAILED]
    assert strikes == [int(each.severity is Severity.SOFT) for each in FAILED]
    assert ledger.totals().contacts == FAILURES
    stored = ledger.events_of(events)
    assert {address: len(found) for address, found in stored.items()} == events
    assert {event.message_id for found in stored.values() for event in found} == {
        each.message for each in FAILED
    }


@pytest.mark.parametrize("named", [True, False])
def test_one_notification_is_one_event_by_every_way(
    named: bool, tmp_path: Path, ledger: Ledger, pool: ReaderPool
) -> None:
    failure = Failure(1, Severity.SOFT, named)
    copies = [make(failure) for make in MAILS.values()] + [by_archive(failure, tmp_path)]
    copies.append(arrival(failure.notification(), "replay", "", ""))
    for index, one in enumerate(copies):
        take(ledger, pool, [one])
        assert len(ledger.events_of([failure.address])[failure.address]) == 1, index
    assert len({one.id for one in copies}) == len(copies)


async def test_what_ways_make_of_one_failure_may_differ_and_the_worst_counts_once(
    tmp_path: Path, pool: ReaderPool, accounts: dict[str, Account]
) -> None:
    """A mail that says that the mailbox is full, a webhook that says that there is none."""
    ways = [
        by_lmtp(Failure(1, Severity.SOFT)),
        by_imap(Failure(1, Severity.SOFT)),
        await by_webhook(accounts["ses"], Failure(1, Severity.HARD)),
    ]
    for index, order in enumerate(permutations(ways)):
        with closing(open_ledger(tmp_path / f"{index}.db")) as ledger:
            take(ledger, pool, list(order), at_once=1)
            contact = ledger.contacts(["lead-1@example.org"])["lead-1@example.org"]
        assert (contact.bounce_type, contact.bounce_count) == (Severity.HARD, 1)
        assert [each.code for each in contact.evidence] == ["5.1.1"]


def test_two_messages_to_one_address_are_two_strikes(ledger: Ledger, pool: ReaderPool) -> None:
    first, second = Failure(1, Severity.SOFT), Failure(2, Severity.SOFT)
    other = by_lmtp(second).raw.replace(b"lead-2@", b"lead-1@")
    both = [
        by_lmtp(first),
        by_events(first),
        arrival(other, "lmtp", "", "bounces@example.com"),
        arrival(other, "imap", "", "sales@example.com"),
    ]
    take(ledger, pool, both)
    contact = ledger.contacts([first.address])[first.address]
    assert (contact.bounce_count, contact.strikes) == (2, 2)


async def test_without_a_message_id_two_tellings_are_two(
    ledger: Ledger, pool: ReaderPool, accounts: dict[str, Account]
) -> None:
    """Mandrill names its own id only: nothing ties that to what a mail says, and none is guessed."""
    failure = Failure(1, Severity.SOFT)
    take(ledger, pool, [by_lmtp(failure), await by_webhook(accounts["mandrill"], failure)])
    contact = ledger.contacts([failure.address])[failure.address]
    assert (contact.bounce_count, contact.strikes) == (2, 2)
