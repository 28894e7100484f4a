"""Who is well, who has trouble, and who is stuck."""

from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from mails import hard

from bouncesink.config import Config, LedgerConfig
from bouncesink.engine import Engine
from bouncesink.ledger import open_ledger
from bouncesink.model import Arrival
from bouncesink.reader import ReaderPool
from bouncesink.service.health import Health


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return datetime(2026, 3, 2, tzinfo=UTC) + timedelta(seconds=self.seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(clock: Clock) -> Health:
    made = Health(clock, clock.now)
    made.expect("lmtp", 10, vital=True)
    made.expect("sheet", 10)
    made.started()
    return made


def test_a_part_that_speaks_in_time_is_well(health: Health, clock: Clock) -> None:
    for _ in range(5):
        clock.seconds += 9
        health.beat("lmtp")
        health.beat("sheet")
        assert health.alive()
        assert health.ready()
    assert [(part.name, part.ok, part.text) for part in health.parts()] == [
        ("lmtp", True, ""),
        ("sheet", True, ""),
    ]


def test_a_vital_part_that_is_silent_is_stuck_until_it_speaks(health: Health, clock: Clock) -> None:
    silent_since = clock.now()
    clock.seconds += 11
    health.beat("sheet")
    assert not health.alive()
    assert health.why_not_ready() == ["lmtp: has been stuck for 11 seconds"]
    lmtp, sheet = health.parts()
    assert (lmtp.ok, lmtp.since) == (False, silent_since)
    assert sheet.ok
    health.beat("lmtp")
    assert health.alive()
    assert health.ready()
    assert health.parts()[0].since == clock.now()


def test_who_rests_is_not_stuck(health: Health, clock: Clock) -> None:
    health.beat("lmtp", rests=100)
    clock.seconds += 109
    assert health.alive()
    clock.seconds += 2
    assert not health.alive()


def test_the_silence_of_a_lesser_part_kills_nobody(health: Health, clock: Clock) -> None:
    clock.seconds += 11
    health.beat("lmtp")
    assert health.alive()
    assert health.ready()
    assert [part.text for part in health.parts()] == ["", "has been stuck for 11 seconds"]


def test_trouble_is_not_being_stuck(health: Health, clock: Clock) -> None:
    clock.seconds += 1
    health.trouble("lmtp", "the disk is full")
    began = clock.now()
    clock.seconds += 1
    health.trouble("lmtp", "the disk is as full as it was")
    assert health.alive()
    assert health.why_not_ready() == ["lmtp: the disk is as full as it was"]
    assert health.parts()[0].since == began
    health.trouble("lmtp", "")
    assert health.ready()


def test_trouble_of_a_lesser_part_is_told_but_mail_is_taken_in(health: Health) -> None:
    health.trouble("sheet", "no column EMAIL")
    assert health.ready()
    assert [part.ok for part in health.parts()] == [True, False]


def test_not_ready_before_the_start_and_while_stopping() -> None:
    health = Health()
    assert health.why_not_ready() == ["bouncesink is starting"]
    health.started()
    assert health.ready()
    health.stopping()
    assert health.why_not_ready() == ["bouncesink is stopping"]


def test_a_part_that_has_ended_is_missed_by_nobody(health: Health, clock: Clock) -> None:
    health.forget("lmtp")
    clock.seconds += 100
    health.beat("lmtp")
    health.trouble("lmtp", "late words")
    assert health.alive()
    assert [part.name for part in health.parts()] == ["sheet"]


def test_the_engine_says_at_each_arrival_that_it_goes_on(tmp_path: Path) -> None:
    """However long a batch takes, as long as one mail after the other is read."""
    said = Counter[str]()
    config = Config(ledger=LedgerConfig(tmp_path / "x.db"))
    mails = [hard(number, number).encode() for number in range(20)]
    at = datetime(2026, 3, 2, tzinfo=UTC)
    with closing(open_ledger(config.ledger.path)) as ledger, ReaderPool(config.parse) as pool:
        engine = Engine(ledger, config, progress=lambda: said.update(["on"]))
        ledger.append([Arrival(str(n), "lmtp", "", "", at, raw) for n, raw in enumerate(mails)])
        assert not said
        engine.drain_batch(pool)
    assert said["on"] >= len(mails)
