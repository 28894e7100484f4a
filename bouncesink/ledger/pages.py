"""What the operator's page lists, a page at a time, from SQLite."""

# ruff: noqa: S608 - what is put into the SQL here are names of our own, never data

from collections.abc import Collection, Iterable, Sequence
from datetime import date
from typing import Any

from bouncesink.ledger import AuditLine, EventFilter, rows
from bouncesink.ledger.tables import IN_LIST, LAST, Tables
from bouncesink.model import Action, ActionKind, ActionState, Contact, Event, Reason

_FILTERS = ("domain", "campaign", "rule", "category", "severity")
"""Each has an index; the first ones leave the fewest rows."""

_AUDIT = "at, actor, act, subject, reason, before, after"
_LATEST = 2**62
"""Above every number of a row."""


class Paged(Tables):
    """See `bouncesink.ledger.Ledger`."""

    def events_page(
        self, wanted: EventFilter, before: int | None, limit: int
    ) -> list[tuple[int, Event]]:
        given = {name: value for name in _FILTERS if (value := getattr(wanted, name)) is not None}
        where = ["number < ?", *(f"{name} = ?" for name in given)]
        cells: list[Any] = [_LATEST if before is None else before, *map(rows.clean, given.values())]
        by = next(iter(given), None)
        index = f"INDEXED BY events_{by}" if by else ""
        sql = (
            f"SELECT number, {rows.EVENT} FROM events {index} WHERE {' AND '.join(where)} "
            "ORDER BY number DESC LIMIT ?"
        )
        page = self._db.all(sql, (*cells, limit))
        return [(row[0], self._nouns(rows.event_of, [row[1:]])[0]) for row in page]

    def events(self, ids: Iterable[str]) -> dict[str, Event]:
        found = self._under("id", "events", rows.EVENT, ids, "number")
        return {id_: self._nouns(rows.event_of, some)[0] for id_, some in found.items()}

    def days(self, since: date) -> list[tuple[str, str, int]]:
        sql = (
            "SELECT substr(occurred_at, 1, 10) AS day, severity, count(*) FROM events "
            "INDEXED BY events_day WHERE substr(occurred_at, 1, 10) >= ? "
            "AND severity IN ('HARD', 'SOFT', 'BLOCK', 'UNKNOWN') GROUP BY 1, 2"
        )
        return [tuple(row) for row in self._db.all(sql, (since.isoformat(),))]

    def contacts_page(
        self, begins: str, after: str, limit: int, *, blocked_only: bool, reason: Reason | None
    ) -> list[Contact]:
        first = rows.clean(begins)
        where, cells = ["address >= ?", "address < ?", "address > ?"], [first, first + LAST, after]
        index = ""
        if blocked_only:
            where.append("mailable = 0")
            index = "INDEXED BY contacts_reasons"
        if reason is not None:
            where.append("', ' || suppressed || ',' LIKE ?")
            cells.append(f"%, {reason.value},%")
        sql = (
            f"SELECT {rows.CONTACT} FROM contacts {index} WHERE {' AND '.join(where)} "
            "ORDER BY address LIMIT ?"
        )
        return self._nouns(rows.contact_of, self._db.all(sql, (*cells, limit)))

    def actions_page(
        self,
        kind: ActionKind,
        states: Collection[ActionState],
        after: tuple[int, int],
        limit: int,
    ) -> list[tuple[tuple[int, int], Action]]:
        sql = (
            f"SELECT priority, number, {rows.ACTION} FROM actions WHERE kind = ? "
            f"AND state {IN_LIST} AND (priority, number) > (?, ?) "
            "ORDER BY priority, number LIMIT ?"
        )
        page = self._db.all(sql, (kind.value, rows.json_list(states), *after, limit))
        return [((row[0], row[1]), self._nouns(rows.action_of, [row[2:]])[0]) for row in page]

    def latest_audit(self, limit: int) -> Sequence[AuditLine]:
        found = self._db.all(f"SELECT {_AUDIT} FROM audit ORDER BY number DESC LIMIT ?", (limit,))
        return [AuditLine(rows.time_of(at), *rest) for at, *rest in found]
