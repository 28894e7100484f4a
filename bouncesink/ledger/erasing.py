"""All that is stored about one address, in SQLite: to be shown, and to be erased."""

# ruff: noqa: S608 - what is put into the SQL here are names from the schema, never data

import re
from collections.abc import Iterator, Sequence
from typing import Any

from bouncesink.ledger import Held, rows
from bouncesink.ledger.tables import Tables
from bouncesink.ledger.traces import has_traces
from bouncesink.model import Send

_OWN = {
    "events": "address",
    "contacts": "address",
    "leads": "address",
    "sends": "recipient",
    "actions": "address",
    "unfolded": "address",
}
"""Whose rows are about the address in this column."""

_MANY = 200


class Erasing(Tables):
    """See `bouncesink.ledger.Ledger`."""

    def erase_address(self, address: str) -> dict[str, int]:
        wanted = rows.clean(address)
        removed = {}
        with self._db.transaction():
            for table, column in _OWN.items():
                sql = f"DELETE FROM {table} WHERE {column} = ? RETURNING 1"
                removed[table] = len(self._db.all(sql, (wanted,)))
            # The rows of the sheet are numbered without a gap: see `put_leads`.
            moved = self._db.all(
                "SELECT position, row_number() OVER (ORDER BY position) AS place FROM leads "
                "ORDER BY position"
            )
            self._db.write(
                "UPDATE leads SET position = ? WHERE position = ?",
                [(place, position) for position, place in moved if place != position],
            )
        return removed

    def mentioned(self, spellings: Sequence[str]) -> Iterator[Held]:
        for table, columns in self._text_tables():
            text = " || char(10) || ".join(f"coalesce({column}, '')" for column in columns)
            sql = (
                f"SELECT rowid, {', '.join(columns)} FROM {table} WHERE EXISTS "
                f"(SELECT 1 FROM json_each(?) AS spelt WHERE instr(lower({text}), spelt.value))"
            )
            for number, *cells in self._db.all(sql, (rows.json_list(spellings),)):
                names = (column.strip('"') for column in columns)
                yield Held(table, number, dict(zip(names, cells, strict=True)))

    def redact(self, found: Sequence[Held], pattern: re.Pattern[str], name: str) -> None:
        for start in range(0, len(found), _MANY):
            with self._db.transaction():
                for held in found[start : start + _MANY]:
                    changed = {
                        column: pattern.sub(name, cell)
                        for column, cell in held.cells.items()
                        if isinstance(cell, str) and pattern.search(cell)
                    }
                    cells = ", ".join(f'"{column}" = ?' for column in changed)
                    sql = f"UPDATE {held.table} SET {cells} WHERE rowid = ?"
                    self._db.write(sql, [(*changed.values(), held.number)] if changed else [])

    def all_sends(self) -> Iterator[Send]:
        for page in self._pages("sends", "rowid", rows.SEND):
            yield from self._nouns(rows.send_of, page)

    def wipe(self, spellings: Sequence[str]) -> bool:
        """Empty the WAL; rewrite the file where a page still has a stale copy of a text.

        Deleting overwrites, but a page that was split or filled anew may keep what it had before.
        """
        if not self._db.empty_wal():
            return False
        if has_traces(self._path, spellings):
            self._db.all("VACUUM")
            return self._db.empty_wal()
        return True

    def _text_tables(self) -> Iterator[tuple[str, list[str]]]:
        """Give every table of ours with its text columns: those that come later are swept, too."""
        tables = self._db.all(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' "
            "AND substr(name, 1, 1) <> '_' AND name NOT IN ('forgotten', 'counters') ORDER BY name"
        )
        for (table,) in tables:
            found: list[tuple[Any, ...]] = self._db.all(f"PRAGMA table_info({table})")
            columns = [f'"{name}"' for _, name, kind, *_ in found if kind.upper() == "TEXT"]
            if columns:
                yield table, columns
