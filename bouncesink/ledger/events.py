"""The events and the contacts that they fold into, in SQLite."""

# ruff: noqa: S608 - what is put into the SQL here are names of our own, never data

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from bouncesink.ledger import rows
from bouncesink.ledger.forgotten import Forgotten
from bouncesink.ledger.tables import IN_LIST, PAGE, first_of, or_update
from bouncesink.model import TRUST_RANK, Act, Contact, Event, Reason, Trust


class Events(Forgotten):
    """See `bouncesink.ledger.Ledger`."""

    def add_events(self, events: Sequence[Event]) -> list[bool]:
        with self._db.transaction():
            known = self._known(events, lambda event: event.address)
            found = [rows.event_row(event) for event in known]
            numbers = self._insert("events", rows.EVENT, found)
        return first_of([each.id for each in events], numbers)

    def raise_trust(self, events: Sequence[Event]) -> list[bool]:
        with self._db.transaction():
            return [self._raise_trust(event.id, event.trust) for event in events]

    def _raise_trust(self, event_id: str, trust: Trust | None) -> bool:
        if trust is None:
            return False
        worse = [level for level, rank in TRUST_RANK.items() if rank > TRUST_RANK[trust.level]]
        sql = (
            "UPDATE events SET trust = ?, signals = ? "
            f"WHERE id = ? AND trust {IN_LIST} RETURNING id"
        )
        signals = rows.json_list(trust.signals)
        cells = (trust.level.value, signals, rows.clean(event_id), rows.json_list(worse))
        return bool(self._db.all(sql, cells))

    def replace_events(self, arrival_id: str, events: Sequence[Event]) -> None:
        with self._db.transaction():
            self._db.write(
                f"DELETE FROM events WHERE arrival_id = ? AND kind NOT {IN_LIST}",
                [(arrival_id, rows.json_list(Act))],
            )
            self.add_events(events)

    def events_of_arrivals(self, ids: Iterable[str]) -> dict[str, list[Event]]:
        found = self._under("arrival_id", "events", rows.EVENT, ids, "number")
        return {
            arrival_id: self._nouns(rows.event_of, of_arrival)
            for arrival_id, of_arrival in found.items()
        }

    def events_of(self, addresses: Iterable[str]) -> dict[str, list[Event]]:
        found = self._under("address", "events", rows.EVENT, addresses, "occurred_at, number")
        return {
            address: self._nouns(rows.event_of, of_address) for address, of_address in found.items()
        }

    def contacts(self, addresses: Iterable[str]) -> dict[str, Contact]:
        wanted = list(addresses)
        found = self._under("address", "contacts", rows.CONTACT, wanted, "address")
        stored = {
            address: self._nouns(rows.contact_of, of_address)[0]
            for address, of_address in found.items()
        }
        nameless = frozenset({Reason.FORGOTTEN})
        return stored | {
            address: Contact(address, suppressed=nameless) for address in self.forgotten(wanted)
        }

    def all_contacts(self, batch: int) -> Iterator[list[Contact]]:
        return self._contacts("true", batch)

    def suppressed_contacts(self, batch: int) -> Iterator[list[Contact]]:
        return self._contacts("mailable = 0", batch)

    def _contacts(self, where: str, batch: int) -> Iterator[list[Contact]]:
        sql = (
            f"SELECT {rows.CONTACT} FROM contacts "
            f"WHERE {where} AND address > ? ORDER BY address LIMIT ?"
        )
        last = ""
        while found := self._nouns(rows.contact_of, self._db.all(sql, (last, batch))):
            last = found[-1].address
            yield found

    def unknown_domains(self, domains: Iterable[str]) -> set[str]:
        sql = (
            "SELECT DISTINCT contacts.domain FROM contacts "
            "JOIN events ON events.id = contacts.hard_event "
            f"WHERE contacts.domain {IN_LIST} AND contacts.bounce_type = 'HARD' "
            "AND events.category = 'domain_unknown'"
        )
        return {domain for (domain,) in self._db.all(sql, (rows.json_list(domains),))}

    def addresses_to_review(self) -> list[str]:
        sql = (
            "SELECT DISTINCT address FROM events WHERE severity IN ('UNKNOWN', 'BLOCK') "
            "OR trust IN ('plausible', 'doubtful', 'contradicted') ORDER BY address"
        )
        return [address for (address,) in self._db.all(sql)]

    def put_contacts(self, contacts: Sequence[Contact]) -> None:
        with self._db.transaction():
            known = self._known(contacts, lambda contact: contact.address)
            found = [rows.contact_row(contact) for contact in known]
            self._insert("contacts", rows.CONTACT, found, or_update("address", rows.CONTACT))

    def all_events(self) -> Iterator[Event]:
        for page in self._pages("events", "number", rows.EVENT):
            yield from self._nouns(rows.event_of, page)

    def events_since(self, since: datetime) -> Iterator[Event]:
        sql = (
            f"SELECT occurred_at, number, {rows.EVENT} FROM events "
            "WHERE (occurred_at, number) > (?, ?) ORDER BY occurred_at, number LIMIT ?"
        )
        last = (rows.time_text(since), 0)
        while found := self._db.all(sql, (*last, PAGE)):
            last = found[-1][:2]
            yield from self._nouns(rows.event_of, (row[2:] for row in found))
