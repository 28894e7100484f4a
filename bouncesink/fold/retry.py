"""PURE. When to try an address again after a bounce, and when to stop."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from itertools import takewhile

from bouncesink.fold.judgement import in_order
from bouncesink.model import CATEGORIES, Category, Event, Kind, Severity

JITTER = 0.2
"""Each wait is stretched or shortened by up to this part, so that retries do not come in waves."""

_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)

# RFC 5321, section 4.5.4.1 asks for at least 30 minutes between attempts and 4 to 5 days in all;
# a greylist wants one prompt retry, a full mailbox and a bad reputation want days.
_MAILBOX = (_DAY, 3 * _DAY, 7 * _DAY, 14 * _DAY)
_SYSTEM = (_HOUR, 4 * _HOUR, 12 * _HOUR, _DAY, 2 * _DAY)
_RATE = (30 * _MINUTE, 2 * _HOUR, 8 * _HOUR, _DAY)
_STANDING = (3 * _DAY, 7 * _DAY, 14 * _DAY)
_WAITS = {
    Category.MAILBOX_FULL: _MAILBOX,
    Category.MAILBOX_INACTIVE_TEMPORARILY: _MAILBOX,
    Category.EXPIRED: (_DAY, 3 * _DAY, 7 * _DAY),
    Category.SYSTEM_ERROR: _SYSTEM,
    Category.SYSTEM_FULL: _SYSTEM,
    Category.NETWORK: _SYSTEM,
    Category.DNS_TEMPORARY: _SYSTEM,
    Category.LOOP: (_DAY, 3 * _DAY),
    Category.GREYLISTED: (15 * _MINUTE, _HOUR, 4 * _HOUR, _DAY),
    Category.RATE_LIMITED: _RATE,
    Category.SENDER_QUOTA: (_DAY, _DAY, 2 * _DAY),
    Category.REPUTATION: _STANDING,
    Category.BLOCKLISTED: _STANDING,
}


@dataclass(frozen=True, slots=True)
class Advice:
    """`wait` until the next attempt, or None: don't. `persistent`: attempts have run out."""

    wait: timedelta | None
    persistent: bool = False


def advise_after(events: Iterable[Event]) -> tuple[Event, Advice] | None:
    """Advise after the latest failure among the events of an address; None if none failed.

    As many failures of the same category as stand last in a row count as attempts.
    """
    failures = [
        event
        for event in in_order(events)
        if event.kind is Kind.FAILURE and event.verdict is not None
    ]
    if not failures:
        return None
    last = failures[-1]
    assert last.verdict is not None
    category = last.verdict.category
    row = takewhile(lambda e: e.verdict and e.verdict.category is category, reversed(failures))
    return last, advise(category, sum(1 for _ in row), last.address)


def advise(category: Category, attempt: int, seed: str) -> Advice:
    """Advise after the `attempt`-th failure (from 1) with this category.

    The same seed, an address say, gives the same jitter. What the sender must mend first (content,
    authentication, size, ...) has no date to be tried again on; nor has what is nobody's failure.
    """
    waits = _WAITS.get(category)
    if waits is None:
        return Advice(None, persistent=CATEGORIES[category][0] is Severity.HARD)
    if attempt > len(waits):
        return Advice(None, persistent=True)
    wait = waits[max(attempt, 1) - 1]
    digest = hashlib.sha256(f"{seed}\0{category}\0{attempt}".encode("utf-8", "surrogatepass"))
    unit = int.from_bytes(digest.digest()[:8], "big") / 2**64
    return Advice(wait * (1 - JITTER + 2 * JITTER * unit))
