"""What whoever watches the service asks the ledger, in SQLite."""

# ruff: noqa: S608 - what is put into the SQL here are names of our own, never data

from datetime import datetime

from bouncesink.ledger import rows
from bouncesink.ledger.tables import OPEN, Tables
from bouncesink.model import Action, ActionKind, ActionState

_ARRIVED = "SELECT number, received_at FROM arrivals"


class Watching(Tables):
    """See `bouncesink.ledger.Ledger`."""

    def put_beat(self, part: str, at: datetime) -> None:
        with self._db.transaction():
            self._db.write(
                "INSERT INTO beats (part, at) VALUES (?, ?) "
                "ON CONFLICT (part) DO UPDATE SET at = excluded.at",
                [(rows.clean(part), rows.time_text(at))],
            )

    def beats(self) -> dict[str, datetime]:
        return {part: rows.time_of(at) for part, at in self._db.all("SELECT part, at FROM beats")}

    def oldest_open_actions(self) -> dict[tuple[ActionKind, ActionState], datetime]:
        found = self._db.all(
            "SELECT first.kind, first.state, actions.created_at FROM"
            f" (SELECT kind, state, min(number) AS number FROM actions WHERE {OPEN}"
            " GROUP BY state, kind) AS first JOIN actions USING (number)"
        )
        pairs = self._nouns(lambda row: ((ActionKind(row[0]), ActionState(row[1])), row[2]), found)
        return {key: rows.time_of(at) for key, at in pairs}

    def standing_alerts(self) -> list[Action]:
        sql = (
            f"SELECT {rows.ACTION} FROM actions WHERE kind = ? AND key LIKE 'alert:%:began' "
            "AND NOT EXISTS (SELECT 1 FROM actions AS ended"
            " WHERE ended.key = substr(actions.key, 1, length(actions.key) - 5) || 'over') "
            "ORDER BY number"
        )
        return self._nouns(rows.action_of, self._db.all(sql, (ActionKind.ALERT,)))

    def arrivals_between(self, since: datetime, until: datetime, most: int) -> int:
        first, last = self._first_arrival(since), self._first_arrival(until)
        some = "SELECT 1 FROM arrivals WHERE number >= ? AND number < ? LIMIT ?"
        count: int = self._db.all(f"SELECT count(*) FROM ({some})", (first, last, most))[0][0]
        return count

    def _first_arrival(self, time: datetime) -> int:
        """Find the first number of `time` or later by halves: there is no index on times."""
        text = rows.time_text(time)
        low, high = self._db.all(
            "SELECT coalesce(min(number), 1), coalesce(max(number), 0) + 1 FROM arrivals"
        )[0]
        while low < high:
            middle = (low + high) // 2
            ((number, at),) = self._db.all(
                f"{_ARRIVED} WHERE number >= ? ORDER BY number LIMIT 1", (middle,)
            )
            if at < text:
                low = number + 1
            else:
                high = middle
        first: int = low
        return first
