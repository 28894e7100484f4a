"""Who is told of what the parts of the service do; by default nobody."""

from collections.abc import Callable
from dataclasses import dataclass

from bouncesink.engine import Outcome


@dataclass(frozen=True, slots=True)
class Observers:
    """Each is called by the part that did it, in its thread, and must not take long.

    `committed`: how many arrivals a commit had, the seconds it took, whether it worked.
    `read`: what came of an arrival. `flushed`: the seconds that a flush took, whether it worked.
    `request` and `webhook`: see `Observe` and `ObserveWebhook` of `bouncesink.web.context`.
    """

    committed: Callable[[int, float, bool], None] = lambda *_: None
    read: Callable[[Outcome], None] = lambda _: None
    flushed: Callable[[float, bool], None] = lambda *_: None
    request: Callable[[str, str, int, float], None] = lambda *_: None
    webhook: Callable[[str, str, int], None] = lambda *_: None
