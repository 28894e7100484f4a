"""What the tables of the SQLite ledger have in common."""

# ruff: noqa: S608 - what is put into the SQL here are names of our own, never data

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from bouncesink.errors import LedgerError
from bouncesink.ledger import rows
from bouncesink.ledger.connection import Connection

Noun = TypeVar("Noun")

PAGE = 500
"""How many rows an iterator reads at a time; it holds no lock between."""

_CHUNK = 50
"""How many rows go into one statement: each statement waits for the interpreter's lock."""

LAST = "\U0010ffff"
"""Sorts after every text that goes on differently."""

OPEN = "state IN ('pending', 'approved', 'claimed')"
IN_LIST = "IN (SELECT value FROM json_each(?))"


class Tables:
    """One connection, and reading and writing rows over it."""

    def __init__(self, path: Path, *, read_only: bool = False, busy_timeout: float = 10.0) -> None:
        self._path = path
        self._db = Connection(path, read_only=read_only, busy_timeout=busy_timeout)

    def _insert(
        self,
        table: str,
        columns: str,
        found: Sequence[rows.Row],
        conflict: str = "DO NOTHING",
        returning: str = "",
    ) -> dict[Any, int]:
        """Insert rows; of each that was written, give the first column and the row's number."""
        names = columns.split(", ")
        place = f"({', '.join('?' * len(names))})"
        numbers: dict[Any, int] = {}
        for start in range(0, len(found), _CHUNK):
            chunk = found[start : start + _CHUNK]
            sql = (
                f"INSERT INTO {table} ({columns}) VALUES {', '.join([place] * len(chunk))} "
                f"ON CONFLICT {conflict} RETURNING {returning or f'{names[0]}, rowid'}"
            )
            numbers.update(self._db.all(sql, [cell for row in chunk for cell in row]))
        return numbers

    def _under(
        self, key: str, table: str, columns: str, wanted: Iterable[str], order: str
    ) -> dict[str, list[rows.Row]]:
        """Give the rows that have each key, under the key as it was asked for."""
        asked = {rows.clean(value): value for value in wanted}
        sql = f"SELECT {key}, {columns} FROM {table} WHERE {key} {IN_LIST} ORDER BY {order}"
        found: dict[str, list[rows.Row]] = {}
        for value, *row in self._db.all(sql, (rows.json_list(asked),)):
            found.setdefault(asked[value], []).append(tuple(row))
        return found

    def _pages(self, table: str, key: str, columns: str) -> Iterator[list[rows.Row]]:
        sql = f"SELECT {key}, {columns} FROM {table} WHERE {key} > ? ORDER BY {key} LIMIT ?"
        last = 0
        while found := self._db.all(sql, (last, PAGE)):
            last = found[-1][0]
            yield [row[1:] for row in found]

    def _nouns(self, make: Callable[[rows.Row], Noun], found: Iterable[rows.Row]) -> list[Noun]:
        """Make nouns of rows; words that we do not know were put there by another version."""
        try:
            return [make(row) for row in found]
        except (ValueError, KeyError, TypeError) as error:
            raise LedgerError(
                f"{self._path}: holds a row that this version cannot read ({error}); "
                "a newer version wrote it, or a hand"
            ) from error


def or_update(key: str, columns: str) -> str:
    changes = ", ".join(f"{column} = excluded.{column}" for column in columns.split(", "))
    return f"({key}) DO UPDATE SET {changes}"


def first_of(keys: Sequence[str], new: dict[Any, int]) -> list[bool]:
    """Of each key, whether it is new; of one that comes twice, the first is."""
    left = dict(new)
    return [left.pop(key, None) is not None for key in keys]
