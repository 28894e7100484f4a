"""PURE. What the state of an address calls for.

An intention is called for again and again, under the same key, until the state changes; the engine
stores what is new and cancels what is no longer called for. A key holds a generation: how often
the address was let off (reinstated, or a counted bounce dismissed), so that an address that turns
HARD once more sets everything in motion once more.

HubSpot's contact and SmartLead's lead are found by e-mail address, so there is one intention for
each address; a postcard and an advisory concern a row of the sheet, so there is one for each lead.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from bouncesink.config import Policy
from bouncesink.fold.judgement import (
    Rulings,
    counted_as,
    effective,
    gate_reason,
    in_order,
    reply_class,
    rulings,
    trusted,
    when,
)
from bouncesink.model import (
    Act,
    Action,
    ActionKind,
    Category,
    Contact,
    DsnAction,
    Event,
    Kind,
    Lead,
    Severity,
    TrustLevel,
)

FLOOD = 5
"""More events than this to review for one reason about one address are one item."""

OPEN_DOUBTFUL = 100
"""Beyond so many open review items new doubtful ones are one item a day: see `contain`."""

OPEN_REVIEWS = 2000
"""Beyond so many, so are all new ones. Far apart: else whoever forges bounces hides real ones."""

_EXCERPT = 300
_ALIVE = frozenset({Kind.DELIVERED, Kind.DISPOSITION, Kind.AUTO_REPLY, Kind.CHALLENGE})
_FIRST = frozenset(
    {
        Category.REPUTATION,
        Category.BLOCKLISTED,
        Category.SPAM_CONTENT,
        Category.AUTHENTICATION,
        Category.COMPLAINT,
    }
)


def decide(  # noqa: PLR0913, PLR0917 - the state, its makings and the time: all are inputs
    contact: Contact,
    leads: Sequence[Lead],
    events: Sequence[Event],
    policy: Policy,
    require: TrustLevel | None,
    now: datetime,
    *,
    unknown_too: bool = False,
) -> tuple[Action, ...]:
    """Give every intention that this state calls for; `events` are all those of the address.

    An address that is no lead's starts what goes by address if `unknown_too`.
    """
    ordered = in_order(events)
    actions: list[Action] = []
    if contact.bounce_type is Severity.HARD and (leads or unknown_too):
        generation = contact.reinstated + _let_off(ordered, policy, require)
        actions += _for_hard(contact, leads, ordered, generation, now)
        actions += _to_verify(contact, leads, ordered, generation, policy, require, now)
    ruled = rulings(ordered)
    for why, some in waiting(ordered, policy, require).items():
        if len(some) > FLOOD:
            actions += _flood(contact.address, why, some, ruled, now)
        else:
            actions += [_review(event, why, now) for event in some]
    return tuple(actions)


def contain(actions: Sequence[Action], open_reviews: int, now: datetime) -> tuple[Action, ...]:
    """Hold back a flood over many addresses: the engine passes new actions through here.

    Where these would pass the limits, those of each sort (`why`) are one item and one alert a day:
    a burst is one item, whatever was open. What they stand for is not lost: it is in the events,
    and called for again when the address is folded again.
    """
    kept: dict[str, Action] = {}
    whys = [action.payload.get("why", "unknown") for action in actions]
    new = Counter(w for a, w in zip(actions, whys, strict=True) if a.kind is ActionKind.REVIEW)
    for action, why in zip(actions, whys, strict=True):
        limit = OPEN_DOUBTFUL if why == "doubtful" else OPEN_REVIEWS
        if action.kind is not ActionKind.REVIEW or open_reviews + new[why] <= limit:
            kept[action.key] = action
            continue
        name = f"flood:{why}:{now.date().isoformat()}"
        payload = {"why": why, "flood": "true", "priority": action.payload.get("priority", "2")}
        for kind in (ActionKind.REVIEW, ActionKind.ALERT):
            key = f"{kind}:{name}"
            kept.setdefault(key, Action(key, kind, now, payload=payload))
    return tuple(kept.values())


def _let_off(ordered: Sequence[Event], policy: Policy, require: TrustLevel | None) -> int:
    """Count the dismissals that took a counted bounce away."""
    bounces = {e.id for e in ordered if counted_as(e, policy, require) is not None}
    count = 0
    for event in ordered:
        if event.kind is Act.CONFIRM and event.target is not None:
            bounces.add(event.target)
        elif event.kind is Act.DISMISS and event.target in bounces:
            count += 1
    return count


def _for_hard(
    contact: Contact,
    leads: Sequence[Lead],
    ordered: Sequence[Event],
    generation: int,
    now: datetime,
) -> list[Action]:
    by_id = {lead.id: lead for lead in sorted(leads, key=lambda each: each.id)}
    first = next(iter(by_id), None)
    since = (contact.hard_since or now).date().isoformat()
    cause = next((event for event in ordered if event.id == contact.hard_event), None)
    about = {"email": contact.address, "hard_since": since}
    if cause is not None and cause.campaign:
        about["campaign"] = cause.campaign

    def action(kind: ActionKind, lead_id: str | None, each: str, **payload: str) -> Action:
        return Action(
            key=f"{kind}:{each}:{generation}",
            kind=kind,
            created_at=now,
            address=contact.address,
            lead_id=lead_id,
            event_id=contact.hard_event,
            payload=about | payload,
        )

    actions = [
        action(
            ActionKind.HUBSPOT_PROPOSAL,
            first,
            contact.address,
            lead_source_notes_append=f"|BOUNCE:HARD:{since}",
            email_bounced="true",
        ),
        action(ActionKind.SMARTLEAD_REMOVAL, first, contact.address),
    ]
    for lead_id in by_id:
        each = f"{contact.address}:{lead_id}"
        actions.append(action(ActionKind.POSTCARD, lead_id, each))
        actions.append(action(ActionKind.ADVISORY, lead_id, each, advisory="kg_pending"))
    return actions


def _to_verify(  # noqa: PLR0913, PLR0917 - the state, its makings and the time: all are inputs
    contact: Contact,
    leads: Sequence[Lead],
    ordered: Sequence[Event],
    generation: int,
    policy: Policy,
    require: TrustLevel | None,
    now: datetime,
) -> list[Action]:
    """Ask by another way: for a refusal that says more of us, or when there are signs of life."""
    since = contact.hard_since or now
    cause = next((event for event in ordered if event.id == contact.hard_event), None)
    category = cause.verdict.category if cause is not None and cause.verdict else None
    patience = timedelta(days=policy.reverify_after_days)
    alive = [
        event.kind.value
        for event in ordered
        if patience
        and event.kind in _ALIVE
        and trusted(event, require)
        and when(event) - since >= patience
    ]
    if category not in policy.reverify and not alive:
        return []
    payload = {"hard_since": since.date().isoformat(), "category": category or ""}
    return [
        Action(
            key=f"{ActionKind.REVERIFY}:{contact.address}:{generation}",
            kind=ActionKind.REVERIFY,
            created_at=now,
            address=contact.address,
            lead_id=min((lead.id for lead in leads), default=None),
            event_id=contact.hard_event,
            payload=payload | ({"sign": alive[0]} if alive else {}),
        )
    ]


def waiting(
    events: Iterable[Event], policy: Policy, require: TrustLevel | None
) -> dict[str, list[Event]]:
    """Give the events of one address that wait for a person, by why."""
    ordered = in_order(events)
    ruled = rulings(ordered)
    delivered = {
        event.message_id
        for event in ordered
        if event.kind is Kind.DELIVERED and event.message_id and trusted(event, require)
    }
    found: dict[str, list[Event]] = {}
    for event in ordered:
        why = None if isinstance(event.kind, Act) else _why(event, policy, require)
        if why is None and event.message_id in delivered and _is_hard(event, policy, require):
            why = "conflicting"
        if why is not None and not ruled.settles(event, why):
            found.setdefault(why, []).append(event)
    return found


def _review(event: Event, why: str, now: datetime) -> Action:
    return Action(
        key=f"{ActionKind.REVIEW}:{event.id}",
        kind=ActionKind.REVIEW,
        created_at=now,
        address=event.address,
        lead_id=event.lead_id,
        event_id=event.id,
        arrival_id=event.arrival_id,
        payload=_payload(event, why),
    )


def _why(event: Event, policy: Policy, require: TrustLevel | None) -> str | None:
    """Tell why an event by itself needs a person: `unknown`, `doubtful`, `blocked`, or None."""
    severity = effective(event, policy)
    gate = gate_reason(event) is not None
    if severity is Severity.NONE and not gate:
        return None
    blocked = severity is Severity.BLOCK and _is_final(event)
    if severity is Severity.BLOCK and not blocked:
        return None
    if not trusted(event, require):
        return "doubtful"
    if severity is Severity.UNKNOWN:
        return "unknown"
    return "blocked" if blocked else None


def _is_hard(event: Event, policy: Policy, require: TrustLevel | None) -> bool:
    return counted_as(event, policy, require) is Severity.HARD


def _is_final(event: Event) -> bool:
    """Tell whether a refusal was permanent: a failure without a 4yz."""
    report = event.report
    return report is None or (report.action is DsnAction.FAILED and reply_class(report) != 4)


def _payload(event: Event, why: str) -> dict[str, str]:
    payload = {"why": why, "priority": _priority(event, why)}
    if event.verdict is not None:
        payload |= {"category": event.verdict.category.value, "rule": event.verdict.rule}
    if event.report is not None and event.report.diagnostic:
        payload["diagnostic"] = event.report.diagnostic[:_EXCERPT]
    if event.trust is not None:
        payload["trust"] = event.trust.level.value
        payload["signals"] = "; ".join(event.trust.signals)[:_EXCERPT]
    return payload


def _priority(event: Event, why: str) -> str:
    """1 is first: what says that our own standing suffers; last what may be forged."""
    if why == "doubtful":
        return "3"
    return "1" if event.verdict is not None and event.verdict.category in _FIRST else "2"


def _flood(
    address: str, why: str, some: Sequence[Event], ruled: Rulings, now: datetime
) -> list[Action]:
    """Give one review item for all, and an alert when they may be forged.

    Both come anew after a `dismiss` of all that waited for this reason.
    """
    until = ruled.until(why)
    turn = until.isoformat() if until else "first"
    latest = some[-1]
    # The power of ten is in the review's key: what is stored under a key is never changed, and
    # whoever reads it should see about how many there are.
    at_least = 10 ** (len(str(len(some))) - 1)
    review = Action(
        key=f"{ActionKind.REVIEW}:flood:{why}:{address}:{turn}:{at_least}",
        kind=ActionKind.REVIEW,
        created_at=now,
        address=address,
        lead_id=latest.lead_id,
        payload=_payload(latest, why) | {"flood": "true", "count": str(len(some))},
    )
    if why != "doubtful":
        return [review]
    alert = Action(
        key=f"{ActionKind.ALERT}:flood:{why}:{address}:{turn}",
        kind=ActionKind.ALERT,
        created_at=now,
        address=address,
        lead_id=latest.lead_id,
        payload={"why": why, "flood": "true", "count": str(len(some))},
    )
    return [review, alert]
