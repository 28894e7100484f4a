"""The ledger in one SQLite file (WAL). Several processes may write to it, one at a time."""

# ruff: noqa: S608 - what is put into the SQL here are names of our own, never data

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from bouncesink.errors import LedgerError
from bouncesink.ledger import Settlement, Totals, Trouble, rows
from bouncesink.ledger.connection import Connection
from bouncesink.model import (
    TRUST_RANK,
    Act,
    Action,
    ActionKind,
    ActionState,
    Arrival,
    Contact,
    Event,
    Kind,
    Lead,
    Send,
    Trust,
)

_Noun = TypeVar("_Noun")

_PAGE = 500
"""How many rows an iterator reads at a time; it holds no lock between."""

_BATCH_OCTETS = 1 << 26
"""How much of the arrivals' bytes is read at a time; one arrival at least, whole."""

_CHUNK = 50
"""How many rows go into one statement: each statement waits for the interpreter's lock."""

_LAST = "\U0010ffff"
"""Sorts after every text that goes on differently."""

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
        found = [rows.arrival_row(arrival) for arrival in arrivals]
        with self._db.transaction():
            numbers = self._insert("arrivals", rows.ARRIVAL, found)
            raw = {numbers[each.id]: each.raw for each in arrivals if each.id in numbers}
            self._insert("arrival_bytes", "number, raw", list(raw.items()))
        return _first_of([each.id for each in arrivals], numbers)

    # engine

    def pending(self, limit: int) -> list[Arrival]:
        return [each for _, each in self._some_arrivals("state = 'pending'", (), limit)]

    def arrivals(self, ids: Iterable[str]) -> list[Arrival]:
        sql = f"{_ARRIVALS} WHERE id {_IN_LIST} ORDER BY number"
        return self._nouns(
            rows.arrival_of, (row[1:] for row in self._db.all(sql, (rows.json_list(ids),)))
        )

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
        found = self._nouns(rows.settlement_of, self._db.all(sql, (rows.json_list(ids),)))
        return {settlement.arrival_id: settlement for settlement in found}

    def settle(self, settlements: Sequence[Settlement]) -> None:
        columns = rows.SETTLEMENT.split(", ")
        cells = ", ".join(f"{column} = ?" for column in columns[:-1])
        with self._db.transaction():
            self._db.write(
                f"UPDATE arrivals SET {cells} WHERE {columns[-1]} = ?",
                map(rows.settlement_row, settlements),
            )

    def in_review(self) -> Iterator[Settlement]:
        sql = (
            f"SELECT number, {rows.SETTLEMENT} FROM arrivals "
            "WHERE state = 'review' AND number > ? ORDER BY number LIMIT ?"
        )
        last = 0
        while found := self._db.all(sql, (last, _PAGE)):
            last = found[-1][0]
            yield from self._nouns(rows.settlement_of, (row[1:] for row in found))

    def add_events(self, events: Sequence[Event]) -> list[bool]:
        found = [rows.event_row(event) for event in events]
        with self._db.transaction():
            numbers = self._insert("events", rows.EVENT, found)
        return _first_of([each.id for each in events], numbers)

    def raise_trust(self, events: Sequence[Event]) -> list[bool]:
        with self._db.transaction():
            return [self._raise_trust(event.id, event.trust) for event in events]

    def _raise_trust(self, event_id: str, trust: Trust | None) -> bool:
        if trust is None:
            return False
        worse = [level for level, rank in TRUST_RANK.items() if rank > TRUST_RANK[trust.level]]
        sql = (
            "UPDATE events SET trust = ?, signals = ? "
            f"WHERE id = ? AND trust {_IN_LIST} RETURNING id"
        )
        signals = rows.json_list(trust.signals)
        cells = (trust.level.value, signals, rows.clean(event_id), rows.json_list(worse))
        return bool(self._db.all(sql, cells))

    def replace_events(self, arrival_id: str, events: Sequence[Event]) -> None:
        with self._db.transaction():
            self._db.write(
                f"DELETE FROM events WHERE arrival_id = ? AND kind NOT {_IN_LIST}",
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
        found = self._under("address", "contacts", rows.CONTACT, addresses, "address")
        return {
            address: self._nouns(rows.contact_of, of_address)[0]
            for address, of_address in found.items()
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
            f"WHERE contacts.domain {_IN_LIST} AND contacts.bounce_type = 'HARD' "
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
        found = [rows.contact_row(contact) for contact in contacts]
        with self._db.transaction():
            self._insert("contacts", rows.CONTACT, found, _or_update("address", rows.CONTACT))

    def put_sends(self, sends: Sequence[Send]) -> list[bool]:
        found = [rows.send_row(send) for send in sends]
        columns = "message_id || ' ' || recipient, rowid"
        with self._db.transaction():
            new = self._insert("sends", rows.SEND, found, returning=columns)
        return _first_of([f"{row[0]} {row[1]}" for row in found], new)

    def sends_of(self, message_ids: Iterable[str]) -> dict[str, list[Send]]:
        found = self._under("message_id", "sends", rows.SEND, message_ids, "rowid")
        return {key: self._nouns(rows.send_of, of_message) for key, of_message in found.items()}

    # leads

    def put_leads(self, leads: Sequence[Lead]) -> None:
        wanted = [rows.lead_row(lead) for lead in leads]
        with self._db.transaction():
            known = self._db.all(f"SELECT {rows.LEAD} FROM leads ORDER BY position")
            # Most reads of a sheet change little: what is as it was is not written again.
            same = min(len(known), len(wanted))
            changed = [
                (position, *row)
                for position, row in enumerate(wanted, 1)
                if position > same or row != known[position - 1]
            ]
            columns = f"position, {rows.LEAD}"
            self._insert("leads", columns, changed, _or_update("position", columns))
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
            numbers = self._insert("actions", rows.NEW_ACTION, found)
        return _first_of([row[0] for row in found], numbers)

    def open_actions(self, addresses: Iterable[str]) -> list[Action]:
        sql = (
            f"SELECT {rows.ACTION} FROM actions WHERE address {_IN_LIST} AND {_OPEN} "
            "ORDER BY number"
        )
        return self._nouns(rows.action_of, self._db.all(sql, (rows.json_list(addresses),)))

    def cancel_actions(self, keys: Iterable[str], reason: str) -> None:
        with self._db.transaction():
            self._db.write(
                "UPDATE actions SET state = ?, reason = ?, actor = NULL, next_attempt_at = NULL "
                f"WHERE key {_IN_LIST} AND {_OPEN}",
                [(ActionState.CANCELLED.value, rows.clean(reason), rows.json_list(keys))],
            )

    def reopen_actions(self, keys: Iterable[str]) -> None:
        with self._db.transaction():
            self._db.write(
                "UPDATE actions SET state = ?, reason = NULL "
                f"WHERE key {_IN_LIST} AND state = ? AND actor IS NULL",
                [(ActionState.PENDING, rows.json_list(keys), ActionState.CANCELLED)],
            )

    def move_action(  # noqa: PLR0913 - the columns of a move, each by its name
        self,
        key: str,
        states: Collection[ActionState],
        to: ActionState,
        *,
        at: datetime,
        actor: str | None = None,
        reason: str | None = None,
        next_attempt_at: datetime | None = None,
        error: str | None = None,
    ) -> bool:
        sql = (
            "UPDATE actions SET state = ?, moved_at = ?, actor = ?, reason = coalesce(?, reason), "
            "next_attempt_at = ?, last_error = coalesce(?, last_error), attempts = attempts + ? "
            f"WHERE key = ? AND state {_IN_LIST} RETURNING key"
        )
        cells = (
            to.value,
            rows.time_text(at),
            rows.maybe(actor),
            rows.maybe(reason),
            rows.maybe_time_text(next_attempt_at),
            rows.maybe(error),
            int(error is not None),
            rows.clean(key),
            rows.json_list(states),
        )
        with self._db.transaction():
            return bool(self._db.all(sql, cells))

    def list_actions(
        self,
        kind: ActionKind | None = None,
        state: ActionState | Collection[ActionState] | None = None,
        limit: int = 100,
    ) -> list[Action]:
        states = [state] if isinstance(state, ActionState) else list(state or ActionState)
        where, cells = f"state {_IN_LIST}", [rows.json_list(states)]
        if kind:
            where, cells = f"kind = ? AND {where}", [kind.value, *cells]
        sql = f"SELECT {rows.ACTION} FROM actions WHERE {where} ORDER BY priority, number LIMIT ?"
        return self._nouns(rows.action_of, self._db.all(sql, (*cells, limit)))

    def due_actions(
        self, kind: ActionKind, states: Collection[ActionState], now: datetime, limit: int
    ) -> list[Action]:
        # State by state: each is in order in an index, so that a long queue does not make it slow.
        sql = (
            f"SELECT priority, number, {rows.ACTION} FROM actions WHERE state = ? AND kind = ? "
            "AND coalesce(next_attempt_at, ?) <= ? ORDER BY priority, number LIMIT ?"
        )
        time = rows.time_text(now)
        unless_said = {state.value: "" for state in states} | {ActionState.CLAIMED.value: _LAST}
        found: list[rows.Row] = []
        for state, default in unless_said.items():
            found += self._db.all(sql, (state, kind.value, default, time, limit))
        return self._nouns(rows.action_of, (row[2:] for row in sorted(found)[:limit]))

    def troubled_actions(self, limit: int) -> list[Action]:
        sql = (
            f"SELECT {rows.ACTION} FROM actions WHERE last_error IS NOT NULL "
            f"AND ({_OPEN} OR state = 'failed') ORDER BY moved_at DESC, number DESC LIMIT ?"
        )
        return self._nouns(rows.action_of, self._db.all(sql, (limit,)))

    def find_actions(self, prefix: str, limit: int) -> list[Action]:
        sql = f"SELECT {rows.ACTION} FROM actions WHERE key >= ? AND key < ? ORDER BY key LIMIT ?"
        first = rows.clean(prefix)
        return self._nouns(rows.action_of, self._db.all(sql, (first, first + _LAST, limit)))

    # reading

    def totals(self) -> Totals:
        counters = self._db.all("SELECT name, value FROM counters WHERE value <> 0")
        times = self._db.all(
            "SELECT (SELECT received_at FROM arrivals"
            " WHERE number = (SELECT max(number) FROM arrivals)),"
            " (SELECT received_at FROM arrivals"
            " WHERE number = (SELECT min(number) FROM arrivals WHERE state = 'pending'))"
        )
        return self._nouns(lambda row: rows.totals_of(dict(counters), *row), times)[0]

    def put_trouble(self, part: str, text: str, at: datetime) -> None:
        with self._db.transaction():
            if text:
                self._db.write(
                    "INSERT INTO troubles (part, text, since) VALUES (?, ?, ?) "
                    "ON CONFLICT (part) DO UPDATE SET text = excluded.text",
                    [(rows.clean(part), rows.clean(text), rows.time_text(at))],
                )
            else:
                self._db.write("DELETE FROM troubles WHERE part = ?", [(rows.clean(part),)])

    def troubles(self) -> list[Trouble]:
        found = self._db.all("SELECT part, text, since FROM troubles ORDER BY part", ())
        return [Trouble(part, text, rows.time_of(since)) for part, text, since in found]

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
        sql = f"SELECT {key}, {columns} FROM {table} WHERE {key} {_IN_LIST} ORDER BY {order}"
        found: dict[str, list[rows.Row]] = {}
        for value, *row in self._db.all(sql, (rows.json_list(asked),)):
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


def _or_update(key: str, columns: str) -> str:
    changes = ", ".join(f"{column} = excluded.{column}" for column in columns.split(", "))
    return f"({key}) DO UPDATE SET {changes}"


def _first_of(keys: Sequence[str], new: dict[Any, int]) -> list[bool]:
    """Of each key, whether it is new; of one that comes twice, the first is."""
    left = dict(new)
    return [left.pop(key, None) is not None for key in keys]
