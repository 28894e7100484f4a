"""Figures for Prometheus. Counters are told by `Observers`; gauges are read when asked for.

A label's value is always one of a few names of our own: what the world writes never becomes one.
"""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from bouncesink import __version__
from bouncesink.address import domain_of
from bouncesink.engine import Outcome, utcnow
from bouncesink.ledger import SHEET, ArrivalState, Ledger
from bouncesink.ledger.storage import measure
from bouncesink.model import OPEN, ActionKind, ActionState
from bouncesink.provider import provider_of
from bouncesink.service.health import Health
from bouncesink.service.observers import Observers

MOST_NAMES = 100
"""Different values of a label whose names are spread over many modules; what is more is `other`."""

_FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SLOW = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)
_COUNTS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


class Lmtp(Protocol):
    """What is asked of `bouncesink.intake.lmtp.LmtpServer`."""

    @property
    def accepted(self) -> int: ...
    @property
    def refused(self) -> Mapping[str, int]: ...
    @property
    def connections(self) -> int: ...


class Metrics:
    """May be told and asked from any thread."""

    def __init__(self, ledger: Path) -> None:
        # When a counter began would be a series of its own, of no use to us.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no types
        self._ledger = ledger
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        info = Info("bouncesink_build", "The version that runs", registry=registry)
        info.info({"version": __version__})
        self._commits = Histogram(
            "bouncesink_commit_seconds",
            "Time of a commit of arrivals, with its fsync",
            buckets=_FAST,
            registry=registry,
        )
        self._commit_arrivals = Histogram(
            "bouncesink_commit_arrivals",
            "Arrivals that shared a commit",
            buckets=_COUNTS,
            registry=registry,
        )
        self._commit_failures = Counter(
            "bouncesink_commit_failures", "Commits that failed: 451 to the peer", registry=registry
        )
        self._arrivals = Counter(
            "bouncesink_arrivals", "Arrivals read, by what they are", ["kind"], registry=registry
        )
        self._parsed = Counter(
            "bouncesink_parsed",
            "Arrivals read, by what read them",
            ["recognizer"],
            registry=registry,
        )
        self._verdicts = Counter(
            "bouncesink_verdicts",
            "New events, by what they mean",
            ["category", "severity"],
            registry=registry,
        )
        self._provider_verdicts = Counter(
            "bouncesink_provider_verdicts",
            "New events, by who runs the recipient's mailbox",
            ["provider", "severity"],
            registry=registry,
        )
        self._read = Histogram(
            "bouncesink_read_seconds",
            "Time to read an arrival: parse and classify",
            buckets=_FAST,
            registry=registry,
        )
        self._delay = Histogram(
            "bouncesink_arrival_delay_seconds",
            "From when an arrival was received to when what it means was recorded",
            buckets=_SLOW,
            registry=registry,
        )
        self._flushes = Histogram(
            "bouncesink_flush_seconds",
            "Time of a flush of the sheet",
            ["outcome"],
            buckets=_SLOW,
            registry=registry,
        )
        self._requests = Counter(
            "bouncesink_http_requests", "Requests", ["route", "method", "status"], registry=registry
        )
        self._request_seconds = Histogram(
            "bouncesink_http_request_seconds",
            "Time of a request",
            ["route"],
            buckets=_FAST,
            registry=registry,
        )
        self._webhooks = Counter(
            "bouncesink_webhook_events",
            "Events that came by webhook, and requests that were refused",
            ["account", "outcome"],
            registry=registry,
        )
        self._recognizers = _Names(MOST_NAMES)

    def watch(self, lmtp: Lmtp, health: Health) -> None:
        """Show these, too, from now on."""
        self._registry.register(_Now(lmtp, health))

    @property
    def observers(self) -> Observers:
        return Observers(
            self._on_commit, self._on_read, self._on_flush, self._on_request, self._on_webhook
        )

    def text(self, ledger: Ledger | None) -> bytes:
        """Give all in Prometheus's text format; without a ledger, what is known without it."""
        stored = CollectorRegistry()
        stored.register(_Stored(ledger, self._ledger))
        return generate_latest(self._registry) + generate_latest(stored)

    def _on_commit(self, arrivals: int, seconds: float, worked: bool) -> None:  # noqa: FBT001 - see Observers
        if not worked:
            self._commit_failures.inc()
        elif arrivals:
            self._commits.observe(seconds)
            self._commit_arrivals.observe(arrivals)

    def _on_read(self, outcome: Outcome) -> None:
        self._arrivals.labels(outcome.settlement.kind.value).inc()
        self._parsed.labels(self._recognizers.name(outcome.settlement.recognizer)).inc()
        self._read.observe(outcome.read_in)
        self._delay.observe(max(0.0, (utcnow() - outcome.arrival.received_at).total_seconds()))
        for event in outcome.events:
            if event.verdict is None:
                continue
            severity = event.verdict.severity.value
            self._verdicts.labels(event.verdict.category.value, severity).inc()
            remote = event.report.remote_mta if event.report else None
            provider = provider_of(domain_of(event.address), remote)
            self._provider_verdicts.labels(provider, severity).inc()

    def _on_flush(self, seconds: float, worked: bool) -> None:  # noqa: FBT001 - see Observers
        self._flushes.labels("done" if worked else "failed").observe(seconds)

    def _on_request(self, route: str, method: str, status: int, seconds: float) -> None:
        self._requests.labels(route, method, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)

    def _on_webhook(self, account: str, outcome: str, count: int) -> None:
        if count:
            self._webhooks.labels(account, outcome).inc(count)


