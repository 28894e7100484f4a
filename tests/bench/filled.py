"""A ledger as after a busy year: events, leads, sends, and what waits for people.

    python tests/bench/filled.py LEDGER [--events 1000000] [--leads 100000] [--days 365]

Builds on the events of `ledger.py` beside this; the newest is of now.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

from ledger import address, contact, event

from bouncesink.ledger import SendCount, open_ledger
from bouncesink.model import (
    Act,
    Action,
    ActionKind,
    ActionState,
    Category,
    Contact,
    Event,
    Lead,
    Reason,
    Send,
    Severity,
    Verdict,
)

REVIEWS = 20_000
OTHERS = 20_000
"""Actions of the other queues, half of them done."""

DETAILED_DAYS = 30
"""Of the latest days each send is known, one for each event; before, only how many there were."""

CATEGORIES = (
    *[(Category.USER_UNKNOWN, "code.5.1.1")] * 9,
    *[(Category.MAILBOX_FULL, "text.mailbox_full")] * 4,
    *[(Category.BLOCKLISTED, "text.blocklisted")] * 2,
    (Category.DOMAIN_UNKNOWN, "text.domain_unknown"),
    (Category.RATE_LIMITED, "text.rate_limited"),
    (Category.UNKNOWN, "unknown"),
    (Category.COMPLAINT, "arf"),
    (Category.UNSUBSCRIBE, "unsubscribe"),
)
HOSTS = (
    "aspmx.l.google.com",
    "mx.example",
    "a.mail.protection.outlook.com",
    "mta5.am0.yahoodns.net",
)
SENDERS = 40
SUBJECTS = 60
CAMPAIGNS = 200
AT_ONCE = 20_000


class Year:
    """Makes what happened to the nth address of `events` within `days` up to `now`."""

    def __init__(self, events: int, days: int, now: datetime) -> None:
        self.now = now
        self._first = now - timedelta(days=days)
        self._step = timedelta(days=days) / events

    def event(self, number: int) -> Event:
        category, rule = CATEGORIES[number * 7 % len(CATEGORIES)]
        at = self._first + number * self._step
        made = event(number)
        assert made.report is not None
        return replace(
            made,
            occurred_at=at,
            recorded_at=at,
            report=replace(made.report, remote_mta=f"dns; {HOSTS[number % len(HOSTS)]}"),
            verdict=Verdict(category, rule, "User unknown"),
            sender=f"sales{number % SENDERS}@example.com",
            subject=f"A question about your work, {number % SUBJECTS}",
            campaign=f"campaign-{number // 50 % CAMPAIGNS}",
        )


def state(of: Event) -> Contact:
    """Give about what the fold would: the bench is not about that."""
    made = contact(of)
    assert of.verdict is not None
    severity = of.verdict.severity
    if severity is Severity.HARD:
        return made
    gate = {Category.COMPLAINT: Reason.COMPLAINT, Category.UNSUBSCRIBE: Reason.UNSUBSCRIBE}
    reason = gate.get(of.verdict.category)
    soft = severity is Severity.SOFT
    return replace(
        made,
        bounce_type=Severity.SOFT if soft else None,
        bounce_count=int(soft),
        strikes=int(soft),
        last_strike_at=of.occurred_at if soft else None,
        last_bounce_at=of.occurred_at if soft else None,
        hard_since=None,
        hard_event=None,
        suppressed=frozenset({reason} if reason else ()),
        evidence=made.evidence if soft else (),
    )


def review(of: Event) -> Action:
    return Action(
        key=f"review:{of.id}",
        kind=ActionKind.REVIEW,
        created_at=of.recorded_at,
        address=of.address,
        event_id=of.id,
        payload={"why": "unknown", "note": "no rule knows this sentence"},
    )


def others(year: Year, events: int) -> Iterator[Action]:
    kinds = (ActionKind.HUBSPOT_PROPOSAL, ActionKind.SMARTLEAD_REMOVAL, ActionKind.POSTCARD)
    for number in range(OTHERS):
        of = year.event(number * (events // OTHERS))
        kind = kinds[number % len(kinds)]
        yield Action(
            key=f"{kind}:{of.id}",
            kind=kind,
            created_at=of.recorded_at,
            address=of.address,
            lead_id=f"L{number}",
            event_id=of.id,
            payload={"why": "HARD"},
            state=ActionState.DONE if number % 2 else ActionState.PENDING,
        )


def sends(year: Year, count: int, leads: int) -> Iterator[Send]:
    for number in range(count):
        yield Send(
            f"sent-{number}@example.com",
            address(number % leads * 9),
            year.now - timedelta(days=DETAILED_DAYS) * (number / count),
            f"campaign-{number % CAMPAIGNS}",
            f"sales{number % SENDERS}@example.com",
        )


def send_counts(year: Year, days: int) -> Iterator[SendCount]:
    for ago in range(DETAILED_DAYS + 1, days):
        for campaign in range(0, CAMPAIGNS, 10):
            day = (year.now - timedelta(days=ago)).date()
            mailbox = f"sales{campaign % SENDERS}@example.com"
            yield SendCount(day, f"campaign-{campaign}", mailbox, "d1.example", 1500)


def build(path: Path, events: int, leads: int, days: int) -> None:
    """Build it, and say how long that took."""
    began = time.perf_counter()
    year = Year(events, days, datetime.now(UTC))
    ledger = open_ledger(path)
    for first in range(0, events, AT_ONCE):
        made = [year.event(number) for number in range(first, min(first + AT_ONCE, events))]
        with ledger.transaction():
            ledger.add_events(made)
            ledger.put_contacts([state(each) for each in made])
    took = time.perf_counter() - began
    print(f"{events:,} events in {took:.0f} s ({events / took:,.0f}/s)", flush=True)
    with ledger.transaction():
        ledger.put_leads([Lead(f"L{n}", address(n * 9), address(n * 9)) for n in range(leads)])
        step = max(1, events // REVIEWS)
        ledger.add_actions([review(year.event(n)) for n in range(0, events, step)])
        ledger.add_actions(list(others(year, events)))
        ledger.add_events([_act(year.event(n)) for n in range(min(events, 1000))])
    sent = sends(year, events, leads)
    while some := list(islice(sent, AT_ONCE)):
        ledger.put_sends(some)
    ledger.put_send_counts(list(send_counts(year, days)))
    ledger.close()
    size = path.stat().st_size / 1e6
    print(f"all of it in {time.perf_counter() - began:.0f} s, {size:,.0f} MB", flush=True)


def _act(of: Event) -> Event:
    """Have an operator suppress an address by hand."""
    return Event(
        id=f"act-{of.id}",
        kind=Act.SUPPRESS,
        address=of.address,
        occurred_at=of.occurred_at,
        recorded_at=of.occurred_at,
        source="cli",
        actor="operator",
        reason="asked by phone",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ledger", type=Path)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--leads", type=int, default=100_000)
    parser.add_argument("--days", type=int, default=365)
    options = parser.parse_args()
    build(options.ledger, options.events, options.leads, options.days)


if __name__ == "__main__":
    main()
