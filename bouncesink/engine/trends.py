"""What changed: the failures of a span of days beside those of as many days before."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from bouncesink.address import bare, normalise
from bouncesink.config import Config
from bouncesink.engine.watch import look
from bouncesink.fold import strikes_at
from bouncesink.ledger import FailureCount, FailuresBy, Ledger
from bouncesink.model import Contact
from bouncesink.provider import provider_of
from bouncesink.watch import Rate

AT_RISK = 100
"""How many addresses at risk are named, at the most."""

SURE = 2.0
"""Standard deviations beyond which two counts differ by more than chance."""


def _host(name: str) -> str:
    domain, _, remote_mta = name.partition(" ")
    return provider_of(domain, remote_mta)


_NAMED: Mapping[str, tuple[FailuresBy, Callable[[str], str]]] = {
    "category": ("category", str),
    "rule": ("rule", str),
    "provider": ("host", _host),
    "domain": ("host", lambda name: name.partition(" ")[0]),
    "campaign": ("campaign", str),
    "mailbox": ("sender", lambda name: normalise(bare(name)) or ""),
    "subject": ("subject", str),
}
"""What is compared, in the order in which it is shown. A subject stands for its template."""


Table = defaultdict[str, Counter[str]]
"""Counts by name, and of each by severity."""


@dataclass(frozen=True, slots=True)
class Change:
    """How often something came up in the span before and in this one, by severity."""

    name: str
    before: Mapping[str, int]
    now: Mapping[str, int]

    @property
    def counts(self) -> tuple[int, int]:
        return sum(self.before.values()), sum(self.now.values())

    @property
    def deviations(self) -> float:
        """How many standard deviations apart the two are, as counts of rare events."""
        before, now = self.counts
        return (now - before) / math.sqrt(now + before) if now + before else 0.0


@dataclass(frozen=True, slots=True)
class Trends:
    """`days` has each day (UTC) of the span; `changes` come in the order of their weight."""

    since: datetime
    until: datetime
    total: Change
    days: Mapping[str, Mapping[str, int]]
    changes: Mapping[str, tuple[Change, ...]]
    rates: tuple[Rate, ...]
    at_risk: tuple[Contact, ...] = field(default=())


def trends(ledger: Ledger, config: Config, until: datetime, days: int) -> Trends:
    """Compare the `days` before `until` with as many before them."""
    since = until - timedelta(days=days)
    failures = ledger.failures(since - timedelta(days=days), since, until)
    changes = {
        title: _changes(*_tables(failures[by], rename)) for title, (by, rename) in _NAMED.items()
    }
    before, now = _tables(failures["day"], str)
    window = replace(config.watch, window_days=days)
    return Trends(
        since=since,
        until=until,
        total=Change("", _sum(before), _sum(now)),
        days={day: now.get(day, Counter()) for day in _days(since, until)},
        changes=changes,
        rates=look(ledger, window, until).rates,
        at_risk=_at_risk(ledger, config, until),
    )


def _days(since: datetime, until: datetime) -> list[str]:
    """Name every day of a span, also those on which nothing failed."""
    return [
        (since + timedelta(days=n)).date().isoformat()
        for n in range((until.date() - since.date()).days + 1)
    ]


def _tables(counts: Iterable[FailureCount], rename: Callable[[str], str]) -> tuple[Table, Table]:
    """Give the earlier span and the later one."""
    before: Table = defaultdict(Counter)
    now: Table = defaultdict(Counter)
    for each in counts:
        (now if each.later else before)[rename(each.name)][each.severity] += each.count
    return before, now


def _changes(
    before: Mapping[str, Counter[str]], now: Mapping[str, Counter[str]]
) -> tuple[Change, ...]:
    none: Counter[str] = Counter()
    found = [
        Change(name, before.get(name, none), now.get(name, none))
        for name in {*before, *now}
        if name
    ]
    return tuple(sorted(found, key=lambda c: (-abs(c.deviations), -c.counts[1], c.name)))


def _sum(table: Mapping[str, Counter[str]]) -> Counter[str]:
    return sum(table.values(), Counter[str]())


def _at_risk(ledger: Ledger, config: Config, now: datetime) -> tuple[Contact, ...]:
    """Give those whose strikes have not decayed: the next one may be the last."""
    return tuple(
        contact
        for contact in ledger.contacts_at_risk(AT_RISK)
        if strikes_at(contact, now, config.policy)
    )
