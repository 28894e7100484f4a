"""How the parts of the service are: each says when it comes round, and what goes wrong with it.

A part that says nothing for longer than its limit is stuck. One that has trouble and says so is
not: to start the service again would not mend it.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from bouncesink.engine import utcnow


@dataclass(frozen=True, slots=True)
class PartHealth:
    """How a part is, in words for a person (`text` is "" when it is well), and since when."""

    name: str
    ok: bool
    since: datetime
    text: str


@dataclass(slots=True)
class _Part:
    limit: float
    vital: bool
    heard: float
    """When it spoke last; together with `rests` and `limit`, when it is due to speak again."""
    rests: float
    since: datetime
    trouble: str = ""


class Health:
    """What the parts report, from whatever thread. Durations are in seconds.

    A `vital` part is one without which the service does not do what it is for: taking mail in,
    and reading it.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = utcnow,
    ) -> None:
        self._clock = clock
        self._now = now
        self._lock = threading.Lock()
        self._parts: dict[str, _Part] = {}
        self._phase = "is starting"

    # What the parts say

    def expect(self, part: str, limit: float, *, vital: bool = False) -> None:
        """Begin to listen to a part, which is stuck when it is silent for longer than `limit`.

        Its trouble, if it has been listened to before, is forgotten.
        """
        with self._lock:
            self._parts[part] = _Part(limit, vital, self._clock(), 0.0, self._now())

    def forget(self, part: str) -> None:
        """Listen no more to a part that has ended."""
        with self._lock:
            self._parts.pop(part, None)

    def beat(self, part: str, rests: float = 0.0) -> None:
        """Say that a part has come round, and for how long it will now wait to be woken."""
        with self._lock:
            if (found := self._parts.get(part)) is not None:
                if self._silent(found) and not found.trouble:
                    found.since = self._now()
                found.heard, found.rests = self._clock(), rests

    def trouble(self, part: str, text: str) -> None:
        """Say what a part has trouble with, or with "" that it has none any more."""
        with self._lock:
            found = self._parts.get(part)
            if found is not None and found.trouble != text:
                if bool(found.trouble) != bool(text):
                    found.since = self._now()
                found.trouble = text

    def started(self) -> None:
        with self._lock:
            self._phase = ""

    def stopping(self) -> None:
        with self._lock:
            self._phase = "is stopping"

    # What is asked

    def parts(self) -> list[PartHealth]:
        with self._lock:
            return [self._told(name, part) for name, part in self._parts.items()]

    def alive(self) -> bool:
        """Whether no vital part is stuck; if one is, only a new start helps."""
        with self._lock:
            return not any(part.vital and self._silent(part) for part in self._parts.values())

    def ready(self) -> bool:
        """Whether mail is taken in and read now; `why_not_ready` says what is in the way."""
        return not self.why_not_ready()

    def why_not_ready(self) -> list[str]:
        """Give a sentence for each thing that is in the way; none when it is ready."""
        with self._lock:
            reasons = [f"bouncesink {self._phase}"] if self._phase else []
            told = [self._told(name, part) for name, part in self._parts.items() if part.vital]
            return reasons + [f"{part.name}: {part.text}" for part in told if not part.ok]

    def _silent(self, part: _Part) -> bool:
        return self._clock() > part.heard + part.rests + part.limit

    def _told(self, name: str, part: _Part) -> PartHealth:
        if self._silent(part):
            silence = timedelta(seconds=self._clock() - part.heard)
            text = f"has been stuck for {round(silence.total_seconds()):,} seconds"
            return PartHealth(name, ok=False, since=self._now() - silence, text=text)
        return PartHealth(name, ok=not part.trouble, since=part.since, text=part.trouble)
