"""How quick is a ledger with a million events in it?

    python tests/bench/ledger.py [--events 1000000] [--folder DIR]

Prints the time of each question, beside a peer of the same run: the same question on a hundredth
of the events, or what the disk alone does. What does not grow with the ledger has a ratio near 1.
"""

import argparse
import itertools
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bouncesink.identity import arrival_id, event_id
from bouncesink.ledger import ArrivalState, Ledger, Settlement, open_ledger
from bouncesink.model import (
    Arrival,
    Category,
    Contact,
    DsnAction,
    Event,
    Evidence,
    Kind,
    Reason,
    Report,
    Severity,
    Trust,
    TrustLevel,
    Verdict,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
BODY = (
    b"Content-Type: text/plain\r\n\r\n" + b"The message that you sent could not be sent.\r\n" * 110
)
CATEGORIES = (Category.USER_UNKNOWN, Category.MAILBOX_FULL, Category.BLOCKLISTED)
GROUP = 20
BATCH = 200


def address(number: int) -> str:
    """Three events for each address, on average, and two hundred addresses a domain."""
    return f"person{number * 7919 % 1_000_003 // 3}@d{number * 7919 % 1_000_003 // 600}.example"


def event(number: int, arrival: str | None = None) -> Event:
    who = address(number)
    return Event(
        id=event_id(f"<{number}@mx.example>", who, "failed"),
        kind=Kind.FAILURE,
        address=who,
        occurred_at=START + timedelta(seconds=number),
        recorded_at=START + timedelta(seconds=number),
        source="lmtp",
        arrival_id=arrival,
        report=Report(
            who,
            DsnAction.FAILED,
            "rfc3464",
            status="5.1.1",
            reply_code=550,
            diagnostic=f"smtp; 550 5.1.1 <{who}>: Recipient address rejected: User unknown",
            remote_mta="dns; mx.example",
        ),
        verdict=Verdict(CATEGORIES[number % 3], "code.5.1.1", "User unknown"),
        trust=Trust(TrustLevel.PLAUSIBLE, ("the recipient is a lead",)),
        message_id=f"<{number}@example.com>",
        sender="sales@example.com",
        subject="A question about your work",
        campaign=f"campaign-{number % 20}",
    )


def contact(of: Event) -> Contact:
    return Contact(
        of.address,
        bounce_type=Severity.HARD,
        bounce_count=1,
        last_bounce_at=of.occurred_at,
        hard_since=of.occurred_at,
        hard_event=of.id,
        suppressed=frozenset({Reason.HARD}),
        evidence=(Evidence(of.occurred_at, "5.1.1", of.message_id or ""),),
    )


def arrival(number: int) -> Arrival:
    raw = b"Message-ID: <%d@mx.example>\r\n" % number + BODY
    to = "bounces@example.com"
    return Arrival(arrival_id(raw, to), "lmtp", "", to, START + timedelta(seconds=number), raw)


def build(path: Path, events: int) -> None:
    began = time.perf_counter()
    ledger = open_ledger(path)
    for first in range(0, events, 50_000):
        made = [event(number) for number in range(first, min(first + 50_000, events))]
        with ledger.transaction():
            ledger.add_events(made)
            ledger.put_contacts([contact(each) for each in made])
    ledger.close()
    took = time.perf_counter() - began
    size = path.stat().st_size / 1e6
    print(f"built {events:>9,} events in {took:.0f} s ({events / took:,.0f}/s), {size:,.0f} MB")


def median_ms(call: Callable[[], object], times: int) -> float:
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken) * 1000


def questions(path: Path, events: int) -> Iterator[tuple[str, float]]:
    """Give the name and the median time, in milliseconds, of everything that is asked."""
    yield "open", median_ms(lambda: open_ledger(path).close(), 21)
    ledger = open_ledger(path)
    numbers = itertools.cycle(range(0, events, max(1, events // 3000)))
    many = [address(number) for number in range(0, events, max(1, events // 200))][:200]
    yield (
        "check: contacts([address])",
        median_ms(lambda: ledger.contacts([address(next(numbers))]), 501),
    )
    yield (
        "check: one that is not there",
        median_ms(lambda: ledger.contacts(["no@one.example"]), 501),
    )
    yield "events_of([address])", median_ms(lambda: ledger.events_of([address(next(numbers))]), 501)
    yield "contacts, of 200 addresses", median_ms(lambda: ledger.contacts(many), 51)
    yield "status: totals()", median_ms(ledger.totals, 501)
    waiting = [
        [arrival(first + number) for number in range(GROUP)]
        for first in range(10_000_000, 10_000_000 + 101 * GROUP, GROUP)
    ]
    yield f"append, a group of {GROUP}", median_ms(lambda: ledger.append(waiting.pop()), 101)
    yield f"drain, a batch of {BATCH}", median_ms(lambda: drain(ledger), 10)
    ledger.close()


def drain(ledger: Ledger) -> None:
    """Do to a batch what the engine does, without reading the mails."""
    batch = ledger.pending(BATCH)
    assert len(batch) == BATCH
    with ledger.transaction():
        made = [event(int(each.raw.split(b"@")[0].rpartition(b"<")[2]), each.id) for each in batch]
        ledger.add_events(made)
        ledger.settle(
            [
                Settlement(each.id, ArrivalState.DONE, Kind.FAILURE, "rfc3464", each.id)
                for each in batch
            ]
        )
        addresses = [each.address for each in made]
        ledger.events_of(addresses)
        ledger.leads_of(addresses)
        ledger.put_contacts([contact(each) for each in made])
        ledger.open_actions(addresses)


def disk_ms(folder: Path) -> float:
    """Write and sync as much as a group is, and nothing else."""
    data = os.urandom(GROUP * len(arrival(0).raw))
    with (folder / "disk").open("wb") as file:

        def write() -> None:
            file.write(data)
            file.flush()
            os.fdatasync(file.fileno())

        return median_ms(write, 51)


def plans(path: Path) -> Iterator[str]:
    """Say how SQLite finds the rows of `check` and `status`, as they ask for them."""
    asked: list[str] = []
    ledger = open_ledger(path)
    connection: sqlite3.Connection = ledger._db._sqlite  # type: ignore[attr-defined]
    connection.set_trace_callback(asked.append)
    ledger.contacts(["no@one.example"])
    ledger.totals()
    connection.set_trace_callback(None)
    for sql in asked:
        for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {sql}"):
            yield step
    ledger.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="where to build the ledgers")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        few = max(options.events // 100, 1000)
        build(folder / "small.db", few)
        build(folder / "large.db", options.events)
        small = dict(questions(folder / "small.db", few))
        large = dict(questions(folder / "large.db", options.events))
        print(f"\n{'milliseconds (median)':32}{few:>12,}{options.events:>12,}   ratio")
        for question, took in large.items():
            print(f"{question:32}{small[question]:12.3f}{took:12.3f}{took / small[question]:8.1f}")
        disk = disk_ms(folder)
        ratio = large[f"append, a group of {GROUP}"] / disk
        print(
            f"{'(the disk alone, such a group)':32}{'':12}{disk:12.3f}   append is {ratio:.1f} of it"
        )
        print("\nhow check and status find their rows (counters has a few dozen rows):")
        for step in plans(folder / "large.db"):
            print(f"  {step}")


if __name__ == "__main__":
    main()
