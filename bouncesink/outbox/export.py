"""PURE. A queue as a table, for a spreadsheet or another program."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from bouncesink.model import Action, ActionKind
from bouncesink.outbox.csvtable import Table

_CSV = Table(b"", "utf-8", ",", 0, ())
_BEFORE = ("key", "state", "lead_id", "email", "hard_since")
_OWN: Mapping[ActionKind, tuple[str, ...]] = {
    ActionKind.HUBSPOT_PROPOSAL: ("lead_source_notes_append", "email_bounced"),
    ActionKind.SMARTLEAD_REMOVAL: ("campaign", "link"),
    ActionKind.ADVISORY: ("advisory",),
}
_AFTER = ("reason", "attempts", "last_error")


def columns(kind: ActionKind) -> tuple[str, ...]:
    """Name the columns of an export: an interface."""
    return (*_BEFORE, *_OWN.get(kind, ()), *_AFTER)


def rows(actions: Iterable[Action]) -> Iterator[dict[str, str]]:
    """Give a row for each action, with its columns by name."""
    for action in actions:
        known = {
            **action.payload,
            "key": action.key,
            "state": action.state.value,
            "lead_id": action.lead_id or "",
            "email": action.address or "",
            "link": link(action),
            "reason": action.reason or "",
            "attempts": str(action.attempts),
            "last_error": action.last_error or "",
        }
        yield {name: known.get(name, "") for name in columns(action.kind)}


def csv_line(fields: Sequence[str]) -> str:
    """Spell a row of CSV (RFC 4180), with whatever would be a formula defused."""
    return ",".join(_CSV.quote(field, always=False) for field in fields) + "\r\n"


def link(action: Action) -> str:
    """Give where a person finds a removal's campaign in SmartLead, if its number is known."""
    campaign = action.payload.get("campaign", "")
    if action.kind is ActionKind.SMARTLEAD_REMOVAL and re.fullmatch(r"\d{1,18}", campaign):
        return f"https://app.smartlead.ai/app/email-campaign/{campaign}/analytics"
    return ""
