"""The leads and what was sent to whom, in SQLite."""

# ruff: noqa: S608 - what is put into the SQL here are names of our own, never data

from collections.abc import Iterable, Iterator, Sequence

from bouncesink.ledger import rows
from bouncesink.ledger.forgotten import Forgotten
from bouncesink.ledger.tables import first_of, or_update
from bouncesink.model import Lead, Send


class LeadsAndSends(Forgotten):
    """See `bouncesink.ledger.Ledger`."""

    def put_sends(self, sends: Sequence[Send]) -> list[bool]:
        found = [rows.send_row(send) for send in sends]
        columns = "message_id || ' ' || recipient, rowid"
        with self._db.transaction():
            known = [rows.send_row(s) for s in self._known(sends, lambda send: send.recipient)]
            new = self._insert("sends", rows.SEND, known, returning=columns)
        return first_of([f"{row[0]} {row[1]}" for row in found], new)

    def sends_of(self, message_ids: Iterable[str]) -> dict[str, list[Send]]:
        found = self._under("message_id", "sends", rows.SEND, message_ids, "rowid")
        return {key: self._nouns(rows.send_of, of_message) for key, of_message in found.items()}

    def put_leads(self, leads: Sequence[Lead]) -> None:
        with self._db.transaction():
            wanted = [rows.lead_row(lead) for lead in self._known(leads, lambda lead: lead.address)]
            known = self._db.all(f"SELECT {rows.LEAD} FROM leads ORDER BY position")
            # Most reads of a sheet change little: what is as it was is not written again.
            same = min(len(known), len(wanted))
            changed = [
                (position, *row)
                for position, row in enumerate(wanted, 1)
                if position > same or row != known[position - 1]
            ]
            columns = f"position, {rows.LEAD}"
            self._insert("leads", columns, changed, or_update("position", columns))
            self._db.write("DELETE FROM leads WHERE position > ?", [(len(wanted),)])

    def leads_of(self, addresses: Iterable[str]) -> dict[str, list[Lead]]:
        found = self._under("address", "leads", rows.LEAD, addresses, "position")
        return {
            address: self._nouns(rows.lead_of, of_address) for address, of_address in found.items()
        }

    def all_leads(self) -> Iterator[Lead]:
        for page in self._pages("leads", "position", rows.LEAD):
            yield from self._nouns(rows.lead_of, page)
