"""How the ledger stands and what there is trouble with, in SQLite."""

from datetime import datetime

from bouncesink.ledger import Totals, Trouble, rows
from bouncesink.ledger.tables import Tables


class Standing(Tables):
    """See `bouncesink.ledger.Ledger`."""

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
