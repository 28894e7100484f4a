"""Whether the ledger is whole, and says of each address what its events amount to."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from bouncesink.address import normalise
from bouncesink.engine import Engine
from bouncesink.errors import LedgerError
from bouncesink.identity import arrival_id
from bouncesink.model import Contact, Reason

_BATCH = 500
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong. `mend` is how to put it right: `restore`, `repair` or `look`."""

    what: str
    mend: str
    where: tuple[str, ...] = ()


@dataclass(slots=True)
class Verification:
    """What was looked at, and what is wrong with it."""

    mails: int = 0
    events: int = 0
    contacts: int = 0
    actions: int = 0
    audit_lines: int = 0
    findings: list[Finding] = field(default_factory=list)
    refold: list[str] = field(default_factory=list)


def verify(
    engine: Engine,
    step: Callable[[str], object] = lambda _: None,
    advance: Callable[[int], object] = lambda _: None,
) -> Verification:
    """Look at everything; writes nothing. `step` is told what is looked at next.

    Pages that cannot be read are findings, not errors.
    """
    made = Verification()
    for name, look in (
        ("pages", _pages),
        ("counters", _counters),
        ("rows", _rows),
        ("mails", _mails),
        ("events", _events),
        ("contacts", _contacts),
    ):
        step(name)
        try:
            for finding in look(engine, made, advance):
                made.findings.append(finding)
        except LedgerError as error:
            made.findings.append(Finding(f"the {name} cannot all be read: {error}", "restore"))
    return made


def repair(engine: Engine, found: Verification) -> None:
    """Count anew, and fold anew the addresses whose state is not what their events amount to."""
    engine.ledger.recount()
    engine.redecide(found.refold)


def _pages(
    engine: Engine, _made: Verification, _advance: Callable[[int], object]
) -> Iterator[Finding]:
    if said := engine.ledger.damaged_pages():
        yield Finding("SQLite finds damage in the file", "restore", tuple(said))


def _counters(
    engine: Engine, _made: Verification, _advance: Callable[[int], object]
) -> Iterator[Finding]:
    found = [
        f"{name}: says {stored:,}, there are {counted:,}"
        for name, stored, counted in engine.ledger.miscounted()
    ]
    if found:
        yield Finding("what `status` shows is miscounted", "repair", tuple(found))


def _rows(
    engine: Engine, made: Verification, _advance: Callable[[int], object]
) -> Iterator[Finding]:
    for rule, where in engine.ledger.strange_rows():
        yield Finding(rule, "restore", tuple(where))
    for lead in engine.ledger.all_leads():
        if normalise(lead.address) != lead.address:
            yield Finding("a lead's address is not written as ours are", "look", (lead.id,))
            return
    # That each can be read is what is to be seen.
    made.actions = sum(1 for _ in engine.ledger.all_actions())
    made.audit_lines = sum(1 for _ in engine.ledger.audit(datetime.min.replace(tzinfo=UTC)))


def _mails(
    engine: Engine, made: Verification, advance: Callable[[int], object]
) -> Iterator[Finding]:
    """Compare hashes: an id is one of what was received, and cut bytes have one of their own."""
    wrong: list[str] = []
    for id_, envelope_to, raw, digest in engine.ledger.digests():
        made.mails += 1
        advance(1)
        if digest is not None:
            is_right = hashlib.sha256(raw).hexdigest() == digest
        else:  # what could not be stored of an envelope as it came is U+FFFD now
            is_right = arrival_id(raw, envelope_to) == id_ or "\ufffd" in envelope_to
        if not is_right and len(wrong) < _SHOWN:
            wrong.append(id_)
    if wrong:
        yield Finding("the bytes of a mail are not those that were stored", "restore", tuple(wrong))


def _events(
    engine: Engine, made: Verification, advance: Callable[[int], object]
) -> Iterator[Finding]:
    wrong: list[str] = []
    for event in engine.ledger.all_events():
        made.events += 1
        advance(1)
        report = event.report
        texts = (event.id, event.address, event.source, event.message_id, event.subject)
        said = (report.diagnostic, report.recipient, report.status) if report else ()
        if any("\0" in text for text in (*texts, *said) if text) and len(wrong) < _SHOWN:
            wrong.append(event.id)  # a text is stored without NUL: see `ledger.rows.clean`
    if wrong:
        yield Finding("an event's text is damaged", "restore", tuple(wrong))
    if missing := engine.ledger.addresses_without_contact():
        made.refold += missing
        yield Finding("an address has events and no state", "repair", tuple(missing))


def _contacts(
    engine: Engine, made: Verification, advance: Callable[[int], object]
) -> Iterator[Finding]:
    wrong = engine.ledger.addresses_with_wrong_gate()
    for contacts in engine.ledger.all_contacts(_BATCH):
        made.contacts += len(contacts)
        if differing := _not_as_folded(engine, contacts):
            # Perhaps something came between two questions: ask again while nothing can.
            with engine.ledger.transaction():
                now = engine.ledger.contacts(contact.address for contact in differing)
                behind = set(engine.ledger.unfolded())
                again = _not_as_folded(engine, now.values())
            wrong += [each.address for each in again if each.address not in behind]
        advance(len(contacts))
    made.refold += wrong
    if wrong:
        yield Finding(
            "the state of an address is not what its events amount to under today's policy",
            "repair",
            tuple(wrong[:_SHOWN]),
        )


def _not_as_folded(engine: Engine, contacts: Iterable[Contact]) -> list[Contact]:
    contacts = [each for each in contacts if Reason.FORGOTTEN not in each.suppressed]
    events = engine.ledger.events_of(contact.address for contact in contacts)
    return [
        contact
        for contact in contacts
        if engine.fold(contact.address, events.get(contact.address, [])) != contact
    ]
