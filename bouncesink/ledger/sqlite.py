"""The ledger in one SQLite file (WAL). Several processes may write to it, one at a time."""

# ruff: noqa: S608 - what is put into the SQL here are names of our own, never data

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from bouncesink.errors import LedgerError
from bouncesink.ledger import ArrivalState, Settlement, Totals, rows
from bouncesink.ledger.connection import Connection
from bouncesink.model import (
    Act,
    Action,
    ActionKind,
    ActionState,
    Arrival,
    Contact,
    Event,
    Kind,
    Lead,
)

_Noun = TypeVar("_Noun")

_PAGE = 500
"""How many rows an iterator reads at a time; it holds no lock between."""

_BATCH_OCTETS = 1 << 26
"""How much of the arrivals' bytes is read at a time; one arrival at least, whole."""

_CHUNK = 50
"""How many rows go into one statement: each statement waits for the interpreter's lock."""

_OPEN = "state IN ('pending', 'approved', 'claimed')"
_IN_LIST = "IN (SELECT value FROM json_each(?))"
_ARRIVALS = f"SELECT number, {rows.ARRIVAL}, raw FROM arrivals JOIN arrival_bytes USING (number)"


class SqliteLedger:
    """See `bouncesink.ledger.Ledger`."""

    def __init__(self, path: Path, *, read_only: bool = False, busy_timeout: float = 10.0) -> None:
        self._path = path
        self._db = Connection(path, read_only=read_only, busy_timeout=busy_timeout)

    def close(self) -> None:
        self._db.close()

    def transaction(self) -> AbstractContextManager[None]:
        return self._db.transaction()

    # intake

    def append(self, arrivals: Sequence[Arrival]) -> list[bool]:
        with self._db.transaction():
            numbers = self._insert("arrivals", rows.ARRIVAL, map(rows.arrival_row, arrivals))
            raw = {numbers[each.id]: each.raw for each in arrivals if each.id in numbers}
            self._insert("arrival_bytes", "number, raw", raw.items())
        return _first_of([each.id for each in arrivals], numbers)

    # engine

    def pending(self, limit: int) -> list[Arrival]:
        return [each for _, each in self._some_arrivals("state = 'pending'", (), limit)]

    def arrivals(self, ids: Iterable[str]) -> list[Arrival]:
        sql = f"{_ARRIVALS} WHERE id {_IN_LIST} ORDER BY number"
        return self._nouns(rows.arrival_of, (row[1:] for row in self._db.all(sql, (_json(ids),))))

    def all_arrivals(self, batch: int) -> Iterator[list[Arrival]]:
        last = 0
        while found := self._some_arrivals("number > ?", (last,), batch):
            last = found[-1][0]
            yield [arrival for _, arrival in found]

    def _some_arrivals(
        self, where: str, parameters: Sequence[Any], limit: int
    ) -> list[tuple[int, Arrival]]:
        """Give arrivals with their numbers: as many as `limit`, or as `_BATCH_OCTETS` allows."""
        sql = f"{_ARRIVALS} WHERE {where} ORDER BY number LIMIT ?"
        found: list[tuple[int, Arrival]] = []
        octets = 0
        with closing(self._db.each(sql, (*parameters, limit))) as each:
            for number, *row in each:
                found.append((number, self._nouns(rows.arrival_of, [tuple(row)])[0]))
                octets += len(found[-1][1].raw)
                if octets >= _BATCH_OCTETS:
                    break
        return found

    def settlements(self, ids: Iterable[str]) -> dict[str, Settlement]:
        sql = f"SELECT {rows.SETTLEMENT} FROM arrivals WHERE id {_IN_LIST} AND kind IS NOT NULL"
        found = self._nouns(rows.settlement_of, self._db.all(sql, (_json(ids),)))
        return {settlement.arrival_id: settlement for settlement in found}

    def settle(self, settlements: Sequence[Settlement]) -> None:
        columns = rows.SETTLEMENT.split(", ")
        cells = ", ".join(f"{column} = ?" for column in columns[:-1])
        with self._db.transaction():
            self._db.write(
                f"UPDATE arrivals SET {cells} WHERE {columns[-1]} = ?",
                map(rows.settlement_row, settlements),
            )

    def add_events(self, events: Sequence[Event]) -> list[bool]:
        with self._db.transaction():
            numbers = self._insert("events", rows.EVENT, map(rows.event_row, events))
        return _first_of([each.id for each in events], numbers)

    def replace_events(self, arrival_id: str, events: Sequence[Event]) -> None:
        with self._db.transaction():
            self._db.write(
                f"DELETE FROM events WHERE arrival_id = ? AND kind NOT {_IN_LIST}",
                [(arrival_id, _json(Act))],
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
        found = self._under("address", "contacts", rows.CONTACT, addresses, "address")
        return {
            address: self._nouns(rows.contact_of, of_address)[0]
            for address, of_address in found.items()
        }

    def all_contacts(self, batch: int) -> Iterator[list[Contact]]:
        sql = f"SELECT {rows.CONTACT} FROM contacts WHERE address > ? ORDER BY address LIMIT ?"
        last = ""
        while found := self._nouns(rows.contact_of, self._db.all(sql, (last, batch))):
            last = found[-1].address
            yield found

    def put_contacts(self, contacts: Sequence[Contact]) -> None:
        changes = ", ".join(f"{column} = excluded.{column}" for column in rows.CONTACT.split(", "))
        with self._db.transaction():
            self._insert(
                "contacts",
                rows.CONTACT,
                map(rows.contact_row, contacts),
                f"(address) DO UPDATE SET {changes}",
            )

    def sent(self, message_ids: Iterable[str]) -> set[str]:
        sql = f"SELECT message_id FROM sends WHERE message_id {_IN_LIST}"
        return {message_id for (message_id,) in self._db.all(sql, (_json(message_ids),))}

    # leads

    def put_leads(self, leads: Sequence[Lead]) -> None:
        with self._db.transaction():
            known = self._db.all(f"SELECT {rows.LEAD} FROM leads ORDER BY position")
            wanted = [rows.lead_row(lead) for lead in leads]
            # Most reads of a sheet change little: what is as it was is not written again.
            same = min(len(known), len(wanted))
            changed = [
                (position, *row)
                for position, row in enumerate(wanted, 1)
                if position > same or row != known[position - 1]
            ]
            changes = ", ".join(
                f"{column} = excluded.{column}" for column in ("id", "email", "address")
            )
            self._insert(
                "leads", f"position, {rows.LEAD}", changed, f"(position) DO UPDATE SET {changes}"
            )
            self._db.write("DELETE FROM leads WHERE position > ?", [(len(wanted),)])

    def leads_of(self, addresses: Iterable[str]) -> dict[str, list[Lead]]:
        found = self._under("address", "leads", rows.LEAD, addresses, "position")
        return {
            address: self._nouns(rows.lead_of, of_address) for address, of_address in found.items()
        }

    def all_leads(self) -> Iterator[Lead]:
        for page in self._pages("leads", "position", rows.LEAD):
            yield from self._nouns(rows.lead_of, page)

    # actions

    def add_actions(self, actions: Sequence[Action]) -> list[bool]:
        found = [rows.action_row(action) for action in actions]
        with self._db.transaction():
            numbers = self._insert("actions", rows.ACTION, found)
        return _first_of([row[0] for row in found], numbers)

    def open_actions(self, addresses: Iterable[str]) -> list[Action]:
        sql = (
            f"SELECT {rows.ACTION} FROM actions WHERE address {_IN_LIST} AND {_OPEN} "
            "ORDER BY number"
        )
        return self._nouns(rows.action_of, self._db.all(sql, (_json(addresses),)))

    def cancel_actions(self, keys: Iterable[str], reason: str) -> None:
        with self._db.transaction():
            self._db.write(
                f"UPDATE actions SET state = ?, reason = ? WHERE key {_IN_LIST} AND {_OPEN}",
                [(ActionState.CANCELLED.value, rows.clean(reason), _json(keys))],
            )

    def list_actions(
        self, kind: ActionKind | None = None, state: ActionState | None = None, limit: int = 100
    ) -> list[Action]:
        wanted = {"kind": kind, "state": state}
        cells = {column: value.value for column, value in wanted.items() if value}
        where = " AND ".join(f"{column} = ?" for column in cells) or "true"
        sql = f"SELECT {rows.ACTION} FROM actions WHERE {where} ORDER BY number LIMIT ?"
        return self._nouns(rows.action_of, self._db.all(sql, (*cells.values(), limit)))

    # reading

    def totals(self) -> Totals:
        counters = self._db.all("SELECT name, value FROM counters WHERE value <> 0")
        ((last_arrival_at, oldest_pending_at),) = self._db.all(
            "SELECT (SELECT received_at FROM arrivals"
            " WHERE number = (SELECT max(number) FROM arrivals)),"
            " (SELECT received_at FROM arrivals"
            " WHERE number = (SELECT min(number) FROM arrivals WHERE state = 'pending'))"
        )
        groups: dict[str, dict[str, int]] = {}
        for name, value in counters:
            group, _, rest = name.partition(".")
            groups.setdefault(group, {})[rest] = value

        def make(_: object) -> Totals:
            return Totals(
                arrivals={ArrivalState(k): v for k, v in groups.get("arrivals", {}).items()},
                kinds=groups.get("kinds", {}),
                events=groups.get("events", {}).get("", 0),
                severities=groups.get("severities", {}),
                contacts=groups.get("contacts", {}).get("", 0),
                suppressed=groups.get("suppressed", {}).get("", 0),
                leads=groups.get("leads", {}).get("", 0),
                actions={
                    (ActionKind(k.partition(".")[0]), ActionState(k.partition(".")[2])): v
                    for k, v in groups.get("actions", {}).items()
                },
                last_arrival_at=rows.maybe_time(last_arrival_at),
                oldest_pending_at=rows.maybe_time(oldest_pending_at),
            )

        return self._nouns(make, [()])[0]

    def confirmations(self, limit: int) -> list[Settlement]:
        found = self._db.all(
            f"SELECT {rows.SETTLEMENT} FROM arrivals WHERE kind = '{Kind.FORWARDING_CONFIRMATION}' "
            "ORDER BY number DESC LIMIT ?",
            (limit,),
        )
        return self._nouns(rows.settlement_of, found)

    def all_events(self) -> Iterator[Event]:
        for page in self._pages("events", "number", rows.EVENT):
            yield from self._nouns(rows.event_of, page)

    def events_since(self, since: datetime) -> Iterator[Event]:
        sql = (
            f"SELECT occurred_at, number, {rows.EVENT} FROM events "
            "WHERE (occurred_at, number) > (?, ?) ORDER BY occurred_at, number LIMIT ?"
        )
        last = (rows.time_text(since), 0)
        while found := self._db.all(sql, (*last, _PAGE)):
            last = found[-1][:2]
            yield from self._nouns(rows.event_of, (row[2:] for row in found))

    # rows

    def _insert(
        self,
        table: str,
        columns: str,
        cells: Iterable[rows.Row],
        conflict: str = "DO NOTHING",
    ) -> dict[Any, int]:
        """Insert rows; of each that was written, give the first column and the row's number."""
        names = columns.split(", ")
        place = f"({', '.join('?' * len(names))})"
        waiting = list(cells)
        numbers: dict[Any, int] = {}
        for start in range(0, len(waiting), _CHUNK):
            chunk = waiting[start : start + _CHUNK]
            sql = (
                f"INSERT INTO {table} ({columns}) VALUES {', '.join([place] * len(chunk))} "
                f"ON CONFLICT {conflict} RETURNING {names[0]}, rowid"
            )
            numbers.update(self._db.all(sql, [cell for row in chunk for cell in row]))
        return numbers

    def _under(
        self, key: str, table: str, columns: str, wanted: Iterable[str], order: str
    ) -> dict[str, list[rows.Row]]:
        """Give the rows that have each key, under the key as it was asked for."""
        asked = {rows.clean(value): value for value in wanted}
        sql = f"SELECT {key}, {columns} FROM {table} WHERE {key} {_IN_LIST} ORDER BY {order}"
        found: dict[str, list[rows.Row]] = {}
        for value, *row in self._db.all(sql, (_json(asked),)):
            found.setdefault(asked[value], []).append(tuple(row))
        return found

    def _pages(self, table: str, key: str, columns: str) -> Iterator[list[rows.Row]]:
        sql = f"SELECT {key}, {columns} FROM {table} WHERE {key} > ? ORDER BY {key} LIMIT ?"
        last = 0
        while found := self._db.all(sql, (last, _PAGE)):
            last = found[-1][0]
            yield [row[1:] for row in found]

    def _nouns(self, make: Callable[[rows.Row], _Noun], found: Iterable[rows.Row]) -> list[_Noun]:
        """Make nouns of rows; words that we do not know were put there by another version."""
        try:
            return [make(row) for row in found]
        except (ValueError, KeyError, TypeError) as error:
            raise LedgerError(
                f"{self._path}: holds a row that this version cannot read ({error}); "
                "a newer version wrote it, or a hand"
            ) from error


def _json(texts: Iterable[str]) -> str:
    return rows.json_list(texts)


def _first_of(keys: Sequence[str], new: dict[Any, int]) -> list[bool]:
    """Of each key, whether it is new; of one that comes twice, the first is."""
    left = dict(new)
    return [left.pop(key, None) is not None for key in keys]
