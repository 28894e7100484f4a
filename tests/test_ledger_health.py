"""What whoever watches the service asks a ledger: contract of `bouncesink.ledger.Ledger`."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bouncesink.ledger import Ledger, open_ledger
from bouncesink.model import Action, ActionKind, ActionState, Arrival

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(open_ledger(tmp_path / "x.db")) as ledger:
        yield ledger


def arrival(number: int, at: datetime) -> Arrival:
    return Arrival(f"id-{number}", "lmtp", "", "bounces@example.com", at, b"x")


def test_a_beat_is_the_last_one(ledger: Ledger) -> None:
    assert ledger.beats() == {}
    ledger.put_beat("sheet", NOW)
    ledger.put_beat("service", NOW)
    ledger.put_beat("sheet", NOW + timedelta(minutes=1))
    assert ledger.beats() == {"service": NOW, "sheet": NOW + timedelta(minutes=1)}


def test_the_oldest_of_each_kind_and_open_state(ledger: Ledger) -> None:
    review, webhook = ActionKind.REVIEW, ActionKind.WEBHOOK
    for at, kind in enumerate((webhook, review, review, webhook)):
        ledger.add_actions([Action(f"{kind}:{at}", kind, NOW + timedelta(hours=at))])
    assert ledger.oldest_open_actions() == {
        (webhook, ActionState.PENDING): NOW,
        (review, ActionState.PENDING): NOW + timedelta(hours=1),
    }
    ledger.move_action(f"{webhook}:0", (ActionState.PENDING,), ActionState.DONE, at=NOW)
    ledger.move_action(f"{review}:1", (ActionState.PENDING,), ActionState.CLAIMED, at=NOW)
    assert ledger.oldest_open_actions() == {
        (webhook, ActionState.PENDING): NOW + timedelta(hours=3),
        (review, ActionState.PENDING): NOW + timedelta(hours=2),
        (review, ActionState.CLAIMED): NOW + timedelta(hours=1),
    }


def test_an_alert_stands_until_one_tells_that_it_is_over(ledger: Ledger) -> None:
    first = Action("alert:silence:1:began", ActionKind.ALERT, NOW)
    others = [
        Action("alert:flood:doubtful:x@example.com:first", ActionKind.ALERT, NOW),
        Action("alert:trouble:sheet:1:began", ActionKind.ALERT, NOW),
        Action("alert:trouble:sheet:1:over", ActionKind.ALERT, NOW),
        Action("alert:silence:2:over", ActionKind.ALERT, NOW),
    ]
    ledger.add_actions([first, *others])
    assert ledger.standing_alerts() == [first]
    ledger.move_action(first.key, (ActionState.PENDING,), ActionState.DONE, at=NOW)
    (standing,) = ledger.standing_alerts()
    assert replace(standing, state=first.state, moved_at=None) == first
    ledger.add_actions([replace(first, key="alert:silence:1:over")])
    assert ledger.standing_alerts() == []


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(0, 50), max_size=40),
    st.tuples(st.integers(-5, 55), st.integers(-5, 55)),
    st.integers(1, 50),
)
def test_arrivals_are_counted_by_when_they_came(
    minutes: list[int], span: tuple[int, int], most: int
) -> None:
    since, until = sorted(span)
    with (
        TemporaryDirectory() as folder,
        closing(open_ledger(Path(folder) / "x.db")) as ledger,
    ):
        ledger.append(
            [arrival(n, NOW + timedelta(minutes=m)) for n, m in enumerate(sorted(minutes))]
        )
        found = ledger.arrivals_between(
            NOW + timedelta(minutes=since), NOW + timedelta(minutes=until), most
        )
    assert found == min(most, sum(since <= minute < until for minute in minutes))
