"""The chores that run, and how others take their place."""

import asyncio
from collections.abc import Mapping

from bouncesink.config import Config
from bouncesink.service.chore import Chore
from bouncesink.service.health import Health

ENGINE = "engine"

LIMIT = 60.0
"""Seconds that the engine, or LMTP, may be silent where no watchdog says otherwise."""

LESSER_LIMIT = 900.0
"""Seconds that a chore other than the engine may be silent: a sheet can be large and far away."""


def vital_limit(config: Config, watchdog: float | None) -> float:
    """Give how long a vital part may be silent, in seconds: as long as systemd's watchdog waits.

    A reader may take five times the time limit over one arrival (see `bouncesink.reader`), and is
    slow to start where others are at work: so it is ten times that at the least.
    """
    return max(watchdog or LIMIT, 10 * config.parse.time_limit)


class Crew:
    """One chore of each name at a time. Belongs to the event loop."""

    def __init__(self, health: Health, watchdog: float | None) -> None:
        self._health = health
        self._watchdog = watchdog
        self._chores: dict[str, Chore] = {}
        self._leaving: list[Chore] = []
        self._changes: dict[str, asyncio.Task[None]] = {}

    def start(self, chores: Mapping[str, Chore], config: Config) -> None:
        """Start these, each as soon as the one in its place has ended; others come to their end."""
        limit = vital_limit(config, self._watchdog)
        old, self._chores = self._chores, dict(chores)
        for chore in old.values():
            chore.stop()
        self._leaving = [chore for chore in (*self._leaving, *old.values()) if not chore.join(0)]
        for name in {**old, **chores}:
            earlier = self._changes.get(name)
            change = self._change(name, earlier, old.get(name), chores.get(name), limit)
            self._changes[name] = asyncio.create_task(change)

    def wake(self, name: str) -> None:
        if chore := self._chores.get(name):
            chore.wake()

    async def changed(self, patience: float) -> set[str]:
        """Wait until all have taken their places; give the names of those that have not yet."""
        await asyncio.wait(self._changes.values(), timeout=patience)
        return {name for name, change in self._changes.items() if not change.done()}

    def stop(self) -> None:
        """Tell all to stop; none starts any more."""
        for change in self._changes.values():
            change.cancel()
        for chore in self._chores.values():
            chore.stop()

    async def join(self, deadline: float) -> None:
        """Wait for their end, up to this time of the loop."""
        now = asyncio.get_running_loop().time
        for chore in (*self._leaving, *self._chores.values()):
            await asyncio.to_thread(chore.join, max(0.0, deadline - now()))

    async def _change(
        self,
        name: str,
        earlier: asyncio.Task[None] | None,
        old: Chore | None,
        new: Chore | None,
        limit: float,
    ) -> None:
        if earlier is not None:
            await earlier
        # In slices: a thread of the loop's executor must not wait for one that is stuck.
        while old is not None and not await asyncio.to_thread(old.join, 1.0):
            pass
        if new is None:
            self._health.forget(name)
            return
        vital = name == ENGINE
        self._health.expect(name, limit if vital else LESSER_LIMIT, vital=vital)
        new.start(self._health)
