"""How often somebody may guess a password: a name, and an address, each by itself."""

import math
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic

FREE = 5
"""Failures before anybody has to wait."""

FIRST_WAIT = 2.0
LONGEST_WAIT = 900.0
"""Seconds; each failure doubles the wait."""

FORGET = 3600.0
"""Seconds without a failure after which all is forgiven."""

MOST = 10_000
"""Names and addresses that are remembered; the oldest is forgotten first."""


class Attempts:
    """Belongs to one thread."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def wait(self, *who: str) -> int:
        """Give the seconds until these may try, the longest of them; 0 when they may now."""
        now = self._clock()
        waits = [0.0]
        for each in who:
            count, last = self._failures.get(each, (0, now))
            if count >= FREE and now - last < FORGET:
                longest = min(FIRST_WAIT * 2.0 ** min(count - FREE, 20), LONGEST_WAIT)
                waits.append(last + longest - now)
        return max(0, math.ceil(max(waits)))

    def failed(self, *who: str) -> None:
        now = self._clock()
        for each in who:
            count, last = self._failures.pop(each, (0, now))
            self._failures[each] = (count + 1 if now - last < FORGET else 1, now)
        while len(self._failures) > MOST:
            self._failures.popitem(last=False)

    def succeeded(self, *who: str) -> None:
        for each in who:
            self._failures.pop(each, None)
