"""Erase a person: all that is stored about an address, but for a keyed hash of it.

By the hash the address stays suppressed, for the reason `forgotten`, and nothing new about it is
stored: of mail that speaks of it the bytes, the envelope and the subject are erased as soon as it
is read, and its events are not recorded. What stays of the old is what is about others: an event of
theirs with this address in its text has `forgotten:...` there instead.

It goes in steps that are harmless to repeat, the hash first: whatever comes after a crash,
`forget` once more finishes it.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from bouncesink.engine import Engine, parts
from bouncesink.engine.mentions import Mentions, in_text, spellings
from bouncesink.engine.review import Decision
from bouncesink.errors import InputError
from bouncesink.ledger import ArrivalState, AuditLine, Forgot, Held
from bouncesink.model import ActionKind

_BATCH = 200
_ELSEWHERE = {ActionKind.HUBSPOT_PROPOSAL.value, ActionKind.SMARTLEAD_REMOVAL.value}


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was erased. `wiped` is whether the last traces are gone from the files by now.

    `undone` are the kinds of the actions that were still to be carried out elsewhere.
    """

    name: str
    events: int
    leads: int
    sends: int
    actions: int
    mails: int
    mentions: int
    undone: tuple[str, ...]
    wiped: bool


def forget(
    engine: Engine,
    address: str,
    decision: Decision,
    advance: Callable[[int], object] = lambda _: None,
) -> Forgotten:
    """Erase a normalised address. `advance` is told how many octets of mail were looked through.

    Raises LedgerError; what was done until then stays done.
    """
    ledger, now = engine.ledger, engine.clock()
    name, pattern = ledger.forgotten_name(address), in_text(address)
    with ledger.transaction():
        again = bool(ledger.forgotten([address]))
        mails = {e.arrival_id for e in ledger.events_of([address]).get(address, [])} - {None}
        undone = {action.kind.value for action in ledger.open_actions([address])}
        ledger.put_forgotten(address, now)
        removed = ledger.erase_address(address)
        _erase(engine, {each for each in mails if each})
        reason = pattern.sub(name, decision.reason)
        if not again:
            line = AuditLine(now, decision.actor, "forget", name, reason, "known", "forgotten")
            ledger.add_audit([line])
    named = Mentions(address)
    for batch in ledger.all_arrivals(_BATCH):
        mails |= _erase(engine, {arrival.id for arrival in batch if named(arrival.raw)})
        advance(sum(len(arrival.raw) for arrival in batch))
    spelt = spellings(address)
    mentions = 0
    naming = (held for held in ledger.mentioned(spelt) if _names(held, pattern))
    for some in parts(naming, _BATCH):
        mails |= _erase(engine, {h.cells["id"] or "" for h in some if h.table == "arrivals"})
        ledger.redact(some, pattern, name)
        mentions += len(some)
    return Forgotten(
        name=name,
        events=removed["events"],
        leads=removed["leads"],
        sends=removed["sends"],
        actions=removed["actions"],
        mails=len(mails),
        mentions=mentions,
        undone=tuple(sorted(undone & _ELSEWHERE)),
        wiped=ledger.wipe(spelt),
    )


def remember(engine: Engine, address: str, decision: Decision) -> None:
    """Let an address be stored and mailed again: nothing of what was erased comes back.

    Raises InputError where it was not forgotten, and LedgerError.
    """
    with engine.ledger.transaction():
        if not engine.ledger.remove_forgotten(address):
            raise InputError(f"{address}: was not forgotten")
        line = AuditLine(
            engine.clock(), decision.actor, "remember", address, decision.reason, "forgotten", None
        )
        engine.ledger.add_audit([line])


def forget_again(engine: Engine, forgot: Sequence[Forgot], actor: str) -> int:
    """Erase from a ledger that was restored who was forgotten since; give how many those are.

    Raises LedgerError; it also does where the restored ledger's key is not beside it.
    """
    ledger = engine.ledger
    ledger.add_forgotten(forgot)
    known = chain(
        (contact.address for contacts in ledger.all_contacts(_BATCH) for contact in contacts),
        (lead.address for lead in ledger.all_leads()),
        (send.recipient for send in ledger.all_sends()),
    )
    found = {each for some in parts(known, _BATCH) for each in ledger.forgotten(some)}
    for address in found:
        forget(engine, address, Decision(actor, "was forgotten after the backup"))
    return len(found)


def _names(held: Held, pattern: re.Pattern[str]) -> bool:
    return any(isinstance(cell, str) and pattern.search(cell) for cell in held.cells.values())


def _erase(engine: Engine, ids: set[str]) -> set[str]:
    """Erase mails that have been read; nobody need look at them any more. Give those.

    One that is still to be read is erased as soon as it is, if it is about the address.
    """
    ledger = engine.ledger
    with ledger.transaction():
        read = ledger.settlements(ids)
        waiting = [each for each in read.values() if each.state is ArrivalState.REVIEW]
        ledger.settle([replace(each, state=ArrivalState.DONE) for each in waiting])
        engine.review_arrivals([*ledger.settlements(each.arrival_id for each in waiting).values()])
        ledger.erase_bytes(read, names_too=True)
    return set(read)
