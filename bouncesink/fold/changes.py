"""PURE. What others are told when the state of an address changes."""

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from bouncesink.identity import event_id, url_id
from bouncesink.model import Action, ActionKind, Contact, Lead, Severity


def announce(
    before: Contact, after: Contact, leads: Sequence[Lead], urls: Iterable[str], now: datetime
) -> list[Action]:
    """Give an action for each URL that is to be told of a change; none where nothing changed.

    The body is made here, so that each repetition says the same: see deploy/queues.md.
    """
    changes = list(_changes(before, after))
    if not changes:
        return []
    told = {
        "type": "address.changed",
        "timestamp": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "data": {
            "address": after.address,
            "changes": changes,
            "leads": sorted({lead.id for lead in leads}),
            **_state(after),
            "before": _state(before),
        },
    }
    body = json.dumps(told, separators=(",", ":"))
    return [
        Action(
            key=f"{ActionKind.WEBHOOK}:{event_id(url_id(url), after.address, body)}",
            kind=ActionKind.WEBHOOK,
            created_at=now,
            address=after.address,
            event_id=after.hard_event,
            payload={"to": url_id(url), "host": urlsplit(url).hostname or "", "body": body},
        )
        for url in urls
    ]


def _changes(before: Contact, after: Contact) -> Iterator[str]:
    if before.bounce_type is not after.bounce_type:
        words = {Severity.HARD: "hard", Severity.SOFT: "soft"}
        yield words.get(after.bounce_type or Severity.NONE, "cleared")
    if after.reinstated > before.reinstated:
        yield "reinstated"
    if after.mailable is not before.mailable:
        yield "released" if after.mailable else "blocked"
    elif after.suppressed != before.suppressed:
        yield "reasons"


def _state(contact: Contact) -> dict[str, Any]:
    return {
        "mailable": contact.mailable,
        "reasons": sorted(contact.suppressed),
        "bounce_type": contact.bounce_type,
        "bounce_count": contact.bounce_count,
    }
