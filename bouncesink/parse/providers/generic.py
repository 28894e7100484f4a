"""Signed JSON of programs of our own: the entries of events.json, or what another bouncesink tells.

The latter is `address.changed`, see deploy/queues.md. That another one blocks an address is its
verdict, and is taken as such; that it let one go again is for a person.
"""

from collections.abc import Iterable

from bouncesink.model import Kind, Notice, Original
from bouncesink.parse.events import NAME, notice_of_entry
from bouncesink.parse.jsonfields import Json, list_of, table_of, text_of, time_of
from bouncesink.parse.providers.telling import (
    HARD,
    SOFT,
    make_failure,
    make_notice,
    make_word,
    unreadable,
)

_REASONS = {"complaint": Kind.FEEDBACK, "unsubscribe": Kind.UNSUBSCRIBE}
_CLASSES = {"hard": HARD, "soft": SOFT}


def read(event: Json, _: Iterable[str] = ()) -> Notice:
    return _changed(event) if event.get("type") == "address.changed" else notice_of_entry(event)


def _changed(event: Json) -> Notice:
    data = table_of(event.get("data"))
    address, at = text_of(data.get("address")), time_of(event.get("timestamp"))
    changes = [text_of(each) for each in list_of(data.get("changes"))]
    before = {*map(text_of, list_of(table_of(data.get("before")).get("reasons")))}
    reasons = [text_of(each) for each in list_of(data.get("reasons"))]
    gate = next((_REASONS[r] for r in reasons if r in _REASONS and r not in before), None)
    hint = next((_CLASSES[each] for each in changes if each in _CLASSES), None)
    if gate:
        kind, report = gate, make_word(address, NAME, at)
    elif hint:
        kind, report = Kind.FAILURE, make_failure(address, NAME, said="", hint=hint, at=at)
    else:
        return unreadable(NAME, f"address.changed: {', '.join(changes)}")
    return make_notice(NAME, kind, (report,), Original(to=address), identity="", at=at)
