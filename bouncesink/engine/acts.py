"""PURE. What an operator did about an address, as an event."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from bouncesink.fold import when
from bouncesink.identity import event_id
from bouncesink.model import Act, Event

OPERATOR = "operator"
"""The source of events that no arrival gave."""

CLOCK_STEP = timedelta(days=1)
"""By how much at the most an act is dated later than the clock says."""


def operator_act(  # noqa: PLR0913, PLR0917 - the fields of an act
    act: Act, address: str, actor: str, reason: str, now: datetime, target: str | None = None
) -> Event:
    """Make the event of what an operator did about an address."""
    return Event(
        id=event_id(f"{act}:{actor}:{now.isoformat()}", address, target or reason),
        kind=act,
        address=address,
        occurred_at=now,
        recorded_at=now,
        source=OPERATOR,
        actor=actor,
        reason=reason,
        target=target,
    )


def act_after(act: Event, known: Iterable[Event]) -> Event:
    """Give an act the time after all of these that are not far ahead of the clock."""
    times = {time for event in known for time in (when(event), event.recorded_at)}
    latest = max((time for time in times if time <= act.recorded_at + CLOCK_STEP), default=None)
    if latest is None or latest < act.recorded_at:
        return act
    now = latest + timedelta(milliseconds=1)
    return replace(act, occurred_at=now, recorded_at=now)
