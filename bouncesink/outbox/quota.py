"""Keep below what a service lets us ask."""

from collections.abc import Callable


class TokenBucket:
    """Lets `burst` requests through at once and `rate` a second in the long run."""

    def __init__(
        self,
        burst: int,
        rate: float,
        clock: Callable[[], float],
        pause: Callable[[float], object],
    ) -> None:
        self._burst = burst
        self._rate = rate
        self._clock = clock
        self._pause = pause
        self._tokens = float(burst)
        self._at = clock()

    def take(self) -> None:
        """Wait until one more request may be made."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1:
            self._pause((1 - self._tokens) / self._rate)
            now = self._clock()
            self._tokens += (now - self._at) * self._rate
            self._at = now
        self._tokens -= 1
