"""What every route may use: see `bouncesink.web`."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from bouncesink.config import Config
from bouncesink.ledger import Ledger
from bouncesink.model import Arrival
from bouncesink.web.access.people import People
from bouncesink.web.ledgers import Ledgers

Submit = Callable[[Sequence[Arrival]], Awaitable[None]]
"""Make arrivals durable, or raise LedgerError."""

Observe = Callable[[str, str, int, float], None]
"""Told of each request: the route's template, the method, the status and the seconds it took."""


ObserveWebhook = Callable[[str, str, int], None]
"""Told of what came by webhook: the account, "taken", "ignored" or "refused: WHY", how many."""


class Part(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def ok(self) -> bool: ...
    @property
    def since(self) -> datetime: ...
    @property
    def text(self) -> str: ...


class Health(Protocol):
    """See `bouncesink.service.health`; may be asked from any thread."""

    def alive(self) -> bool: ...
    def why_not_ready(self) -> list[str]: ...
    def parts(self) -> Sequence[Part]: ...


@dataclass(frozen=True, slots=True)
class AppContext:
    """`metrics` gives them in Prometheus's text format, without what only the ledger knows if None.

    It is None where the extra is not installed.
    """

    config: Config
    ledgers: Ledgers
    submit: Submit
    health: Health
    metrics: Callable[[Ledger | None], bytes] | None = None
    observe: Observe = lambda *_: None
    webhook: ObserveWebhook = lambda *_: None
    people: People = field(default_factory=People)


def across(loop: asyncio.AbstractEventLoop, submit: Submit) -> Submit:
    """Make a `submit` that any event loop can await, of one that is at home in `loop`."""

    async def submit_there(arrivals: Sequence[Arrival]) -> None:
        async def there() -> None:
            await submit(arrivals)

        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(there(), loop))

    return submit_there
