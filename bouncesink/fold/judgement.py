"""PURE. What one event counts as, and whether it counts at all."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from bouncesink.config import Policy
from bouncesink.model import (
    TRUST_RANK,
    Act,
    Category,
    DsnAction,
    Event,
    Kind,
    Reason,
    Report,
    Severity,
    TrustLevel,
)

EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
"""A date before this is a clock that was never set: 1904, 1970 and 1980 are where clocks start."""

_GATE = {Category.COMPLAINT: Reason.COMPLAINT, Category.UNSUBSCRIBE: Reason.UNSUBSCRIBE}
_GATE_KINDS = {Kind.FEEDBACK: Reason.COMPLAINT, Kind.UNSUBSCRIBE: Reason.UNSUBSCRIBE}


@dataclass(frozen=True, slots=True)
class Rulings:
    """What operators decided about single events: by event id, since when.

    A `dismiss` of all that waits for one reason is in `dismissed` under that reason;
    `settled_until` is the time of the last `dismiss` without a target.
    """

    confirmed: dict[str, datetime] = field(default_factory=dict)
    dismissed: dict[str, datetime] = field(default_factory=dict)
    settled_until: datetime | None = None

    def settles(self, event: Event, why: str) -> bool:
        """Tell whether a person has decided about an event: it need not be reviewed for `why`."""
        if event.id in self.confirmed or event.id in self.dismissed:
            return True
        until = self.until(why)
        return until is not None and _aware(event.recorded_at) <= until

    def until(self, why: str) -> datetime | None:
        """Give the time up to which all that waits for a reason is settled."""
        times = [time for time in (self.settled_until, self.dismissed.get(why)) if time]
        return max(times, default=None)


NO_RULINGS = Rulings()


def when(event: Event) -> datetime:
    """Give the time at which an event occurred, as far as it can be believed."""
    recorded, occurred = _aware(event.recorded_at), _aware(event.occurred_at)
    return occurred if EARLIEST <= occurred <= recorded else recorded


def in_order(events: Iterable[Event]) -> list[Event]:
    """Give each event once, in the one order in which everything here reads them."""
    return sorted({event.id: event for event in events}.values(), key=lambda e: (when(e), e.id))


def rulings(events: Iterable[Event]) -> Rulings:
    """Gather what was confirmed and what was dismissed."""
    made = Rulings()
    until: datetime | None = None
    for event in in_order(e for e in events if e.kind in (Act.CONFIRM, Act.DISMISS)):
        if event.target is not None:
            now, before = made.confirmed, made.dismissed
            if event.kind is Act.DISMISS:
                now, before = before, now
            before.pop(event.target, None)
            now[event.target] = when(event)
        elif event.kind is Act.DISMISS:
            until = when(event)
    return Rulings(made.confirmed, made.dismissed, until)


def effective(event: Event, policy: Policy) -> Severity:
    """Give what an event counts as under the policy's profile, trust and acts aside."""
    if isinstance(event.kind, Act):
        return Severity.NONE
    if event.verdict is not None:
        severity = event.verdict.severity
    else:
        unread = event.kind in (Kind.FAILURE, Kind.UNREADABLE)
        severity = Severity.UNKNOWN if unread else Severity.NONE
    report = event.report
    if (
        policy.profile == "rfc5321"
        and severity is not Severity.NONE
        and report is not None
        and report.action is DsnAction.FAILED
    ):
        by_class = {5: Severity.HARD, 4: Severity.SOFT}
        return by_class.get(reply_class(report), severity)
    return severity


def reply_class(report: Report) -> int:
    """Give 5 for permanent and 4 for temporary, by status, else by reply code; else 0."""
    status = (report.status or "").strip()
    if status[:2] in ("4.", "5."):
        return int(status[0])
    by_reply = (report.reply_code or 0) // 100
    return by_reply if by_reply in (4, 5) else 0


def trusted(event: Event, require: TrustLevel | None) -> bool:
    """Tell whether an event is sure enough to change anything. Not assessed is UNCHECKED."""
    level = TrustLevel.UNCHECKED if event.trust is None else event.trust.level
    if level is TrustLevel.UNCHECKED or require is None:
        return level is not TrustLevel.CONTRADICTED
    return level is not TrustLevel.CONTRADICTED and TRUST_RANK[level] <= TRUST_RANK[require]


def counts(
    event: Event, policy: Policy, require: TrustLevel | None, ruled: Rulings = NO_RULINGS
) -> bool:
    """Tell whether an event changes the five columns: confirmed, or trusted and not dismissed."""
    return counted_as(event, policy, require, ruled) is not None


def counted_as(
    event: Event, policy: Policy, require: TrustLevel | None, ruled: Rulings = NO_RULINGS
) -> Severity | None:
    """Give HARD or SOFT for a bounce that counts, else None."""
    if isinstance(event.kind, Act) or event.id in ruled.dismissed:
        return None
    confirmed = event.id in ruled.confirmed
    if gate_reason(event, confirmed=confirmed) is not None:
        return None
    if confirmed:
        return Severity.HARD
    severity = effective(event, policy)
    if severity in (Severity.HARD, Severity.SOFT) and trusted(event, require):
        return severity
    return None


def gate_reason(event: Event, *, confirmed: bool = False) -> Reason | None:
    """Give the reason of its own for which an event closes the gate: no bounce, but as final.

    By its verdict; of a confirmed one also by its kind, when the classifier could not tell.
    """
    if event.verdict is not None and (reason := _GATE.get(event.verdict.category)) is not None:
        return reason
    if confirmed and isinstance(event.kind, Kind):
        return _GATE_KINDS.get(event.kind)
    return None


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
