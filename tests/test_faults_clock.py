"""The clock jumps, back by an hour or ahead by a year: nothing is lost, stuck or undone by it."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path

import pytest
from mails import hard

from bouncesink.config import Config
from bouncesink.engine import Engine
from bouncesink.engine.acts import act_after, operator_act
from bouncesink.errors import TemporarySinkError
from bouncesink.identity import arrival_id
from bouncesink.ledger import Ledger, open_ledger
from bouncesink.model import (
    Act,
    Action,
    ActionKind,
    ActionState,
    Arrival,
    Contact,
    Event,
    Kind,
    Lead,
    Severity,
)
from bouncesink.outbox.worker import LEASE, Done, May, Outcome, Worker
from bouncesink.reader import ReaderPool

ADDRESS = "lead@example.org"
START = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR, YEAR = timedelta(hours=1), timedelta(days=365)
CONFIG = Config()


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(open_ledger(tmp_path / "x.db")) as ledger:
        ledger.put_leads([Lead("1", ADDRESS, ADDRESS)])
        yield ledger


def soft(number: int) -> str:
    text = hard(number, number).replace("5.1.1", "4.2.2").replace("550", "452")
    return text.replace("User unknown", "Mailbox full")


def come(ledger: Ledger, text: str, at: datetime) -> bool:
    raw = text.encode()
    (new,) = ledger.append([Arrival(arrival_id(raw, ""), "lmtp", "", "", at, raw)])
    return new


def contact(ledger: Ledger) -> Contact:
    return ledger.contacts([ADDRESS])[ADDRESS]


@pytest.mark.parametrize("jumps", list(permutations((timedelta(), -HOUR, YEAR))))
def test_three_strikes_count_whatever_the_clock_said(
    jumps: tuple[timedelta, ...], ledger: Ledger, readers: ReaderPool
) -> None:
    """Each is dated by what it says of itself, unless that is later than when it came."""
    clock = Clock()
    engine = Engine(ledger, CONFIG, clock)
    for number, jump in enumerate(jumps):
        clock.now = START + jump
        assert come(ledger, soft(number), clock.now)
        engine.drain(readers)
        # The same once more is the same, whenever it comes.
        assert not come(ledger, soft(number), clock.now - YEAR)
        engine.drain(readers)
    state = contact(ledger)
    assert (state.bounce_type, state.bounce_count) == (Severity.HARD, 3)
    assert len(ledger.list_actions(ActionKind.SMARTLEAD_REMOVAL)) == 1
    events = ledger.events_of([ADDRESS])[ADDRESS]
    assert engine.fold(ADDRESS, reversed(events)) == state
    said = datetime(2026, 3, 2, 10, tzinfo=UTC)
    assert all(abs(event.occurred_at - said) <= 2 * HOUR for event in events)


def test_without_a_date_of_their_own_they_decay_by_the_clock(
    ledger: Ledger, readers: ReaderPool
) -> None:
    clock = Clock()
    engine = Engine(ledger, CONFIG, clock)
    for number, jump in enumerate((timedelta(), YEAR, -HOUR)):
        clock.now = START + jump
        lines = soft(number).splitlines(keepends=True)
        come(ledger, "".join(x for x in lines if not x.startswith("Date:")), clock.now)
        engine.drain(readers)
    state = contact(ledger)
    # The one of the wrong year stands alone: no third strike is made of it.
    assert (state.bounce_type, state.bounce_count, state.strikes) == (Severity.SOFT, 3, 1)
    assert state.mailable


@pytest.mark.parametrize("back", [timedelta(), HOUR])
def test_an_act_holds_though_the_clock_was_put_back(
    back: timedelta, ledger: Ledger, readers: ReaderPool
) -> None:
    clock = Clock()
    engine = Engine(ledger, CONFIG, clock)
    come(ledger, hard().replace("Date:", "X-Date:"), clock.now)
    engine.drain(readers)
    clock.now -= back
    engine.act(Act.REINSTATE, ADDRESS, "operator", "they wrote back")
    assert contact(ledger).mailable
    for act, mailable in ((Act.SUPPRESS, False), (Act.UNSUPPRESS, True)):
        clock.now -= back / 4
        engine.act(act, ADDRESS, "operator", "once more")
        assert contact(ledger).mailable is mailable
    clock.now = START + HOUR
    come(ledger, hard(2, 2).replace("Date:", "X-Date:"), clock.now)
    engine.drain(readers)
    assert not contact(ledger).mailable


@pytest.mark.parametrize(
    ("recorded", "occurred", "dated"),
    [
        (-HOUR, -HOUR, timedelta()),
        (timedelta(), -HOUR, timedelta(milliseconds=1)),
        (HOUR, -HOUR, HOUR + timedelta(milliseconds=1)),  # recorded before the clock was put back
        (HOUR, HOUR, HOUR + timedelta(milliseconds=1)),
        (YEAR, -HOUR, timedelta()),  # a wrong clock: what comes until then would be cleared, too
        (YEAR, HOUR, HOUR + timedelta(milliseconds=1)),
    ],
)
def test_an_act_is_dated_after_what_it_is_about(
    recorded: timedelta, occurred: timedelta, dated: timedelta
) -> None:
    event = Event("e", Kind.FAILURE, ADDRESS, START + occurred, START + recorded, "lmtp")
    act = operator_act(Act.REINSTATE, ADDRESS, "operator", "they wrote back", START)
    assert act_after(act, [event]).occurred_at == START + dated


class Sink:
    """Has trouble, or none."""

    name = "trial"
    kind = ActionKind.SMARTLEAD_REMOVAL
    takes = (ActionState.PENDING, ActionState.APPROVED)
    batch = 1

    def __init__(self) -> None:
        self.well = True

    def check(self) -> None: ...

    def perform(self, actions: list[Action], may: May) -> Iterator[tuple[Action, Outcome]]:
        for action in actions:
            if may(action, "do it"):
                yield action, Done("done") if self.well else TemporarySinkError("not now")


@pytest.mark.parametrize("jump", [YEAR, HOUR])
def test_no_queue_waits_for_the_year_of_a_wrong_clock(jump: timedelta, ledger: Ledger) -> None:
    clock, sink = Clock(), Sink()
    ledger.add_actions([Action("a", sink.kind, START)])
    worker = Worker(ledger, sink, clock)
    sink.well = False
    clock.now = START + jump
    assert worker.step()
    (action,) = ledger.list_actions()
    assert action.next_attempt_at
    assert timedelta() < action.next_attempt_at - clock.now <= HOUR
    clock.now = START
    sink.well = True
    assert worker.step()
    assert ledger.list_actions()[0].state is ActionState.DONE


def test_a_whole_sink_in_trouble_does_not_wait_for_it_either(ledger: Ledger) -> None:
    class Down(Sink):
        def perform(self, actions: list[Action], may: May) -> Iterator[tuple[Action, Outcome]]:
            if not self.well:
                raise TemporarySinkError("nobody answers")
            return super().perform(actions, may)

    clock, sink = Clock(), Down()
    ledger.add_actions([Action("a", sink.kind, START)])
    worker = Worker(ledger, sink, clock)
    sink.well = False
    clock.now = START + YEAR
    assert not worker.step()
    assert worker.trouble
    clock.now = START
    sink.well = True
    assert worker.step()
    assert ledger.list_actions()[0].state is ActionState.DONE


def test_a_claim_holds_while_the_clock_goes_right(ledger: Ledger) -> None:
    clock, sink = Clock(), Sink()
    ledger.add_actions([Action("a", sink.kind, START)])
    one, two = Worker(ledger, sink, clock), Worker(ledger, sink, clock)
    assert one._claim()
    assert two._claim() == []
    clock.now -= timedelta(seconds=2)  # as when the time is set by NTP
    assert two._claim() == []
    clock.now = START + LEASE + timedelta(seconds=1)
    assert two._claim()
