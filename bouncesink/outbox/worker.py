"""Carry out what a program can do: the QueueSink protocol, and the one who works a queue.

An action is claimed for a time, checked once more right before anything is changed, and settled by
itself. Who is killed in the middle leaves a claim that runs out; then it is carried out again,
which every sink makes harmless by looking first at what is there.
"""

import os
import random
import secrets
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from bouncesink.errors import BouncesinkError, LedgerError, PermanentSinkError, SinkError
from bouncesink.ledger import Ledger
from bouncesink.model import Action, ActionKind, ActionState
from bouncesink.outbox.rest import TryLater

LEASE = timedelta(minutes=5)
"""How long a claim holds: longer than whatever a sink does between two of its checks."""

FIRST_PAUSE = 30.0
LONGEST_PAUSE = 3600.0
"""Seconds, before jitter; a temporary error is tried again for as long as it takes."""

_MOST_WORDS = 500

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Done:
    """An action was carried out, or had been before: `words` say how."""

    words: str


Outcome = Done | SinkError
"""A PermanentSinkError makes a dead letter; every other error is tried again."""

May = Callable[[Action, str], bool]
"""Whether to go ahead, asked right before a change that the text tells of."""


class QueueSink(Protocol):
    """Carries out actions of one kind, taken from the states in `takes`, `batch` at a time."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> ActionKind: ...
    @property
    def takes(self) -> tuple[ActionState, ...]: ...
    @property
    def batch(self) -> int: ...

    def check(self) -> None:
        """Raise BouncesinkError when its secret is not to be had; nobody is asked."""

    def perform(self, actions: Sequence[Action], may: May) -> Iterator[tuple[Action, Outcome]]:
        """Carry out actions, and give what came of each; of what `may` refused, nothing.

        Whatever is raised is trouble of the whole sink: nothing more is tried for a while.
        """


@dataclass(slots=True)
class Worker:
    """Works one queue. It belongs to one thread, as its ledger does."""

    ledger: Ledger
    sink: QueueSink
    clock: Callable[[], datetime]
    outcomes: list[tuple[Action, Outcome]] = field(default_factory=list)
    trouble: BouncesinkError | None = None
    _troubles: int = 0
    _resume_at: datetime | None = None
    _rests_since: datetime = field(init=False)
    _name: str = field(init=False)

    def __post_init__(self) -> None:
        # Unlike that of any other process that there ever was: claims are told apart by it.
        own = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"
        self._name = f"{self.sink.name}@{own}"

    def step(self) -> bool:
        """Carry out some of what is due; whether there may be more to do at once.

        Raises LedgerError.
        """
        now = self.clock()
        if self._resume_at is not None and self._rests_since <= now < self._resume_at:
            return False
        left = {action.key: action for action in self._claim()}
        self.outcomes, self.trouble = [], None
        if not left:
            return False
        try:
            for action, outcome in self.sink.perform(list(left.values()), self._may):
                del left[action.key]
                self._settle(action, outcome)
        except LedgerError:
            raise
        except BouncesinkError as error:
            self.trouble = error
        except Exception as error:
            log.exception("queue.error", sink=self.sink.name)
            self.trouble = TryLater(
                f"an error of bouncesink's own, please report it: {type(error).__name__}"
            )
        if self.trouble is None:
            self._troubles, self._resume_at = 0, None
            return True
        self._rest(self.trouble)
        for action in left.values():
            self._settle(action, TryLater(str(self.trouble)), self._resume_at)
        return False

    def _claim(self) -> list[Action]:
        sink, now = self.sink, self.clock()
        with self.ledger.transaction():
            due = self.ledger.due_actions(sink.kind, sink.takes, now, sink.batch)
            return [action for action in due if self._hold(action, action.state, now)]

    def _hold(self, action: Action, state: ActionState, now: datetime) -> bool:
        return self.ledger.move_action(
            action.key,
            (state,),
            ActionState.CLAIMED,
            at=now,
            actor=self._name,
            next_attempt_at=now + LEASE,
        )

    def _may(self, action: Action, _: str) -> bool:
        """Check that it is still called for and still ours, and hold it for a while more."""
        with self.ledger.transaction():
            state, mine = self._standing(action)
            return mine and self._hold(action, state, self.clock())

    def _standing(self, action: Action) -> tuple[ActionState, bool]:
        """Give the state of an action now, and whether it is still our claim."""
        now = self.ledger.find_actions(action.key, 1)[0]
        return now.state, now.state is ActionState.CLAIMED and now.actor == self._name

    def _settle(self, action: Action, outcome: Outcome, again_at: datetime | None = None) -> None:
        with self.ledger.transaction():
            state, mine = self._standing(action)
            if mine:
                self._record(action, outcome, again_at)
            elif state is ActionState.CANCELLED and isinstance(outcome, Done):
                self._too_late(action, outcome)
        self.outcomes.append((action, outcome))

    def _record(self, action: Action, outcome: Outcome, again_at: datetime | None) -> None:
        now, claimed = self.clock(), (ActionState.CLAIMED,)
        about = {"sink": self.sink.name, "lead": action.lead_id, "attempts": action.attempts + 1}
        if isinstance(outcome, Done):
            reason = f"{action.reason}; {outcome.words}" if action.reason else outcome.words
            self.ledger.move_action(
                action.key,
                claimed,
                ActionState.DONE,
                at=now,
                actor=self.sink.name,
                reason=reason[:_MOST_WORDS],
            )
            log.info("queue.done", **about)
        elif isinstance(outcome, PermanentSinkError):
            self.ledger.move_action(
                action.key,
                claimed,
                ActionState.FAILED,
                at=now,
                actor=self.sink.name,
                error=str(outcome)[:_MOST_WORDS],
            )
            log.warning("queue.failed", error=str(outcome), **about)
        else:
            back = action.state if action.state in self.sink.takes else ActionState.APPROVED
            after = pause(action.attempts, outcome)
            self.ledger.move_action(
                action.key,
                claimed,
                back,
                at=now,
                next_attempt_at=again_at or now + timedelta(seconds=after),
                error=str(outcome)[:_MOST_WORDS],
            )
            log.warning("queue.later", error=str(outcome), **about)

    def _too_late(self, action: Action, outcome: Done) -> None:
        """Keep that it was carried out at the very moment at which it was cancelled."""
        self.ledger.move_action(
            action.key,
            (ActionState.CANCELLED,),
            ActionState.CANCELLED,
            at=self.clock(),
            actor=self.sink.name,
            reason=f"overtaken, but it had just been carried out: {outcome.words}"[:_MOST_WORDS],
        )
        log.warning("queue.overtaken", sink=self.sink.name, lead=action.lead_id)

    def _rest(self, trouble: BouncesinkError) -> None:
        after = pause(self._troubles, trouble)
        self._troubles += 1
        self._rests_since = self.clock()  # before that it is only when the clock is put back
        self._resume_at = self._rests_since + timedelta(seconds=after)
        log.warning("queue.trouble", sink=self.sink.name, error=str(trouble), again_in=round(after))


def pause(attempts: int, error: Exception) -> float:
    """Give the seconds to wait after an attempt; longer each time, and as long as is asked."""
    wait = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(attempts, 16)) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
    asked = error.after if isinstance(error, TryLater) else 0.0
    return max(wait, asked)
