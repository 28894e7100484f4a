"""How far the folders of mailboxes have been mined, in SQLite."""

# ruff: noqa: S608 - what is put into the SQL here are names of our own, never data

from collections.abc import Iterable, Sequence
from datetime import datetime

from bouncesink.ledger import FolderCursor, MinedMessage, rows
from bouncesink.ledger.tables import IN_LIST, Tables

_FOLDER = "mailbox = ? AND folder = ?"


class Mining(Tables):
    """See `bouncesink.ledger.Ledger`."""

    def folder_cursor(self, mailbox: str, folder: str) -> FolderCursor | None:
        found = self._db.all(
            f"SELECT uidvalidity, last_uid, mined_at FROM mined_folders WHERE {_FOLDER}",
            (rows.clean(mailbox), rows.clean(folder)),
        )
        if not found:
            return None
        uidvalidity, last_uid, mined_at = found[0]
        return FolderCursor(mailbox, folder, uidvalidity, last_uid, rows.maybe_time(mined_at))

    def move_cursor(self, cursor: FolderCursor, messages: Sequence[MinedMessage] = ()) -> None:
        where = rows.clean(cursor.mailbox), rows.clean(cursor.folder)
        with self._db.transaction():
            stored = self.folder_cursor(cursor.mailbox, cursor.folder)
            if stored is not None and stored.uidvalidity != cursor.uidvalidity:
                for table in ("mined_messages", "mined_folders"):
                    self._db.write(f"DELETE FROM {table} WHERE {_FOLDER}", [where])
            self._db.write(
                "INSERT INTO mined_folders (mailbox, folder, uidvalidity, last_uid, mined_at)"
                " VALUES (?, ?, ?, ?, ?) ON CONFLICT (mailbox, folder) DO UPDATE SET"
                " last_uid = max(last_uid, excluded.last_uid),"
                " mined_at = coalesce(max(mined_at, excluded.mined_at), mined_at,"
                " excluded.mined_at)",
                [
                    (
                        *where,
                        cursor.uidvalidity,
                        cursor.last_uid,
                        rows.maybe_time_text(cursor.mined_at),
                    )
                ],
            )
            # What has been fetched stays fetched, whatever another process had trouble with.
            self._db.write(
                "INSERT INTO mined_messages (mailbox, folder, uid, gmail_id, received_at, problem,"
                " owed) VALUES (?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (mailbox, folder, uid) DO UPDATE SET"
                " gmail_id = coalesce(excluded.gmail_id, gmail_id), problem = excluded.problem,"
                " owed = excluded.owed WHERE problem IS NOT NULL",
                [
                    (
                        *where,
                        each.uid,
                        rows.maybe(each.gmail_id),
                        rows.time_text(each.received_at),
                        rows.maybe(each.problem),
                        each.owed,
                    )
                    for each in messages
                ],
            )

    def mined_uids(self, cursor: FolderCursor, uids: Iterable[int]) -> set[int]:
        found = self._db.all(
            f"SELECT uid FROM mined_messages WHERE {_FOLDER} AND problem IS NULL AND uid {IN_LIST}",
            (
                rows.clean(cursor.mailbox),
                rows.clean(cursor.folder),
                rows.json_text(list(uids)),
            ),
        )
        return {uid for (uid,) in found}

    def mined_gmail_ids(self, mailbox: str, gmail_ids: Iterable[str]) -> set[str]:
        found = self._db.all(
            "SELECT gmail_id FROM mined_messages WHERE mailbox = ? AND problem IS NULL"
            f" AND gmail_id {IN_LIST}",
            (rows.clean(mailbox), rows.json_list(gmail_ids)),
        )
        return {gmail_id for (gmail_id,) in found}

    def unfetched(self, mailbox: str, folder: str) -> list[MinedMessage]:
        found = self._db.all(
            f"SELECT uid, gmail_id, received_at, problem FROM mined_messages WHERE {_FOLDER}"
            " AND problem IS NOT NULL ORDER BY uid",
            (rows.clean(mailbox), rows.clean(folder)),
        )
        return [
            MinedMessage(uid, rows.time_of(received_at), gmail_id, problem)
            for uid, gmail_id, received_at, problem in found
        ]

    def forget_mined(self, cursor: FolderCursor, before: datetime) -> None:
        with self._db.transaction():
            self._db.write(
                f"DELETE FROM mined_messages WHERE {_FOLDER} AND problem IS NULL"
                " AND NOT owed AND received_at < ?",
                [
                    (
                        rows.clean(cursor.mailbox),
                        rows.clean(cursor.folder),
                        rows.time_text(before),
                    )
                ],
            )

    def owed(self, cursor: FolderCursor) -> list[int]:
        found = self._db.all(
            f"SELECT uid FROM mined_messages WHERE {_FOLDER} AND owed ORDER BY uid",
            (rows.clean(cursor.mailbox), rows.clean(cursor.folder)),
        )
        return [uid for (uid,) in found]

    def no_longer_owed(self, cursor: FolderCursor, uids: Iterable[int]) -> None:
        with self._db.transaction():
            self._db.write(
                f"UPDATE mined_messages SET owed = 0 WHERE {_FOLDER} AND uid {IN_LIST}",
                [
                    (
                        rows.clean(cursor.mailbox),
                        rows.clean(cursor.folder),
                        rows.json_text(list(uids)),
                    )
                ],
            )
