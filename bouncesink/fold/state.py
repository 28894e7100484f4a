"""PURE. Events -> Contact."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bouncesink.config import Policy
from bouncesink.fold.cells import cell_text, newest_that_fit
from bouncesink.fold.judgement import (
    Rulings,
    counted_as,
    gate_reason,
    in_order,
    rulings,
    trusted,
    when,
)
from bouncesink.identity import bare_message_id
from bouncesink.model import Act, Contact, Event, Evidence, Reason, Severity, TrustLevel

_EVIDENCE_ID_LENGTH = 200
"""In characters; real Message-IDs are shorter, and one endless one must not fill the cell."""


@dataclass(frozen=True, slots=True)
class _Bounce:
    """A bounce that counts. `since` is when it began to: later than `at` for a confirmed one."""

    since: datetime
    at: datetime
    event: Event
    message: str
    severity: Severity
    confirmed: bool


def fold(
    address: str, events: Iterable[Event], policy: Policy, require: TrustLevel | None
) -> Contact:
    """Give the state of an address: a total function of the set of its events. Never raises."""
    ordered = in_order(events)
    ruled = rulings(ordered)
    bounces = _bounces(ordered, policy, require, ruled)
    contact = _history(Contact(address), bounces)
    reinstatements = [when(event) for event in ordered if event.kind is Act.REINSTATE]
    if reinstatements:
        contact = replace(contact, reinstated=len(reinstatements))
        bounces = _after(bounces, reinstatements[-1])
    contact = _standing(contact, bounces, policy)
    gate = _gate(ordered, require, ruled)
    return replace(contact, suppressed=contact.suppressed | gate.keys())


def closed_since(events: Iterable[Event], require: TrustLevel | None) -> dict[Reason, datetime]:
    """Give since when each reason that is no bounce has closed the gate of an address.

    Of its events, the acts, complaints and unsubscribe requests are enough.
    """
    ordered = in_order(events)
    return _gate(ordered, require, rulings(ordered))


def strikes_at(contact: Contact, now: datetime, policy: Policy) -> int:
    """Give the strikes that stand at `now`, after the decay since the last one."""
    last = contact.last_strike_at
    if last is None or now - last > timedelta(days=policy.decay_days):
        return 0
    return contact.strikes


def _bounces(
    ordered: list[Event], policy: Policy, require: TrustLevel | None, ruled: Rulings
) -> list[_Bounce]:
    found = []
    for event in ordered:
        severity = counted_as(event, policy, require, ruled)
        if severity is None:
            continue
        at = when(event)
        confirmed = ruled.confirmed.get(event.id)
        found.append(
            _Bounce(
                since=at if confirmed is None else max(at, confirmed),
                at=at,
                event=event,
                message=bare_message_id(event.message_id) or f"event:{event.id}",
                severity=severity,
                confirmed=confirmed is not None,
            )
        )
    return sorted(found, key=lambda b: (b.since, b.event.id))


def _history(contact: Contact, bounces: list[_Bounce]) -> Contact:
    """Fill in what nothing clears: the count, the last date and the evidence."""
    worst: dict[str, _Bounce] = {}
    for bounce in bounces:
        known = worst.get(bounce.message)
        if known is None or _rank(bounce) < _rank(known):
            worst[bounce.message] = bounce
    shown = sorted(worst.values(), key=lambda b: (b.at, b.event.id))
    evidence = [
        Evidence(b.at, cell_text(_code(b.event)), cell_text(b.message[:_EVIDENCE_ID_LENGTH]))
        for b in shown
    ]
    return replace(
        contact,
        bounce_count=len(worst),
        last_bounce_at=max((b.at for b in bounces), default=None),
        evidence=tuple(newest_that_fit(evidence)),
    )


def _rank(bounce: _Bounce) -> tuple[bool, datetime, str]:
    return bounce.severity is not Severity.HARD, bounce.at, bounce.event.id


def _code(event: Event) -> str:
    if event.report is not None and event.report.status:
        return event.report.status
    if event.report is not None and event.report.reply_code:
        return str(event.report.reply_code)
    return event.verdict.category.value if event.verdict is not None else "unknown"


def _after(bounces: list[_Bounce], reinstated: datetime) -> list[_Bounce]:
    """Leave out what a reinstatement cleared, and what only repeats that."""
    cleared: dict[str, Severity] = {}
    for bounce in bounces:
        if bounce.at <= reinstated and cleared.get(bounce.message) is not Severity.HARD:
            cleared[bounce.message] = bounce.severity
    return [
        bounce
        for bounce in bounces
        if bounce.since > reinstated
        and (
            bounce.confirmed
            or bounce.message not in cleared
            or (bounce.severity, cleared[bounce.message]) == (Severity.HARD, Severity.SOFT)
        )
    ]


def _standing(contact: Contact, bounces: list[_Bounce], policy: Policy) -> Contact:
    """Fill in what a reinstatement clears: the type, the strikes, and when it became HARD."""
    decay = timedelta(days=policy.decay_days)
    suppressed: set[Reason] = set()
    hard: _Bounce | None = None
    struck: set[str] = set()
    last: datetime | None = None
    for bounce in bounces:
        # Not the strikes of single messages but all bounces hold the strikes up: else an old
        # notice of a message that struck already would move its strike away and undo a HARD.
        if last is not None and bounce.since - last > decay:
            struck = set()
        last = bounce.since
        if bounce.severity is Severity.HARD:
            suppressed.add(Reason.HARD)
        else:
            struck.add(bounce.message)
            if len(struck) >= policy.strikes:
                suppressed.add(Reason.STRIKES)
        if suppressed and hard is None:
            hard = bounce
    kind = Severity.HARD if hard else Severity.SOFT if bounces else None
    return replace(
        contact,
        bounce_type=kind,
        strikes=len(struck),
        last_strike_at=last if struck else None,
        hard_since=hard.since if hard else None,
        hard_event=hard.event.id if hard else None,
        suppressed=frozenset(suppressed),
    )


def _gate(
    ordered: list[Event], require: TrustLevel | None, ruled: Rulings
) -> dict[Reason, datetime]:
    """Give the reasons that are no bounces, each since when: complaint, unsubscribe, manual."""
    since: dict[Reason, datetime] = {}
    for event in ordered:
        if event.kind is Act.SUPPRESS:
            since.setdefault(Reason.MANUAL, when(event))
        elif event.kind is Act.UNSUPPRESS:
            since.pop(Reason.MANUAL, None)
        elif event.id not in ruled.dismissed:
            confirmed = ruled.confirmed.get(event.id)
            by_itself = gate_reason(event) is not None and trusted(event, require)
            at = when(event) if by_itself else confirmed
            reason = gate_reason(event, confirmed=confirmed is not None)
            if reason is not None and at is not None:
                since[reason] = min(at, since.get(reason, at))
    return since
