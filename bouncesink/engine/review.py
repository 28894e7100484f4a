"""What an operator decides about what waits for review.

The act and the end of the review item are one transaction, so that of two operators one decides and
the other is told. An act is an event about an address; an arrival that names no address has none,
so that what was decided about it is with its review item alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from bouncesink.config import Config
from bouncesink.engine import Engine, parts
from bouncesink.engine.acts import OPERATOR
from bouncesink.errors import AlreadyDecided, InputError
from bouncesink.fold import waiting
from bouncesink.identity import event_id
from bouncesink.ledger import ArrivalState, Ledger, Settlement
from bouncesink.model import (
    OPEN,
    Act,
    Action,
    ActionKind,
    ActionState,
    Category,
    Event,
    Kind,
    TrustLevel,
    Verdict,
)

_PREFIX = f"{ActionKind.REVIEW}:"
_MANY = 50


@dataclass(frozen=True, slots=True)
class Decision:
    """Who decides, and why."""

    actor: str
    reason: str


def find(ledger: Ledger, text: str) -> Action:
    """Give the review item that a person means by its key or the beginning of it.

    Open ones go first. Raises InputError where there is none, or more than one.
    """
    key = _PREFIX + text.removeprefix(_PREFIX)
    found = ledger.find_actions(key, _MANY)
    exact = [action for action in found if action.key == key]
    still_open = [action for action in found if action.state in OPEN]
    meant = exact or still_open or found
    if not meant:
        raise InputError(
            f"no review item begins with {text!r}; `bouncesink review list` shows them"
        )
    if len(meant) > 1:
        raise InputError(f"several review items begin with {text!r}; give more of the key")
    return meant[0]


def is_flood(action: Action) -> bool:
    """Tell whether an item stands for many."""
    return "flood" in action.payload


def confirm(
    engine: Engine,
    action: Action,
    decision: Decision,
    *,
    address: str | None = None,
    event: str | None = None,
) -> Event:
    """Make what an item is about count, from now on; give the event of the act.

    An item about an arrival needs the `address`; one that stands for many needs the `event`, by
    the beginning of its id. Raises InputError, AlreadyDecided or LedgerError.
    """
    if is_flood(action):
        return _confirm_one(engine, action, decision, event)
    if event is not None:
        raise InputError("this item is about one thing only: leave out --event")
    if action.event_id is not None and action.address is not None:
        if address not in (None, action.address):
            raise InputError(f"this item is about {action.address}: leave out --address")
        with engine.ledger.transaction():
            _close(engine, action, "confirmed", decision)
            return engine.act(
                Act.CONFIRM, action.address, decision.actor, decision.reason, action.event_id
            )
    if address is None:
        raise InputError("this mail names no address: say with --address which one has failed")
    with engine.ledger.transaction():
        _close(engine, action, "confirmed", decision)
        return _failed(engine, action, address, decision)


def dismiss(engine: Engine, action: Action, decision: Decision) -> int:
    """Settle what an item is about as nothing; give how many events and arrivals that settled.

    Raises AlreadyDecided or LedgerError.
    """
    if is_flood(action) and action.address is None:
        return _dismiss_wide(engine, action, decision)
    with engine.ledger.transaction():
        _close(engine, action, "dismissed", decision)
        if action.address is None:
            return _settle_arrival(engine, action.arrival_id)
        count = len(behind(engine.ledger, engine.config, action))
        target = action.event_id or action.payload["why"]
        engine.act(Act.DISMISS, action.address, decision.actor, decision.reason, target)
        return count


def reinstate(engine: Engine, address: str, decision: Decision) -> Event:
    """Take HARD and the strikes from an address. Raises InputError where it has none."""
    with engine.ledger.transaction():
        contact = engine.ledger.contacts([address]).get(address)
        if contact is None or contact.bounce_type is None:
            raise InputError(f"{address}: no bounce counts against it, so nothing to reinstate")
        return engine.act(Act.REINSTATE, address, decision.actor, decision.reason)


def reverify(engine: Engine, address: str, decision: Decision) -> Event:
    """Reinstate an address whose person answered; ends what asked to verify it, if that is open."""
    with engine.ledger.transaction():
        for action in engine.ledger.open_actions([address]):
            if action.kind is ActionKind.REVERIFY:
                _close(engine, action, "confirmed", decision)
        return reinstate(engine, address, decision)


def behind(ledger: Ledger, config: Config, action: Action) -> list[Event]:
    """Give the events that an item stands for and that nobody has decided about yet."""
    if action.event_id is not None and action.address is not None:
        events = ledger.events_of([action.address]).get(action.address, [])
        return [event for event in events if event.id == action.event_id]
    if not is_flood(action):
        return []
    if action.address is not None:
        return _waiting(ledger, config, action.address, action.payload["why"])
    return [event for _, some in _wide(ledger, config, action.payload["why"]) for event in some]


def _confirm_one(engine: Engine, action: Action, decision: Decision, wanted: str | None) -> Event:
    """Confirm one of many; the item stays for the others."""
    if not wanted:
        raise InputError(
            "this item stands for many: dismiss it, or say with --event which one to confirm "
            "(`bouncesink review show` lists them)"
        )
    with engine.ledger.transaction():
        meant = [
            event
            for event in behind(engine.ledger, engine.config, action)
            if event.id.startswith(wanted)
        ]
        if len(meant) != 1:
            which = "several events" if meant else "no event that still waits"
            raise InputError(f"{which} of this item begin with {wanted!r}")
        return engine.act(
            Act.CONFIRM, meant[0].address, decision.actor, decision.reason, meant[0].id
        )


def _dismiss_wide(engine: Engine, action: Action, decision: Decision) -> int:
    """Dismiss a flood over many addresses: claimed first, as it takes several transactions.

    Cut off, it is still the claimer's, who may dismiss it again.
    """
    states = [ActionState.PENDING, ActionState.APPROVED]
    if action.state is ActionState.CLAIMED and action.actor == decision.actor:
        states.append(ActionState.CLAIMED)
    _move(engine, action, states, ActionState.CLAIMED, "being dismissed", decision)
    count = 0
    why = action.payload["why"]
    for some in parts(_wide(engine.ledger, engine.config, why), _MANY):
        with engine.ledger.transaction():
            for address, events in some:
                engine.act(Act.DISMISS, address, decision.actor, decision.reason, why)
                count += len(events)
    for arrivals in parts(engine.ledger.in_review() if why == "unreadable" else (), _MANY):
        with engine.ledger.transaction():
            for each in arrivals:
                _end(engine, f"{_PREFIX}arrival:{each.arrival_id}", decision)
                count += _settle_arrival(engine, each.arrival_id)
    with engine.ledger.transaction():
        _move(engine, action, [ActionState.CLAIMED], ActionState.DONE, "dismissed", decision)
        _end(engine, action.key.replace(ActionKind.REVIEW, ActionKind.ALERT, 1), decision)
    return count


def _wide(ledger: Ledger, config: Config, why: str) -> Iterator[tuple[str, list[Event]]]:
    """Give what waits for this reason, address by address."""
    for address in ledger.addresses_to_review():
        if some := _waiting(ledger, config, address, why):
            yield address, some


def _waiting(ledger: Ledger, config: Config, address: str, why: str) -> list[Event]:
    events = ledger.events_of([address]).get(address, [])
    return waiting(events, config.policy, TrustLevel(config.trust.require)).get(why, [])


def _failed(engine: Engine, action: Action, address: str, decision: Decision) -> Event:
    """Record that an address failed, on the word of a person who read the mail."""
    _settle_arrival(engine, action.arrival_id)
    now = engine.clock()
    event = Event(
        id=event_id(f"{OPERATOR}:{action.arrival_id}", address, "failed"),
        kind=Kind.FAILURE,
        address=address,
        occurred_at=now,
        recorded_at=now,
        source=OPERATOR,
        verdict=Verdict(
            Category.UNKNOWN, "no-recipient", f"read in {(action.arrival_id or '')[:16]}"
        ),
    )
    engine.record([event])
    return engine.act(Act.CONFIRM, address, decision.actor, decision.reason, event.id)


def _settle_arrival(engine: Engine, arrival_id: str | None) -> int:
    settled: Sequence[Settlement] = [
        replace(settlement, state=ArrivalState.DONE)
        for settlement in engine.ledger.settlements([arrival_id or ""]).values()
        if settlement.state is ArrivalState.REVIEW
    ]
    engine.ledger.settle(settled)
    return len(settled)


def _end(engine: Engine, key: str, decision: Decision) -> None:
    """Close an item that goes with another, if it is open."""
    reason = f"dismissed: {decision.reason}"
    engine.ledger.move_action(
        key, OPEN, ActionState.DONE, at=engine.clock(), actor=decision.actor, reason=reason
    )


def _close(engine: Engine, action: Action, word: str, decision: Decision) -> None:
    _move(engine, action, OPEN, ActionState.DONE, word, decision)


def _move(  # noqa: PLR0913, PLR0917 - a move is of what, from where to where, by whom
    engine: Engine,
    action: Action,
    states: Sequence[ActionState],
    to: ActionState,
    word: str,
    decision: Decision,
) -> None:
    moved = engine.ledger.move_action(
        action.key,
        states,
        to,
        at=engine.clock(),
        actor=decision.actor,
        reason=f"{word}: {decision.reason}",
    )
    if not moved:
        raise AlreadyDecided(_already(engine, action))


def _already(engine: Engine, action: Action) -> str:
    now = next(iter(engine.ledger.find_actions(action.key, 1)), action)
    name = action.key.removeprefix(_PREFIX)
    if now.actor is None or now.moved_at is None:
        return f"{name}: waits no longer ({now.reason})"
    word, _, reason = (now.reason or "closed").partition(": ")
    on = now.moved_at.strftime("%Y-%m-%d %H:%M UTC")
    return f"{name}: already {word} by {now.actor} on {on}: {reason}"
