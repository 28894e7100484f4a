"""What the gate tells beside the state of an address, in SQLite, however much came of one."""

# ruff: noqa: S608 - what is put into the SQL here are names of our own, never data

from collections.abc import Iterable

from bouncesink.ledger import rows
from bouncesink.ledger.tables import IN_LIST, Tables
from bouncesink.model import Event

_OWN = (
    "(kind IN ('suppress', 'unsuppress', 'confirm', 'dismiss', 'feedback', 'unsubscribe') "
    "OR category IN ('complaint', 'unsubscribe'))"
)
"""To the letter as the index has it, or SQLite does not use it."""


class Gate(Tables):
    """See `bouncesink.ledger.Ledger`."""

    def said(self, events: Iterable[str], most: int) -> dict[str, str]:
        sql = (
            "SELECT id, substr(diagnostic, 1, ?) FROM events "
            f"WHERE id {IN_LIST} AND diagnostic <> ''"
        )
        return dict(self._db.all(sql, (most, rows.json_list(events))))

    def gate_events(self, addresses: Iterable[str]) -> dict[str, list[Event]]:
        asked = {rows.clean(address): address for address in addresses}
        sql = (
            f"SELECT {rows.EVENT} FROM events INDEXED BY events_gate "
            f"WHERE address {IN_LIST} AND {_OWN} ORDER BY occurred_at, number"
        )
        found: dict[str, list[Event]] = {}
        for event in self._nouns(rows.event_of, self._db.all(sql, (rows.json_list(asked),))):
            found.setdefault(asked[event.address], []).append(event)
        return found