class _Names:
    """Lets so many different names through."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._seen: set[str] = set()

    def name(self, name: str) -> str:
        if name not in self._seen:
            if len(self._seen) >= self._most:
                return "other"
            self._seen.add(name)
        return name


class _Now(Collector):
    """What the parts know of themselves."""

    def __init__(self, lmtp: Lmtp, health: Health) -> None:
        self._lmtp = lmtp
        self._health = health

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily(
            "bouncesink_lmtp_accepted", "Messages answered with 250", self._lmtp.accepted
        )
        refused = CounterMetricFamily(
            "bouncesink_lmtp_refused",
            "Negative replies, by reply and enhanced code",
            labels=["code"],
        )
        for code, count in dict(self._lmtp.refused).items():
            refused.add_metric([code], count)
        yield refused
        yield _gauge("lmtp_connections", "Connections that are open", self._lmtp.connections)
        yield _gauge("alive", "0 when a vital part is stuck", self._health.alive())
        yield _gauge("ready", "0 when mail is not taken in and read", self._health.ready())
        parts = GaugeMetricFamily(
            "bouncesink_part_ok", "0 when a part has trouble, or is stuck", labels=["part"]
        )
        for part in self._health.parts():
            parts.add_metric([part.name], part.ok)
        yield parts


class _Stored(Collector):
    """What the ledger knows, and its files."""

    def __init__(self, ledger: Ledger | None, path: Path) -> None:
        self._ledger = ledger
        self._path = path

    def collect(self) -> Iterator[Metric]:
        yield _gauge("ledger_up", "0 when the ledger cannot be read", self._ledger is not None)
        storage = measure(self._path)
        yield _gauge("ledger_size_bytes", "Size of the ledger's file", storage.ledger)
        yield _gauge("ledger_wal_size_bytes", "Size of its write-ahead log", storage.wal)
        yield _gauge("ledger_disk_free_bytes", "What its disk has left", storage.free)
        if self._ledger is not None:
            yield from _totals(self._ledger)
            yield from _queues(self._ledger)


def _totals(ledger: Ledger) -> Iterator[Metric]:
    totals, now = ledger.totals(), time.time()
    oldest = totals.oldest_pending_at
    pending = totals.arrivals.get(ArrivalState.PENDING, 0)
    yield _gauge("arrivals_pending", "Arrivals that are not read yet", pending)
    yield _gauge(
        "drain_lag_seconds",
        "How long the oldest of those has waited",
        max(0.0, now - oldest.timestamp()) if oldest else 0,
    )
    if totals.last_arrival_at:
        yield _gauge(
            "last_arrival_timestamp_seconds",
            "When something last arrived",
            totals.last_arrival_at.timestamp(),
        )
    yield _gauge("addresses", "Addresses that an event spoke of", totals.contacts)
    yield _gauge("addresses_suppressed", "Those that must not be mailed", totals.suppressed)
    yield _gauge("leads", "Leads of the sheet", totals.leads)
    if (flushed := ledger.beats().get(SHEET)) is not None:
        yield _gauge(
            "flush_last_success_timestamp_seconds",
            "When the sheet was last flushed",
            flushed.timestamp(),
        )


def _queues(ledger: Ledger) -> Iterator[Metric]:
    totals, now = ledger.totals(), time.time()
    depth = GaugeMetricFamily(
        "bouncesink_queue_depth", "Actions, by kind and state", labels=["kind", "state"]
    )
    for kind in ActionKind:
        for state in (*OPEN, ActionState.FAILED):
            depth.add_metric([kind.value, state.value], totals.actions.get((kind, state), 0))
    yield depth
    age = GaugeMetricFamily(
        "bouncesink_queue_oldest_age_seconds",
        "Age of the oldest of these",
        labels=["kind", "state"],
    )
    for (kind, state), at in ledger.oldest_open_actions().items():
        age.add_metric([kind.value, state.value], max(0.0, now - at.timestamp()))
    yield age
    dead = sum(n for (_, state), n in totals.actions.items() if state is ActionState.FAILED)
    yield _gauge("dead_letters", "Actions that failed for good", dead)
    reviews = sum(totals.actions.get((ActionKind.REVIEW, state), 0) for state in OPEN)
    yield _gauge("review_open", "Items that wait for a person", reviews)
    yield _gauge("alerts_standing", "Alerts of which none is over", len(ledger.standing_alerts()))


def _gauge(name: str, words: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"bouncesink_{name}", words, float(value))
