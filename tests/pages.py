"""What a page is made of, as a browser would see it, and a ledger to look at."""

import unicodedata
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from mails import hard

from bouncesink.config import Config, LeadsConfig, LedgerConfig, MailboxConfig
from bouncesink.engine import Engine
from bouncesink.identity import arrival_id, event_id
from bouncesink.ledger import Ledger, open_ledger
from bouncesink.model import (
    Action,
    ActionKind,
    Arrival,
    Category,
    DsnAction,
    Event,
    Kind,
    Lead,
    Report,
    Trust,
    TrustLevel,
    Verdict,
)
from bouncesink.reader import ReaderPool

CONFIG = Config(mailboxes=(MailboxConfig("sales@example.com"),), leads=LeadsConfig(True))
NOW = datetime.now(UTC).replace(microsecond=0)
LEAD = "lead@example.org"
DOUBTFUL = "stranger@example.net"
UNREADABLE = """\
From: MAILER-DAEMON@mx.example.net
Subject: Undelivered mail

It could not be delivered.
"""

UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


class Page(HTMLParser):
    """The elements with their attributes, and the text, of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str, **wanted: str) -> list[dict[str, str]]:
        return [
            attrs
            for name, attrs in self.elements
            if name == tag and all(attrs.get(key) == value for key, value in wanted.items())
        ]

    def links(self) -> list[str]:
        return [each["href"] for each in self.all("a") if "href" in each]

    @property
    def shape(self) -> set[tuple[str, str]]:
        """Each kind of element with each attribute that one of them has."""
        bare = {(tag, "") for tag, _ in self.elements}
        return bare | {(tag, name) for tag, attrs in self.elements for name in attrs}

    @property
    def unseen(self) -> set[str]:
        """Characters, anywhere, that hide or reorder text."""
        words = [self.text, *(value for _, attrs in self.elements for value in attrs.values())]
        found = {c for text in words for c in text if unicodedata.category(c) in UNSEEN}
        return found - {"\n", "\t"}


def arrival(raw: str | bytes, number: int = 0) -> Arrival:
    octets = raw.encode("utf-8", "surrogatepass") if isinstance(raw, str) else raw
    to = "bounces@example.com"
    when = NOW - timedelta(minutes=number)
    return Arrival(arrival_id(octets, to), "lmtp", "", to, when, octets)


def doubtful(number: int = 9) -> str:
    """Give a bounce of mail that we did not send."""
    mail = hard(number, number).replace("sales@example.com", "other@example.org")
    return mail.replace("Lead@example.org", DOUBTFUL)


def filled(folder: Path, readers: ReaderPool, mails: Iterable[Arrival] = ()) -> Ledger:
    """Give a ledger with a HARD lead, something doubtful and something unreadable."""
    ledger = open_ledger(folder / "ledger.db")
    ledger.put_leads([Lead("L-1", "Lead@example.org", LEAD)])
    ledger.append([arrival(hard(), 1), arrival(doubtful(), 2), arrival(UNREADABLE, 3), *mails])
    Engine(ledger, replace(CONFIG, ledger=LedgerConfig(folder / "ledger.db"))).drain(readers)
    return ledger


def reviews(ledger: Ledger, count: int) -> None:
    ledger.add_actions(
        [
            Action(
                f"review:{n:04}", ActionKind.REVIEW, NOW, address=f"a{n:04}@example.org",
                payload={"why": "unknown", "priority": str(n % 3 + 1), "diagnostic": f"said {n}"},
            )
            for n in range(count)
        ]
    )  # fmt: skip


def failed(address: str, **of_event: Any) -> Event:
    """Make a proven HARD event."""
    given: dict[str, Any] = {
        "id": event_id("notice", address, "failed"),
        "report": Report(address, DsnAction.FAILED, "rfc3464", status="5.1.1", reply_code=550),
        "verdict": Verdict(Category.USER_UNKNOWN, "smtp-5.1.1"),
        "trust": Trust(TrustLevel.PROVEN),
    }
    given |= {"kind": Kind.FAILURE, "occurred_at": NOW, "recorded_at": NOW, "source": "file"}
    return Event(address=address, **(given | of_event))


def keys(folder: Path, kind: ActionKind) -> list[str]:
    with closing(open_ledger(folder / "ledger.db", read_only=True)) as ledger:
        return [action.key for action in ledger.list_actions(kind, limit=1000)]
