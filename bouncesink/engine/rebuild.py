"""Every stored arrival, read once more with today's rules."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bouncesink.engine import BATCH, Engine, parts
from bouncesink.engine.events import settle
from bouncesink.ledger import Settlement
from bouncesink.model import TRUST_RANK, Arrival, Contact, Event
from bouncesink.reader import ReaderPool, Reading


@dataclass(frozen=True, slots=True)
class Change:
    """What today's rules make of one address."""

    before: Contact
    after: Contact


def rebuild(engine: Engine, pool: ReaderPool, *, apply: bool) -> list[Change]:
    """Read all anew, and give each contact that changes; nothing is written unless `apply`.

    Only what differs is kept in memory. What operators did stays in force.
    """
    revision = _Revision(engine)
    for batch in engine.ledger.all_arrivals(BATCH):
        revision.look_at(batch, engine.read(pool, batch))
    revision.settle_trust()
    addresses = revision.addresses()
    added = revision.by_address()
    changes = [c for part in parts(addresses, BATCH) for c in revision.changes(part, added)]
    if apply:
        revision.apply()
        engine.redecide(addresses)
    return changes


@dataclass(slots=True)
class _Revision:
    """What differs: an arrival's new events, its old ones, and what came of it.

    `again` holds, by id, events that another arrival gave first: all that counts is their trust.
    """

    engine: Engine
    new: dict[str, tuple[Event, ...]] = field(default_factory=dict)
    old: dict[str, list[Event]] = field(default_factory=dict)
    settlements: dict[str, Settlement] = field(default_factory=dict)
    again: dict[str, Event] = field(default_factory=dict)

    def look_at(self, batch: Sequence[Arrival], readings: Sequence[Reading]) -> None:
        groups = self.engine.events_of(batch, readings)
        stored = self.engine.ledger.events_of_arrivals(arrival.id for arrival in batch)
        owners = {event.id: id_ for id_, events in stored.items() for event in events}
        strange = {e.address for group in groups for e in group if e.id not in owners}
        for events in self.engine.ledger.events_of(strange).values():
            owners |= {event.id: event.arrival_id or "" for event in events}
        for arrival, reading, group in zip(batch, readings, groups, strict=True):
            own = tuple(e for e in group if owners.get(e.id, arrival.id) == arrival.id)
            for event in group:
                if event not in own and not _better(self.again.get(event.id), event):
                    self.again[event.id] = event
            before = stored.get(arrival.id, [])
            if {e.id: e for e in before} != {e.id: e for e in own}:
                self.new[arrival.id], self.old[arrival.id] = own, before
                self.settlements[arrival.id] = settle(arrival, reading)

    def settle_trust(self) -> None:
        """Give each event the best trust of all ways it came by; then some differ no more."""
        for arrival_id, events in list(self.new.items()):
            best = tuple(map(self._at_best, events))
            self.new[arrival_id] = best
            if {e.id: e for e in best} == {e.id: e for e in self.old[arrival_id]}:
                del self.new[arrival_id], self.settlements[arrival_id]

    def addresses(self) -> list[str]:
        touched = [*self.again.values()]
        for arrival_id, events in self.new.items():
            touched += [*events, *self.old[arrival_id]]
        return sorted({event.address for event in touched})

    def by_address(self) -> Mapping[str, list[Event]]:
        added: dict[str, list[Event]] = {}
        for event in (event for events in self.new.values() for event in events):
            added.setdefault(event.address, []).append(event)
        return added

    def changes(
        self, addresses: Sequence[str], added: Mapping[str, Sequence[Event]]
    ) -> Iterator[Change]:
        """Fold as the ledger would be after the revision, without writing it."""
        contacts = self.engine.ledger.contacts(addresses)
        stored = self.engine.ledger.events_of(addresses)
        for address in addresses:
            kept = [e for e in stored.get(address, []) if e.arrival_id not in self.new]
            events = {e.id: e for e in (*added.get(address, ()), *map(self._at_best, kept))}
            after = self.engine.fold(address, events.values())
            before = contacts.get(address, Contact(address))
            if after != before:
                yield Change(before, after)

    def apply(self) -> None:
        ledger = self.engine.ledger
        for ids in parts(self.new, BATCH):
            with ledger.transaction():
                for arrival_id in ids:
                    ledger.replace_events(arrival_id, self.new[arrival_id])
                settlements = [self.settlements[arrival_id] for arrival_id in ids]
                ledger.settle(settlements)
                self.engine.review_arrivals(settlements)
        for events in parts(self.again.values(), BATCH):
            ledger.raise_trust(events)

    def _at_best(self, event: Event) -> Event:
        again = self.again.get(event.id)
        return replace(event, trust=again.trust) if again and _better(again, event) else event


def _better(one: Event | None, other: Event) -> bool:
    """Whether `one` is trusted more."""
    if one is None or one.trust is None or other.trust is None:
        return False
    return TRUST_RANK[one.trust.level] < TRUST_RANK[other.trust.level]
