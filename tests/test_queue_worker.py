"""Who works a queue: nothing is lost, and nothing is done by two."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from queue_support import NOW, Queue, opened

from bouncesink.errors import (
    ConfigError,
    LedgerBusy,
    PermanentSinkError,
    SinkError,
    TemporarySinkError,
)
from bouncesink.ledger import open_ledger
from bouncesink.model import Action, ActionKind, ActionState
from bouncesink.outbox.rest import TryLater
from bouncesink.outbox.worker import LEASE, LONGEST_PAUSE, Done, May, Outcome, Worker, pause

KIND = ActionKind.SMARTLEAD_REMOVAL


class Sink:
    """Does what `act` does with each action, and counts what was carried out."""

    name = "sink"
    kind = KIND
    takes = (ActionState.PENDING, ActionState.APPROVED)
    batch = 4

    def __init__(self, act: Callable[[Action], Outcome | None] = lambda _: Done("did it")) -> None:
        self.act = act
        self.done: Counter[str] = Counter()

    def check(self) -> None: ...

    def perform(self, actions: Sequence[Action], may: May) -> Iterator[tuple[Action, Outcome]]:
        for action in actions:
            if may(action, "do it"):
                self.done[action.key] += 1
                if outcome := self.act(action):
                    yield action, outcome


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    with opened(tmp_path, KIND) as queue:
        yield queue


def test_several_at_once_do_each_once(queue: Queue) -> None:
    keys = [queue.add(f"{number}@example.org") for number in range(60)]
    sink = Sink()
    start = threading.Barrier(4)

    def work() -> None:
        ledger = open_ledger(queue.path)
        worker = Worker(ledger, sink, lambda: NOW)
        start.wait()
        while worker.step():
            pass
        ledger.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sink.done == Counter(keys)
    assert set(queue.states().values()) == {"done"}


def test_a_claim_that_was_left_is_taken_over_when_it_has_run_out(queue: Queue) -> None:
    key = queue.add("a@example.org")

    def killed(_: Action) -> Outcome:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        queue.work(Sink(killed))
    sink = Sink()
    queue.work(sink)
    assert not sink.done
    queue.now += LEASE
    queue.work(sink, anew=True)
    assert (sink.done[key], queue.get(key).state) == (1, ActionState.DONE)


def test_what_a_person_has_claimed_is_left_alone(queue: Queue) -> None:
    key = queue.add("a@example.org")
    queue.ledger.move_action(
        key, (ActionState.PENDING,), ActionState.CLAIMED, at=NOW, actor="a person"
    )
    queue.now += LEASE * 1000
    sink = Sink()
    queue.work(sink)
    assert not sink.done


def test_whoever_was_overtaken_by_another_worker_changes_nothing_more(queue: Queue) -> None:
    """The one slept through its lease in the middle; the other has done it meanwhile."""
    key = queue.add("a@example.org")
    other = Sink()

    def slow(_: Action) -> Outcome:
        queue.now += LEASE
        Worker(queue.ledger, other, lambda: queue.now).step()
        return TemporarySinkError("the connection was lost")

    queue.work(Sink(slow))
    assert other.done[key] == 1
    assert (queue.get(key).state, queue.get(key).last_error) == (ActionState.DONE, None)


@pytest.mark.parametrize(
    ("outcome", "state", "attempts"),
    [
        (Done("x"), "done", 0),
        (PermanentSinkError("x"), "failed", 1),
        (TemporarySinkError("x"), "pending", 1),
        (SinkError("x"), "pending", 1),
        (TryLater("x", 7200), "pending", 1),
    ],
)
def test_an_outcome_is_of_one_action(
    queue: Queue, outcome: Outcome, state: str, attempts: int
) -> None:
    key = queue.add("a@example.org")
    queue.add("b@example.org")
    queue.work(Sink(lambda each: outcome if each.key == key else Done("fine")))
    action = queue.get(key)
    assert (action.state.value, action.attempts) == (state, attempts)
    assert queue.states()["b@example.org"] == "done"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TryLater("no answer"), "no answer"),
        (PermanentSinkError("all wrong"), "all wrong"),
        (ConfigError("no key"), "no key"),
        (ZeroDivisionError("secret"), "an error of bouncesink's own"),
    ],
)
def test_what_is_raised_is_trouble_of_the_whole_sink(
    queue: Queue, error: Exception, words: str
) -> None:
    keys = [queue.add(f"{number}@example.org") for number in range(9)]

    def trouble(action: Action) -> Outcome:
        if action.key == keys[1]:
            raise error
        return Done("fine")

    queue.work(Sink(trouble))
    states = [queue.get(key).state.value for key in keys]
    assert states == ["done", *["pending"] * 8], "no further batch is tried"
    for key in keys[1:4]:
        left = queue.get(key)
        assert words in (left.last_error or "")
        assert "secret" not in (left.last_error or "")
        assert left.next_attempt_at
        assert left.next_attempt_at > NOW
    queue.later(31)
    queue.work(Sink(), anew=True)
    assert set(queue.states().values()) == {"done"}


def test_a_ledger_in_trouble_is_no_trouble_of_the_sink(queue: Queue) -> None:
    key = queue.add("a@example.org")

    def busy(_: Action) -> Outcome:
        raise LedgerBusy("another holds it")

    with pytest.raises(LedgerBusy):
        queue.work(Sink(busy))
    assert queue.get(key).attempts == 0


def test_an_action_cancelled_in_a_batch_is_not_done(queue: Queue) -> None:
    keys = [queue.add(f"{number}@example.org") for number in range(3)]

    def cancel_next(action: Action) -> Outcome:
        if action.key == keys[0]:
            queue.ledger.cancel_actions([keys[1]], "overtaken")
        return Done("fine")

    sink = Sink(cancel_next)
    queue.work(sink)
    assert sink.done == Counter([keys[0], keys[2]])
    assert queue.get(keys[1]).reason == "overtaken"


def test_pauses_grow_up_to_a_limit_and_heed_what_is_asked() -> None:
    error = TemporarySinkError("x")
    assert all(15 <= pause(0, error) <= 30 for _ in range(50))
    assert all(120 <= pause(3, error) <= 240 for _ in range(50))
    assert all(pause(10_000, error) <= LONGEST_PAUSE for _ in range(50))
    assert pause(0, TryLater("x", 5000)) == 5000
    assert len({pause(5, error) for _ in range(20)}) > 1, "jitter"
