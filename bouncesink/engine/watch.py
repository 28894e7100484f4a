"""What the watch sees in the ledger: rates over a rolling window, and spikes of blocks."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from bouncesink.address import bare, domain_of, normalise
from bouncesink.config import WatchConfig
from bouncesink.ledger import BlockCount, Ledger, SentBy
from bouncesink.provider import provider_of
from bouncesink.watch import Alarm, Blocks, Limits, Rate, Scope, alarms, is_spike, rates

BEFORE = 14
"""Days before the last one, with which it is compared."""


@dataclass(frozen=True, slots=True)
class View:
    """What was seen at `at`: rates, blocks by provider, and of both what asks for something."""

    at: datetime
    rates: tuple[Rate, ...]
    alarms: tuple[Alarm, ...]
    blocks: tuple[Blocks, ...]
    spikes: tuple[Blocks, ...]


def look(ledger: Ledger, config: WatchConfig, now: datetime) -> View:
    """Look at the window that ends now."""
    since, until = now - timedelta(days=config.window_days), now + timedelta(milliseconds=1)
    limits = limits_of(config)
    found = rates(
        _by_scope(lambda by: ledger.sent_by(by, since, until)),
        _by_scope(lambda by: ledger.hard_by(by, since, until)),
    )
    blocked = tuple(blocks(ledger.blocked_between(now - timedelta(days=BEFORE + 1), until)))
    spikes = tuple(each for each in blocked if is_spike(each, limits))
    return View(now, tuple(found), tuple(alarms(found, limits)), blocked, spikes)


def limits_of(config: WatchConfig) -> Limits:
    return Limits(
        config.warn_percent / 100, config.act_percent / 100, config.min_bounces, config.min_blocks
    )


def blocks(counts: Iterable[BlockCount]) -> list[Blocks]:
    """Gather blocks by provider; of its sentences, the one that the most messages got."""
    days: defaultdict[str, Counter[int]] = defaultdict(Counter)
    said: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for each in counts:
        name = provider_of(each.domain, each.remote_mta)
        days[name][each.days_ago] += each.count
        if each.days_ago == 0:
            said[name][each.said] += each.count
    return [
        Blocks(
            name,
            found[0],
            [found[ago] for ago in range(1, BEFORE + 1)],
            said[name].most_common(1)[0][0] if said[name] else "",
        )
        for name, found in sorted(days.items())
    ]


def _by_scope(counted: Callable[[SentBy], Mapping[str, int]]) -> Counter[tuple[Scope, str]]:
    """Gather counts.

    The provider by the recipient's domain alone: who hosts it is known of bounces only, and a rate
    must count the same messages above and below the line.
    """
    total: Counter[tuple[Scope, str]] = Counter()
    for campaign, count in counted("campaign").items():
        total[Scope.CAMPAIGN, campaign] += count
    for mailbox, count in counted("mailbox").items():
        address = normalise(bare(mailbox)) or ""
        total[Scope.MAILBOX, address] += count
        total[Scope.SENDING_DOMAIN, domain_of(address) if address else ""] += count
    for domain, count in counted("domain").items():
        total[Scope.PROVIDER, provider_of(domain) if domain else ""] += count
    return total
