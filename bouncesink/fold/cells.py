"""PURE. Contact -> the five columns of Lead Details."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from bouncesink.model import Contact, Evidence

CELL_LIMIT = 50_000
"""The most characters that Google Sheets takes in one cell."""

_SEPARATOR = " | "
_DATE_LENGTH = len("2026-01-31")


@dataclass(frozen=True, slots=True)
class Columns:
    """The five columns, in the order of the sheet. No text here begins a formula.

    `evidence` is `<date>:<code>:<msg-id>` entries separated by ` | `, oldest first. When it would
    pass its limit the oldest become a count in front: `(+12 earlier) | 2026-01-31:5.1.1:id | ...`.
    A bounce without a Message-ID shows `event:` and the id of its event.
    """

    date: str
    type: str
    count: int
    valid: bool
    evidence: str


def columns(contact: Contact, zone: tzinfo, evidence_limit: int = CELL_LIMIT) -> Columns:
    """Give the five columns; dates are days of `zone`, `evidence_limit` is in characters."""
    return Columns(
        date=_day(contact.last_bounce_at, zone) if contact.last_bounce_at else "",
        type=contact.bounce_type.value if contact.bounce_type else "",
        count=contact.bounce_count,
        valid=contact.mailable,
        evidence=_evidence(contact, zone, evidence_limit),
    )


def newest_that_fit(evidence: Sequence[Evidence], limit: int = CELL_LIMIT) -> Sequence[Evidence]:
    """Give the newest entries that one cell has room for; `evidence` is oldest first."""
    room = limit + len(_SEPARATOR)
    first = len(evidence)
    while first > 0:
        room -= _entry_length(evidence[first - 1]) + len(_SEPARATOR)
        if room < 0:
            break
        first -= 1
    return evidence[first:]


def _evidence(contact: Contact, zone: tzinfo, limit: int) -> str:
    total = max(contact.bounce_count, len(contact.evidence))
    shown = newest_that_fit(contact.evidence, limit)
    folded = total - len(shown)
    if folded:
        room = limit - len(_folded(total)) - len(_SEPARATOR)
        shown = newest_that_fit(contact.evidence, room)
        folded = total - len(shown)
    entries = [_folded(folded)] if folded else []
    entries += [f"{_day(one.occurred_at, zone)}:{one.code}:{one.message_id}" for one in shown]
    return _SEPARATOR.join(entries)[:limit]


def _folded(count: int) -> str:
    return f"(+{count} earlier)"


def _entry_length(one: Evidence) -> int:
    return _DATE_LENGTH + 2 + len(one.code) + len(one.message_id)


def _day(moment: datetime, zone: tzinfo) -> str:
    return moment.astimezone(zone).date().isoformat()


def cell_text(text: str) -> str:
    """Replace what would end an entry, hide in a cell, or not survive UTF-8."""
    return "".join("_" if c in " |" or not c.isprintable() else c for c in text)
