"""What operators did, in SQLite.

Acts about addresses and moves of actions write their line by a trigger: see 0002_privacy.sql.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

from bouncesink.ledger import AuditLine, rows
from bouncesink.ledger.tables import PAGE, Tables

_LINE = "at, actor, act, subject, reason, before, after"


class Audit(Tables):
    """See `bouncesink.ledger.Ledger`."""

    def add_audit(self, lines: Sequence[AuditLine]) -> None:
        found = [
            (
                rows.time_text(line.at),
                rows.clean(line.actor),
                line.act,
                *map(rows.maybe, (line.subject, line.reason, line.before, line.after)),
            )
            for line in lines
        ]
        with self._db.transaction():
            self._insert("audit", _LINE, found)

    def audit(self, since: datetime) -> Iterator[AuditLine]:
        sql = (
            f"SELECT at, number, {_LINE} FROM audit "  # noqa: S608 - names of our own
            "WHERE (at, number) > (?, ?) ORDER BY at, number LIMIT ?"
        )
        last = (rows.time_text(since), 0)
        while found := self._db.all(sql, (*last, PAGE)):
            last = found[-1][:2]
            for _, _, at, *rest in found:
                yield AuditLine(rows.time_of(at), *rest)
