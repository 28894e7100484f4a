"""How far archives were replayed, in SQLite."""

# ruff: noqa: S608 - what is put into the SQL here are names of our own, never data

from collections.abc import Iterable
from datetime import datetime

from bouncesink.ledger import Replay, rows
from bouncesink.ledger.tables import Tables, or_update

_REPLAY = "id, path, entry, offset, seam, mails, passed_over, done"


def _replay_of(row: rows.Row) -> Replay:
    id_, path, entry, offset, seam, mails, passed_over, done = row
    return Replay(id_, path, entry, offset, seam, mails, passed_over, bool(done))


class Replays(Tables):
    """See `bouncesink.ledger.Ledger`."""

    def put_replays(self, replays: Iterable[Replay], at: datetime) -> None:
        columns = f"{_REPLAY}, moved_at"
        found = [
            (
                each.id,
                rows.clean(each.path),
                each.entry,
                each.offset,
                each.seam,
                each.mails,
                each.passed_over,
                each.done,
                rows.time_text(at),
            )
            for each in replays
        ]
        with self._db.transaction():
            self._insert("replays", columns, found, or_update("id", columns))

    def replay(self, id_: str) -> Replay | None:
        found = self._db.all(f"SELECT {_REPLAY} FROM replays WHERE id = ?", (id_,))
        made = self._nouns(_replay_of, found)
        return made[0] if made else None
