"""Whether a ledger in SQLite is whole: its pages, and what it says about itself."""

# ruff: noqa: S608 - what is put into the SQL here are names of our own, never data

from collections.abc import Iterator

from bouncesink.ledger import ArrivalState, rows
from bouncesink.ledger.tables import Tables
from bouncesink.model import Action, ActionKind, ActionState

_SHOWN = 20

_BATCH = 50
"""Mails that are in memory at once."""

_COUNTS = (
    "SELECT 'arrivals.' || state, count(*) FROM arrivals GROUP BY state",
    "SELECT 'kinds.' || kind, count(*) FROM arrivals WHERE kind IS NOT NULL GROUP BY kind",
    "SELECT 'events', count(*) FROM events",
    (
        "SELECT 'severities.' || severity, count(*) FROM events WHERE severity IS NOT NULL "
        "GROUP BY severity"
    ),
    "SELECT 'contacts', count(*) FROM contacts",
    "SELECT 'suppressed', count(*) FROM contacts WHERE NOT mailable",
    "SELECT 'leads', count(*) FROM leads",
    "SELECT 'actions.' || kind || '.' || state, count(*) FROM actions GROUP BY kind, state",
)
"""What the triggers count: see 0001_ledger.sql."""


def _words(values: type[ArrivalState] | type[ActionState] | type[ActionKind]) -> str:
    return ", ".join(f"'{each.value}'" for each in values)


_RULES = {
    "an arrival is in no state that we know": "SELECT id FROM arrivals "
    f"WHERE state NOT IN ({_words(ArrivalState)})",
    "an arrival is settled, but nothing says as what": "SELECT id FROM arrivals "
    "WHERE state <> 'pending' AND (kind IS NULL OR identity IS NULL)",
    "an arrival is not settled, and its mail is lost": "SELECT id FROM arrivals "
    "WHERE state <> 'done' AND number NOT IN (SELECT number FROM arrival_bytes)",
    "an arrival's mail belongs to none": "SELECT number FROM arrival_bytes "
    "WHERE number NOT IN (SELECT number FROM arrivals)",
    "an event is of another domain than its address": "SELECT id FROM events "
    "WHERE address NOT LIKE '%@' || domain",
    "an action is of no kind that we know": f"SELECT key FROM actions "
    f"WHERE kind NOT IN ({_words(ActionKind)})",
    "an action is in no state that we know": f"SELECT key FROM actions "
    f"WHERE state NOT IN ({_words(ActionState)})",
    "an action says what is no JSON": "SELECT key FROM actions WHERE NOT json_valid(payload)",
    "a lead has no address": "SELECT id FROM leads WHERE address NOT LIKE '%_@_%'",
    "the leads are not numbered through": "SELECT max(position) FROM leads "
    "HAVING max(position) <> count(*)",
}
"""What must hold, and the rows of which it does not."""


class Wholeness(Tables):
    """See `bouncesink.ledger.Ledger`."""

    def damaged_pages(self) -> list[str]:
        found = self._db.all(f"PRAGMA integrity_check({_SHOWN})")
        said = [str(line) for (line,) in found if line != "ok"]
        for table, number, parent, _ in self._db.all("PRAGMA foreign_key_check")[:_SHOWN]:
            said.append(f"row {number} of {table} refers to a row of {parent} that is not there")
        return said

    def miscounted(self) -> Iterator[tuple[str, int, int]]:
        # One statement: others write meanwhile, and it sees one moment.
        counts = " UNION ALL ".join(f"SELECT 1, * FROM ({sql})" for sql in _COUNTS)
        found = self._db.all(f"SELECT 0, name, value FROM counters UNION ALL {counts}")
        stored = {name: value for is_counted, name, value in found if not is_counted}
        counted = {name: value for is_counted, name, value in found if is_counted}
        for name in sorted(stored.keys() | counted.keys()):
            if stored.get(name, 0) != counted.get(name, 0):
                yield name, stored.get(name, 0), counted.get(name, 0)

    def recount(self) -> None:
        with self._db.transaction():
            found = list(self.miscounted())
            self._db.write(
                "INSERT INTO counters VALUES (?, ?) "
                "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                [(name, counted) for name, _, counted in found],
            )

    def strange_rows(self) -> Iterator[tuple[str, list[str]]]:
        for rule, sql in _RULES.items():
            if found := self._db.all(f"{sql} LIMIT {_SHOWN}"):
                yield rule, [str(each) for (each,) in found]

    def digests(self) -> Iterator[tuple[str, str, bytes, str | None]]:
        sql = (
            "SELECT number, id, envelope_to, raw, digest FROM arrivals "
            "JOIN arrival_bytes USING (number) WHERE number > ? ORDER BY number LIMIT ?"
        )
        last = 0
        while found := self._db.all(sql, (last, _BATCH)):
            last = found[-1][0]
            for _, id_, envelope_to, raw, digest in found:
                yield id_, envelope_to, bytes(raw), digest

    def all_actions(self) -> Iterator[Action]:
        for page in self._pages("actions", "number", rows.ACTION):
            yield from self._nouns(rows.action_of, page)

    def addresses_with_wrong_gate(self) -> list[str]:
        sql = "SELECT address FROM contacts WHERE mailable <> (suppressed = '') LIMIT ?"
        return [address for (address,) in self._db.all(sql, (_SHOWN,))]

    def addresses_without_contact(self) -> list[str]:
        sql = (
            "SELECT DISTINCT address FROM events WHERE address NOT IN "
            "(SELECT address FROM contacts UNION ALL SELECT address FROM unfolded) "
            f"LIMIT {_SHOWN}"
        )
        return [address for (address,) in self._db.all(sql)]
