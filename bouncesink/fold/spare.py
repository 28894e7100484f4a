"""PURE. Which old events of an address nothing rests on: they can go, and its state stays.

The state of an address is a fold of its events for as long as it has any, so nothing condensed
takes their place: what the fold counts stays an event, cut to what the five columns say anyway.
That makes the state exact at every cut, with whatever is still to come: late notices, a better copy
of an old one, acts about what is left.
"""

from collections.abc import Iterable
from datetime import datetime

from bouncesink.config import Policy
from bouncesink.fold.intentions import waiting
from bouncesink.fold.judgement import counted_as, gate_reason, in_order, when
from bouncesink.model import Act, Event, Kind, TrustLevel


def spare(
    events: Iterable[Event], policy: Policy, require: TrustLevel | None, before: datetime
) -> tuple[frozenset[str], frozenset[str]]:
    """Give the ids of the old events that can go, and of those that can be cut.

    Old is what occurred and was recorded before then. Acts stay, with what they are about; so does
    what counts or counted, what closes the gate, and all that waits for a person.
    """
    ordered = in_order(events)
    old = [e for e in ordered if when(e) < before and e.recorded_at < before]
    waits = [event for some in waiting(ordered, policy, require).values() for event in some]
    open_ = {event.id for event in waits}
    conflicting = {event.message_id for event in waits if event.message_id}
    targets = {event.target for event in ordered if isinstance(event.kind, Act)}

    def counts(event: Event) -> bool:
        return (
            isinstance(event.kind, Act)
            or event.id in targets
            or counted_as(event, policy, require) is not None
            or gate_reason(event) is not None
            or (event.kind is Kind.DELIVERED and event.message_id in conflicting)
        )

    left = [event for event in old if event.id not in open_]
    gone = frozenset(event.id for event in left if not counts(event))
    return gone, frozenset(event.id for event in left if event.id not in gone)
