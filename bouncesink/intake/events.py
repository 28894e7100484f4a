"""Bounces that a program wrote down: each entry of an events file is an arrival."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from bouncesink.identity import arrival_id
from bouncesink.model import EVENTS, Arrival


def arrivals(entries: Iterable[bytes], received_at: datetime) -> Iterator[Arrival]:
    """Make an arrival of each entry's JSON (see `bouncesink.parse.events`)."""
    for raw in entries:
        yield Arrival(
            id=arrival_id(raw, ""),
            source=EVENTS,
            envelope_from="",
            envelope_to="",
            received_at=received_at,
            raw=raw,
            media_type="application/json",
        )
