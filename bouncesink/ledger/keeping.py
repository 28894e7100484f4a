"""How long things are kept, in SQLite: bytes are cut and erased, old events thinned out.

What is deleted is overwritten with zeros (`PRAGMA secure_delete`), and gone from the files once the
WAL has been emptied: `tidy` does that.
"""

# ruff: noqa: S608 - what is put into the SQL here are names of our own, never data

import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime

from bouncesink.ledger import Cut, Kept, rows
from bouncesink.ledger.arrivals import ARRIVALS
from bouncesink.ledger.tables import IN_LIST, PAGE, Tables
from bouncesink.model import ActionKind, Arrival

_NAMELESS = "envelope_from = '', envelope_to = '', subject = NULL"
_NO_EVENT = (
    "NOT EXISTS (SELECT 1 FROM events WHERE events.arrival_id = arrivals.id AND NOT events.bare)"
)


class Keeping(Tables):
    """See `bouncesink.ledger.Ledger`."""

    def arrivals_kept(
        self, kept: Collection[Kept], before: datetime, batch: int
    ) -> Iterator[list[Arrival]]:
        # One after the other: each is in order in an index, so that no batch sorts all that wait.
        sql = (
            f"{ARRIVALS} WHERE kept = ? AND arrival_bytes.number > ? AND state = 'done' "
            "AND received_at < ? ORDER BY arrival_bytes.number LIMIT ?"
        )
        for each in kept:
            last = 0
            while found := self._db.all(sql, (each, last, rows.time_text(before), batch)):
                last = found[-1][0]
                yield self._nouns(rows.arrival_of, (row[1:] for row in found))

    def cut(self, cuts: Sequence[Cut]) -> None:
        sql = (
            "UPDATE arrival_bytes SET raw = ?, kept = ?, digest = ? WHERE number = "
            "(SELECT number FROM arrivals WHERE id = ? AND state = 'done')"
        )
        with self._db.transaction():
            self._db.write(
                sql,
                (
                    (each.raw, each.kept, hashlib.sha256(each.raw).hexdigest(), each.arrival_id)
                    for each in cuts
                ),
            )

    def erase_bytes(self, ids: Iterable[str], *, names_too: bool = False) -> None:
        if (wanted := rows.json_list(ids)) == "[]":
            return
        with self._db.transaction():
            self._db.write(
                "DELETE FROM arrival_bytes WHERE number IN "
                f"(SELECT number FROM arrivals WHERE id {IN_LIST})",
                [(wanted,)],
            )
            if names_too:
                self._db.write(f"UPDATE arrivals SET {_NAMELESS} WHERE id {IN_LIST}", [(wanted,)])

    def arrivals_outlived(self, before: datetime, limit: int) -> list[str]:
        sql = (
            "SELECT id FROM arrival_bytes JOIN arrivals USING (number) "
            f"WHERE state = 'done' AND received_at < ? AND {_NO_EVENT} LIMIT ?"
        )
        return [id_ for (id_,) in self._db.all(sql, (rows.time_text(before), limit))]

    def addresses_with_events_before(self, before: datetime) -> Iterator[list[str]]:
        old = "occurred_at < ? AND recorded_at < ? AND NOT bare"
        times = (rows.time_text(before),) * 2
        if not self._db.all(f"SELECT 1 FROM events WHERE {old} LIMIT 1", times):
            return  # most often: the index on time tells it at once
        sql = (
            f"SELECT DISTINCT address FROM events WHERE {old} AND address > ? "
            "ORDER BY address LIMIT ?"
        )
        last = ""
        while found := self._db.all(sql, (*times, last, PAGE)):
            last = found[-1][0]
            yield [address for (address,) in found]

    def thin_out(self, spare: Iterable[str], bare: Iterable[str]) -> int:
        stripped = (
            "bare = 1, diagnostic = NULL, remote_mta = NULL, reporting_mta = NULL, "
            "sender = NULL, subject = NULL, lead_id = NULL, original_recipient = NULL, "
            "recipient = CASE WHEN action IS NULL THEN NULL ELSE address END, "
            "evidence = CASE WHEN category IS NULL THEN NULL ELSE '' END, "
            "signals = CASE WHEN trust IS NULL THEN NULL ELSE '[]' END"
        )
        with self._db.transaction():
            gone = self._db.all(
                f"DELETE FROM events WHERE id {IN_LIST} RETURNING 1", (rows.json_list(spare),)
            )
            self._db.write(
                f"UPDATE events SET {stripped} WHERE id {IN_LIST}", [(rows.json_list(bare),)]
            )
        return len(gone)

    def remove_told(self, before: datetime, limit: int) -> int:
        sql = (
            "DELETE FROM actions WHERE number IN (SELECT number FROM actions WHERE kind = ? "
            "AND state IN ('done', 'cancelled') AND coalesce(moved_at, created_at) < ? LIMIT ?) "
            "RETURNING 1"
        )
        with self._db.transaction():
            cells = (ActionKind.WEBHOOK.value, rows.time_text(before), limit)
            return len(self._db.all(sql, cells))

    def tidy(self) -> bool:
        self._db.all("PRAGMA analysis_limit = 400")  # rows: nobody waits for it
        self._db.all("PRAGMA optimize")
        return self._db.empty_wal()
