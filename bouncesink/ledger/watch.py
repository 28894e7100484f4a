"""What was sent and what bounced in a span of time, counted in SQLite for the watch."""

# ruff: noqa: S608 - what is put into the SQL here are names of our own, never data

from collections.abc import Sequence
from datetime import datetime

from bouncesink.ledger import BlockCount, BounceCount, SendCount, rows
from bouncesink.ledger.tables import Tables, or_update

_SEND_COUNT = "day, campaign, mailbox, domain, sent"
_COUNTED = (
    "occurred_at >= ? AND occurred_at < ? AND kind = 'failure' "
    "AND coalesce(trust, '') NOT IN ('doubtful', 'contradicted')"
)


class Watched(Tables):
    """See `bouncesink.ledger.Ledger`."""

    def put_send_counts(self, counts: Sequence[SendCount]) -> None:
        found = [
            (each.day.isoformat(), rows.clean(each.campaign), each.mailbox, each.domain, each.sent)
            for each in counts
        ]
        conflict = or_update("day, campaign, mailbox, domain", _SEND_COUNT)
        with self._db.transaction():
            self._insert("send_counts", _SEND_COUNT, found, conflict)

    def sent_between(self, since: datetime, until: datetime) -> list[SendCount]:
        of_each = (
            "SELECT substr(sent_at, 1, 10), coalesce(campaign, ''), coalesce(mailbox, ''), "
            "substr(recipient, instr(recipient, '@') + 1), count(*) FROM sends "
            "WHERE sent_at >= ? AND sent_at < ? GROUP BY 1, 2, 3, 4"
        )
        of_days = f"SELECT {_SEND_COUNT} FROM send_counts WHERE day >= ? AND day < ?"
        times = (rows.time_text(since), rows.time_text(until))
        days = (since.date().isoformat(), times[1])
        found = [*self._db.all(of_each, times), *self._db.all(of_days, days)]
        return self._nouns(rows.send_count_of, found)

    def bounced_between(self, since: datetime, until: datetime) -> list[BounceCount]:
        sql = (
            "SELECT campaign, sender, domain, severity, count(*) FROM ("
            "SELECT DISTINCT coalesce(campaign, '') AS campaign, coalesce(sender, '') AS sender, "
            "domain, severity, address, coalesce(message_id, id) FROM events "
            f"WHERE {_COUNTED} AND severity IN ('HARD', 'BLOCK')) GROUP BY 1, 2, 3, 4"
        )
        found = self._db.all(sql, (rows.time_text(since), rows.time_text(until)))
        return [BounceCount(*row) for row in found]

    def blocked_between(self, since: datetime, until: datetime) -> list[BlockCount]:
        sql = (
            "SELECT domain, coalesce(remote_mta, ''), "
            "CAST((julianday(?) - julianday(occurred_at)) AS INTEGER) AS days_ago, "
            "max(coalesce(diagnostic, evidence, '')), count(DISTINCT coalesce(message_id, id)) "
            f"FROM events WHERE {_COUNTED} AND severity = 'BLOCK' GROUP BY 1, 2, 3"
        )
        times = (rows.time_text(since), rows.time_text(until))
        return [BlockCount(*row) for row in self._db.all(sql, (times[1], *times))]
