"""What was sent and what bounced in a span of time, counted in SQLite for the watch."""

# ruff: noqa: S608 - what is put into the SQL here are names of our own, never data

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from bouncesink.ledger import (
    BlockCount,
    BounceCount,
    FailureCount,
    FailuresBy,
    SendCount,
    rows,
)
from bouncesink.ledger.tables import Tables, or_update
from bouncesink.model import Contact

_SEND_COUNT = "day, campaign, mailbox, domain, sent"
_COUNTED = (
    "occurred_at >= ? AND occurred_at < ? AND kind = 'failure' "
    "AND coalesce(trust, '') NOT IN ('doubtful', 'contradicted')"
)

_AT = "substr(recipient, instr(recipient, '@') + 1)"
"""The recipient's domain; as the index has it."""

_BY: Mapping[FailuresBy, str] = {
    "day": "substr(occurred_at, 1, 10)",
    "category": "category",
    "rule": "rule",
    "campaign": "campaign",
    "subject": "subject",
    "sender": "sender",
    "host": "domain || ' ' || coalesce(remote_mta, '')",
}


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
            f"{_AT}, count(*) FROM sends "
            "WHERE sent_at >= ? AND sent_at < ? GROUP BY 1, 2, 3, 4"
        )
        # What a provider tells of each message, delivered or not, where nothing else told of it.
        of_events = (
            "SELECT day, campaign, sender, domain, count(*) FROM ("
            "SELECT DISTINCT substr(occurred_at, 1, 10) AS day, "
            "coalesce(campaign, '') AS campaign, coalesce(sender, '') AS sender, "
            "domain, address, message_id FROM events "
            "WHERE occurred_at >= ? AND occurred_at < ? AND message_id IS NOT NULL "
            "AND source LIKE 'webhook:%' AND kind IN ('delivered', 'failure') "
            "AND NOT EXISTS (SELECT 1 FROM sends WHERE sends.message_id = events.message_id "
            "AND recipient = address)) GROUP BY 1, 2, 3, 4"
        )
        of_days = f"SELECT {_SEND_COUNT} FROM send_counts WHERE day >= ? AND day < ?"
        times = (rows.time_text(since), rows.time_text(until))
        days = (since.date().isoformat(), times[1])
        found = [
            *self._db.all(of_each, times),
            *self._db.all(of_events, times),
            *self._db.all(of_days, days),
        ]
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

    def failures_by(self, by: FailuresBy, since: datetime, until: datetime) -> list[FailureCount]:
        sql = (
            f"SELECT name, severity, count(*) FROM (SELECT DISTINCT coalesce({_BY[by]}, '') AS "
            "name, severity, address, coalesce(message_id, id) FROM events "
            f"WHERE {_COUNTED} AND severity IN ('HARD', 'SOFT', 'BLOCK')) GROUP BY 1, 2"
        )
        found = self._db.all(sql, (rows.time_text(since), rows.time_text(until)))
        return [FailureCount(*row) for row in found]

    def contacts_at_risk(self, limit: int) -> list[Contact]:
        sql = (
            f"SELECT {rows.CONTACT} FROM contacts WHERE bounce_type = 'SOFT' AND strikes > 0 "
            "AND mailable ORDER BY strikes DESC, last_strike_at DESC LIMIT ?"
        )
        return self._nouns(rows.contact_of, self._db.all(sql, (limit,)))

    def domain_counts(self, domains: Iterable[str]) -> dict[str, tuple[int, int]]:
        sql = (
            f"SELECT value, (SELECT count(DISTINCT recipient) FROM sends WHERE {_AT} = value), "
            "(SELECT count(*) FROM contacts WHERE domain = value AND bounce_type = 'HARD') "
            "FROM json_each(?)"
        )
        found = self._db.all(sql, (rows.json_list(domains),))
        return {domain: (mailed, hard) for domain, mailed, hard in found}
