"""What people do with the queues: approve, reject, claim, finish, put back.

Each move happens once however many try; whoever comes second is told who was quicker. Reviews are
not moved here: what is decided about them is an event, see `bouncesink.engine.review`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bouncesink.address import normalise
from bouncesink.errors import AlreadyDecided, InputError
from bouncesink.ledger import Ledger
from bouncesink.model import OPEN, Action, ActionKind, ActionState

KINDS = tuple(kind for kind in ActionKind if kind is not ActionKind.REVIEW)

PROPOSALS = (ActionKind.HUBSPOT_PROPOSAL, ActionKind.CAMPAIGN_PAUSE)
"""Kinds that are only carried out once somebody has approved them."""

_ALL = 1_000_000
_MANY = 50
_PAGE = 500
"""How many are moved in one transaction, so that others get their turn."""


@dataclass(frozen=True, slots=True)
class Move:
    """What a person does to an action: `word` is how it is told of afterwards."""

    word: str
    to: ActionState
    states: tuple[ActionState, ...]


APPROVE = Move("approved", ActionState.APPROVED, (ActionState.PENDING,))
REJECT = Move("rejected", ActionState.CANCELLED, (*OPEN, ActionState.FAILED))
CLAIM = Move("claimed", ActionState.CLAIMED, (ActionState.PENDING, ActionState.APPROVED))
DONE = Move("done", ActionState.DONE, (*OPEN, ActionState.FAILED))

_RETRIES = {
    ActionState.FAILED: Move("to be tried again", ActionState.APPROVED, (ActionState.FAILED,)),
    ActionState.CLAIMED: Move("given back", ActionState.PENDING, (ActionState.CLAIMED,)),
    ActionState.PENDING: Move("to be tried now", ActionState.PENDING, (ActionState.PENDING,)),
    ActionState.APPROVED: Move("to be tried now", ActionState.APPROVED, (ActionState.APPROVED,)),
}


@dataclass(frozen=True, slots=True)
class By:
    """Who moves it, when, and why."""

    actor: str
    at: datetime
    reason: str | None = None


def find(ledger: Ledger, text: str, kind: ActionKind | None = None) -> list[Action]:
    """Give the actions that a person means: by key, by the beginning of one, or by address.

    An address means what is open of it. Raises InputError when nothing is meant, or several are by
    the beginning of a key.
    """
    found = [a for a in ledger.find_actions(text, _MANY) if a.kind in KINDS]
    found = [a for a in found if a.key == text] or found
    address = None if found else normalise(text)
    if address is not None:
        found = [a for a in ledger.open_actions([address]) if a.kind in KINDS]
    if kind is not None:
        found = [action for action in found if action.kind is kind]
    if not found:
        if text.startswith(ActionKind.REVIEW):
            raise InputError("reviews are decided by `bouncesink review`")
        raise InputError(f"no action is meant by {text!r}; `bouncesink queue list` shows them")
    if len(found) > 1 and address is None:
        raise InputError(f"several actions begin with {text!r}; give more of the key")
    return found


def move(ledger: Ledger, action: Action, what: Move, by: By) -> None:
    """Make a move. Raises AlreadyDecided where somebody was quicker."""
    with ledger.transaction():
        now = _now(ledger, action)
        of_another = now.state is ActionState.CLAIMED and now.actor != by.actor
        early = now.state is ActionState.PENDING and now.state not in _claimable(now.kind)
        if what is CLAIM and early:
            raise AlreadyDecided(f"{now.key}: has to be approved first")
        if (of_another and what is not REJECT) or not _moved(ledger, now, what, by):
            raise AlreadyDecided(_standing(now))


def retry(ledger: Ledger, action: Action, by: By) -> str:
    """Have an action done that failed, waits, or is claimed by a person; say what it is now.

    What failed is approved by that; what was claimed is pending again. Raises AlreadyDecided.
    """
    with ledger.transaction():
        now = _now(ledger, action)
        what = _RETRIES.get(now.state)
        working = now.state is ActionState.CLAIMED and (now.next_attempt_at or by.at) > by.at
        if what is None or working or not _moved(ledger, now, what, by):
            raise AlreadyDecided(_standing(now))
        return what.word


def claim(ledger: Ledger, kind: ActionKind, count: int, by: By) -> list[Action]:
    """Claim at most `count` of a kind, by priority, then the oldest first."""
    with ledger.transaction():
        found = ledger.list_actions(kind, _claimable(kind), count)
        return [action for action in found if _moved(ledger, action, CLAIM, by)]


def approve_all(ledger: Ledger, kind: ActionKind, by: By) -> int:
    """Approve what is pending of a kind; give how many."""
    return _move_all(ledger, ledger.list_actions(kind, APPROVE.states, _ALL), APPROVE, by)


def reject_all(ledger: Ledger, kind: ActionKind, by: By) -> int:
    """Reject what is pending of a kind; give how many."""
    return _move_all(ledger, ledger.list_actions(kind, ActionState.PENDING, _ALL), REJECT, by)


def finish_all(ledger: Ledger, kind: ActionKind, by: By) -> int:
    """Finish what this person has claimed of a kind; give how many."""
    found = ledger.list_actions(kind, ActionState.CLAIMED, _ALL)
    return _move_all(ledger, [each for each in found if each.actor == by.actor], DONE, by)


def retry_all(ledger: Ledger, kind: ActionKind, by: By) -> int:
    """Have all of a kind done again that failed; give how many."""
    found = ledger.list_actions(kind, ActionState.FAILED, _ALL)
    return _move_all(ledger, found, _RETRIES[ActionState.FAILED], by)


def _claimable(kind: ActionKind) -> tuple[ActionState, ...]:
    """Nothing is written to HubSpot, and no campaign paused, that nobody has approved."""
    return (ActionState.APPROVED,) if kind in PROPOSALS else CLAIM.states


def _move_all(ledger: Ledger, found: Sequence[Action], what: Move, by: By) -> int:
    count = 0
    for start in range(0, len(found), _PAGE):
        with ledger.transaction():
            count += sum(_moved(ledger, each, what, by) for each in found[start : start + _PAGE])
    return count


def _now(ledger: Ledger, action: Action) -> Action:
    return next(iter(ledger.find_actions(action.key, 1)), action)


def _moved(ledger: Ledger, action: Action, what: Move, by: By) -> bool:
    # Also here, since whoever moves it next takes the actor's place.
    reason = f"{what.word} by {by.actor}" + (f": {by.reason}" if by.reason else "")
    return ledger.move_action(
        action.key, what.states, what.to, at=by.at, actor=by.actor, reason=reason
    )


def _standing(action: Action) -> str:
    why = f" ({action.reason})" if action.reason else ""
    return f"{action.key}: is {action.state.value}{why}"
