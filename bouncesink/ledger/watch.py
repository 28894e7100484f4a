"""What was sent and what bounced in a span of time, counted in SQLite for the watch."""

# ruff: noqa: S608 - what is put into the SQL here are names of our own, never data

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from bouncesink.ledger import (
    BlockCount,
    FailureCount,
    FailuresBy,
    SendCount,
    SentBy,
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

_OF_SEND: Mapping[SentBy, str] = {
    "campaign": "coalesce(campaign, '')",
    "mailbox": "coalesce(mailbox, '')",
    "domain": _AT,
}
_OF_EVENT: Mapping[SentBy, str] = {
    "campaign": "coalesce(campaign, '')",
    "mailbox": "coalesce(sender, '')",
    "domain": "domain",
}

_BY: Mapping[FailuresBy, str] = {
    "day": "substr(occurred_at, 1, 10)",
    "category": "category",
    "rule": "rule",
    "campaign": "campaign",
    "sender": "sender",
    "subject": "subject",
    "host": "domain || ' ' || coalesce(remote_mta, '')",
}
_TOGETHER: Sequence[Sequence[FailuresBy]] = (
    ("day", "category", "rule"),
    ("campaign", "sender", "subject"),
    ("host",),
)
_COLUMNS = ", ".join(f"{how} AS {name}" for name, how in _BY.items())

_FAILURES = "events INDEXED BY events_failures"
"""All that is counted here is in this index: the table itself is not read."""

_FAILED = (
    "occurred_at >= :since AND occurred_at < :until AND "
    "kind = 'failure' AND severity IN ('HARD', 'SOFT', 'BLOCK') "
    "AND coalesce(trust, '') NOT IN ('doubtful', 'contradicted')"
)
_FIRST = (
    # In each of the two spans a message counts once for each recipient and severity.
    "NOT EXISTS (SELECT 1 FROM events AS other INDEXED BY events_message_id "
    "WHERE other.message_id = events.message_id AND other.number < events.number "
    "AND other.address = events.address AND other.severity = events.severity "
    "AND other.kind = 'failure' "
    "AND coalesce(other.trust, '') NOT IN ('doubtful', 'contradicted') "
    "AND other.occurred_at >= :since AND other.occurred_at < :until "
    "AND (other.occurred_at >= :turn) = (events.occurred_at >= :turn))"
)


def _span(since: datetime, turn: datetime, until: datetime) -> dict[str, str]:
    times = {"since": since, "turn": turn, "until": until}
    return {name: rows.time_text(time) for name, time in times.items()}


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

    def sent_by(self, by: SentBy, since: datetime, until: datetime) -> dict[str, int]:
        of_each = (
            f"SELECT {_OF_SEND[by]}, count(*) FROM sends INDEXED BY sends_sent_at "
            "WHERE sent_at >= ? AND sent_at < ? GROUP BY 1"
        )
        # What a provider tells of each message, delivered or not, where nothing else told of it.
        of_events = (
            f"SELECT name, count(*) FROM (SELECT DISTINCT {_OF_EVENT[by]} AS name, address, "
            "message_id FROM events "
            "WHERE occurred_at >= ? AND occurred_at < ? AND message_id IS NOT NULL "
            "AND source LIKE 'webhook:%' AND kind IN ('delivered', 'failure') "
            "AND NOT EXISTS (SELECT 1 FROM sends WHERE sends.message_id = events.message_id "
            "AND recipient = address)) GROUP BY 1"
        )
        of_days = f"SELECT {by}, sum(sent) FROM send_counts WHERE day >= ? AND day < ? GROUP BY 1"
        times = (rows.time_text(since), rows.time_text(until))
        days = (since.date().isoformat(), times[1])
        total: Counter[str] = Counter()
        for sql, span in ((of_each, times), (of_events, times), (of_days, days)):
            total.update(dict(self._db.all(sql, span)))
        return total

    def hard_by(self, by: SentBy, since: datetime, until: datetime) -> dict[str, int]:
        sql = (
            f"SELECT {_OF_EVENT[by]}, count(*) FROM {_FAILURES} WHERE {_FAILED} "
            f"AND severity = 'HARD' AND {_FIRST} GROUP BY 1"
        )
        return dict(self._db.all(sql, _span(since, since, until)))

    def blocked_between(self, since: datetime, until: datetime) -> list[BlockCount]:
        sql = (
            "SELECT domain, coalesce(remote_mta, ''), "
            "CAST((julianday(?) - julianday(occurred_at)) AS INTEGER) AS days_ago, "
            "max(coalesce(diagnostic, evidence, '')), count(DISTINCT coalesce(message_id, id)) "
            f"FROM events WHERE {_COUNTED} AND severity = 'BLOCK' GROUP BY 1, 2, 3"
        )
        times = (rows.time_text(since), rows.time_text(until))
        return [BlockCount(*row) for row in self._db.all(sql, (times[1], *times))]

    def failures(
        self, since: datetime, turn: datetime, until: datetime
    ) -> dict[FailuresBy, list[FailureCount]]:
        told = (
            f"SELECT occurred_at >= :turn AS later, {_COLUMNS}, severity FROM {_FAILURES} "
            f"WHERE {_FAILED} AND {_FIRST}"
        )
        parts = [f"told AS MATERIALIZED ({told})"]
        # Each is a sort of all that is told, so the columns that go together share one.
        for number, group in enumerate(_TOGETHER):
            names = ", ".join(group)
            parts.append(
                f"part{number} AS MATERIALIZED (SELECT later, {names}, severity, count(*) AS count "
                f"FROM told GROUP BY later, {names}, severity)"
            )
        each = [
            f"SELECT '{name}', later, coalesce({name}, ''), severity, sum(count) "
            f"FROM part{number} GROUP BY later, {name}, severity"
            for number, group in enumerate(_TOGETHER)
            for name in group
        ]
        sql = f"WITH {', '.join(parts)} {' UNION ALL '.join(each)}"
        found: dict[FailuresBy, list[FailureCount]] = {name: [] for name in _BY}
        for by, later, *row in self._db.all(sql, _span(since, turn, until)):
            found[by].append(FailureCount(bool(later), *row))
        return found

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
