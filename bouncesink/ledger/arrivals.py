"""The arrivals and what came of them, in SQLite."""

# ruff: noqa: S608 - what is put into the SQL here are names of our own, never data

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from typing import Any

from bouncesink.ledger import Settlement, rows
from bouncesink.ledger.tables import IN_LIST, PAGE, Tables, first_of
from bouncesink.model import Arrival, Kind

_BATCH_OCTETS = 1 << 26
"""How much of the arrivals' bytes is read at a time; one arrival at least, whole."""

ARRIVALS = (
    f"SELECT number, {rows.ARRIVAL}, raw, CASE WHEN kept <> 'all' THEN identity END "
    "FROM arrivals JOIN arrival_bytes USING (number)"
)


class Arrivals(Tables):
    """See `bouncesink.ledger.Ledger`."""

    def append(self, arrivals: Sequence[Arrival]) -> list[bool]:
        found = [rows.arrival_row(arrival) for arrival in arrivals]
        with self._db.transaction():
            numbers = self._insert("arrivals", rows.ARRIVAL, found)
            raw = {numbers[each.id]: each.raw for each in arrivals if each.id in numbers}
            self._insert("arrival_bytes", "number, raw", list(raw.items()))
        return first_of([each.id for each in arrivals], numbers)

    def pending(self, limit: int) -> list[Arrival]:
        return [each for _, each in self._some_arrivals("state = 'pending'", (), limit)]

    def arrivals(self, ids: Iterable[str]) -> list[Arrival]:
        sql = f"{ARRIVALS} WHERE id {IN_LIST} ORDER BY number"
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
        sql = f"{ARRIVALS} WHERE {where} ORDER BY number LIMIT ?"
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
        sql = f"SELECT {rows.SETTLEMENT} FROM arrivals WHERE id {IN_LIST} AND kind IS NOT NULL"
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
        while found := self._db.all(sql, (last, PAGE)):
            last = found[-1][0]
            yield from self._nouns(rows.settlement_of, (row[1:] for row in found))

    def confirmations(self, limit: int) -> list[Settlement]:
        found = self._db.all(
            f"SELECT {rows.SETTLEMENT} FROM arrivals WHERE kind = '{Kind.FORWARDING_CONFIRMATION}' "
            "ORDER BY number DESC LIMIT ?",
            (limit,),
        )
        return self._nouns(rows.settlement_of, found)
