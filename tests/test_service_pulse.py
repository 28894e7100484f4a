"""Whether mail is taken in, as the service itself finds out."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from lmtp_support import until

from bouncesink.errors import LedgerError, LedgerFull
from bouncesink.intake.committer import Committer
from bouncesink.ledger import Ledger, open_ledger
from bouncesink.model import Arrival
from bouncesink.service.health import Health
from bouncesink.service.pulse import Pulse

MAIL = Arrival("1", "lmtp", "", "", datetime(2026, 3, 2, tzinfo=UTC), b"Subject: x\n\nx\n")


@asynccontextmanager
async def beating(
    open_it: Callable[[], Ledger], limit: float = 30.0, every: float = 0.01
) -> AsyncIterator[tuple[Pulse, Health]]:
    health = Health()
    health.expect("lmtp", limit, vital=True)
    health.started()
    committer = Committer(open_it)
    pulse = Pulse(committer, health)
    task = asyncio.create_task(pulse.ask(every))
    try:
        yield pulse, health
    finally:
        task.cancel()
        await committer.close(0.1)


async def test_a_locked_ledger_is_trouble_that_passes_and_nobody_is_stuck(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with closing(open_ledger(path)) as other:
        async with beating(lambda: open_ledger(path, busy_timeout=0.05)) as (_, health):
            with other.transaction():
                await until(lambda: not health.ready())
                (reason,) = health.why_not_ready()
                assert reason.startswith(f"lmtp: {path}: another thread holds the ledger")
                assert health.alive()
            await until(health.ready)


async def test_mail_that_was_refused_is_forgotten_when_no_more_is(tmp_path: Path) -> None:
    """As on a full disk, which only shows when something is written."""
    full = True

    class Disk:
        def append(self, arrivals: list[Arrival]) -> list[bool]:
            if full and arrivals:
                raise LedgerFull("the disk is full")
            return [True for _ in arrivals]

        def close(self) -> None: ...

    async with beating(Disk, every=0.3) as (pulse, health):  # type: ignore[arg-type]
        for _ in range(3):
            with pytest.raises(LedgerFull):
                await pulse.submit([MAIL])
            assert health.why_not_ready() == ["lmtp: the disk is full"]
        full = False
        await pulse.submit([MAIL])
        assert health.ready()
        full = True
        with pytest.raises(LedgerError):
            await pulse.submit([MAIL])
        await until(health.ready)


async def test_a_committer_that_answers_nobody_is_stuck(tmp_path: Path) -> None:
    gone = threading.Event()

    def hang() -> Ledger:
        gone.wait(60)
        return open_ledger(tmp_path / "x.db")

    async with beating(hang, limit=0.1) as (_, health):
        assert health.alive()
        await until(lambda: not health.alive())
        gone.set()
        await until(health.alive)
