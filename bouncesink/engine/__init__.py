"""The middle of the line: arrivals -> events -> contacts -> actions.

`replay` and `serve` run this same engine. Each batch of arrivals is read outside the transaction
and recorded in one; all that it records is idempotent by identity, so that two engines may drain
one ledger, and a batch that was cut off is simply read again.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import chain, compress, islice
from time import monotonic
from typing import TypeVar

import structlog

from bouncesink import auth_results
from bouncesink.config import Config, read_secret
from bouncesink.dkim_check import Signatures
from bouncesink.engine.acts import act_after, operator_act
from bouncesink.engine.events import Known, make_events, settle, subjects
from bouncesink.engine.mentions import in_text, nameless
from bouncesink.errors import BouncesinkError, ConfigError
from bouncesink.fold import announce, contain, decide, fold
from bouncesink.ledger import ArrivalState, Ledger, Settlement
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
    TrustLevel,
)
from bouncesink.reader import ReaderPool, Reading
from bouncesink.trust import Knowledge
from bouncesink.verp import parse_keys

BATCH = 200
"""Arrivals in one transaction: enough to share the fsync, few enough to give way to others."""

AHEAD = 1000
"""Arrivals that are taken up at once, so that reading and recording can go side by side."""

CROWDED = 100
"""Events beyond which an address is not folded with each batch: a flood of N would cost N * N."""

REST = 9.0
"""How much longer than folding such addresses took is the pause before it is done again."""

T = TypeVar("T")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one arrival: how it read, and those of its events that were new.

    `read_in` and `recorded_in` are in seconds: its share of what the batch took.
    """

    arrival: Arrival
    reading: Reading
    settlement: Settlement
    events: tuple[Event, ...]
    read_in: float = 0.0
    recorded_in: float = 0.0


@dataclass(slots=True)
class Drained:
    """How much one `drain` did."""

    arrivals: int = 0
    events: int = 0
    actions: int = 0


def utcnow() -> datetime:
    """Give the time in whole milliseconds, the ledger's resolution."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def verp_keys(config: Config) -> tuple[bytes, ...]:
    """Read the keys of signed return paths, none if no file is configured; or ConfigError."""
    path = config.trust.verp_key_file
    try:
        return parse_keys(read_secret(path)) if path else ()
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from None


@dataclass(slots=True)
class Engine:
    """Drains one ledger. It belongs to one thread, as its ledger does.

    `progress` is called at each thing done of the many that may take long, from one thread or
    another: whoever watches us then knows that it goes on.

    Raises ConfigError when made with a config whose keys, or what they need, are not there.
    """

    ledger: Ledger
    config: Config
    clock: Callable[[], datetime] = utcnow
    progress: Callable[[], None] = lambda: None
    _knowledge: Knowledge = field(init=False)
    _require: TrustLevel = field(init=False)
    _signatures: Signatures | None = field(init=False)
    _fold_left_at: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self._knowledge = Knowledge.of(self.config, verp_keys(self.config))
        self._require = TrustLevel(self.config.trust.require)
        self._signatures = Signatures.of(self.config)
        if self.config.trust.authserv_id:
            auth_results.require()

    def drain(self, pool: ReaderPool, observe: Callable[[Outcome], None] | None = None) -> Drained:
        """Read what is pending until nothing is. Raises LedgerError; what was recorded stays."""
        total = Drained()
        while done := self.drain_batch(pool, observe):
            total.arrivals += done.arrivals
            total.events += done.events
            total.actions += done.actions
        total.actions += self._fold_left()
        return total

    def drain_batch(
        self, pool: ReaderPool, observe: Callable[[Outcome], None] | None = None
    ) -> Drained | None:
        """Read some of what is pending, a batch in each transaction; None when nothing is.

        A crowded address is folded at its turn, which may be at a later call.
        """
        arrivals = self.ledger.pending(AHEAD)
        done = Drained()
        if monotonic() >= self._fold_left_at:
            done.actions += self._fold_left()
        if not arrivals:
            return done if done.actions else None
        with closing(self._read_ahead(pool, arrivals)) as batches:
            for batch, readings, read_in in batches:
                began = monotonic()
                outcomes = self._record_safely(batch, readings, done)
                recorded_in = (monotonic() - began) / len(batch)
                recorded_at = self.clock()
                done.arrivals += len(batch)
                self.progress()
                for each in outcomes:
                    outcome = replace(each, read_in=read_in, recorded_in=recorded_in)
                    _log(outcome, recorded_at)
                    if observe:
                        observe(outcome)
        return done

    def act(
        self, act: Act, address: str, actor: str, reason: str, target: str | None = None
    ) -> Event:
        """Record what an operator did about an address, and all that follows from it."""
        event = operator_act(act, address, actor, reason, self.clock(), target)
        self.record([event])
        return event

    def record(self, events: Sequence[Event]) -> None:
        """Record events that no arrival gave, and all that follows from them."""
        with self.ledger.transaction():
            self.ledger.add_events(self._dated(events))
            self._refold(dict.fromkeys(event.address for event in events))

    def _dated(self, events: Sequence[Event]) -> list[Event]:
        """Date acts after all that they are about, also when the clock has been put back since."""
        stored = self.ledger.events_of({event.address for event in events})
        return [
            act_after(event, stored.get(event.address, ()))
            if isinstance(event.kind, Act)
            else event
            for event in events
        ]

    def redecide(self, addresses: Iterable[str]) -> None:
        """Fold these addresses anew, as when leads have come or the policy has changed."""
        for part in parts(addresses, BATCH):
            with self.ledger.transaction():
                self._refold(part)
            self.progress()

    def read(self, pool: ReaderPool, batch: Sequence[Arrival]) -> list[Reading]:
        """Read arrivals, outside of any transaction: the DNS may take its time."""
        readings = []
        for arrival, read in zip(batch, pool.read_many(batch), strict=True):
            reading = read
            if arrival.identity is not None:
                notice = replace(read.notice, identity=arrival.identity)
                reading = replace(read, notice=notice)
            if (ours := self._signatures) is None:
                readings.append(reading)
            else:
                signature = ours.check(reading.notice.original.header_block)
                readings.append(replace(reading, signature=signature))
            self.progress()
        return readings

    def _read_ahead(
        self, pool: ReaderPool, arrivals: Sequence[Arrival]
    ) -> Generator[tuple[list[Arrival], list[Reading], float], None, None]:
        """Give batches that are read, and the seconds that each arrival of it took on average.

        A thread reads the next one while the last is recorded.
        """

        def timed(batch: list[Arrival]) -> tuple[list[Arrival], list[Reading], float]:
            began = monotonic()
            readings = self.read(pool, batch)
            return batch, readings, (monotonic() - began) / len(batch)

        batches = map(timed, parts(arrivals, BATCH))
        with ThreadPoolExecutor(1, "read-ahead") as ahead:
            following = ahead.submit(next, batches, None)
            while (batch := following.result()) is not None:
                following = ahead.submit(next, batches, None)
                yield batch

    def _record_safely(
        self, batch: Sequence[Arrival], readings: Sequence[Reading], done: Drained
    ) -> list[Outcome]:
        """Record a batch; an arrival that we fail at goes to review and holds up no other."""
        try:
            with self.ledger.transaction():
                return self._record(batch, readings, done)
        except BouncesinkError:
            raise
        except Exception as error:
            log.exception("arrival.failed", arrivals=[arrival.id[:16] for arrival in batch])
            if len(batch) > 1:
                done.events = done.actions = 0
                return [
                    outcome
                    for arrival, reading in zip(batch, readings, strict=True)
                    for outcome in self._record_safely([arrival], [reading], done)
                ]
            settlement = replace(
                settle(batch[0], readings[0]),
                state=ArrivalState.REVIEW,
                note=f"an error of bouncesink's own, please report it: {error!r}"[:500],
            )
            with self.ledger.transaction():
                self.ledger.settle([settlement])
                done.actions += self._start([_review(settlement, self.clock())])
            return [Outcome(batch[0], readings[0], settlement, ())]

    def _record(
        self, batch: Sequence[Arrival], readings: Sequence[Reading], done: Drained
    ) -> list[Outcome]:
        groups = self.events_of(batch, readings)
        flat = [event for group in groups for event in group]
        new = self.ledger.add_events(flat)
        each = iter(new)
        fresh = [tuple(event for event in group if next(each)) for group in groups]
        # The same notification by a better way: a doubtful copy must not hide a proven one.
        again = [event for event, was_new in zip(flat, new, strict=True) if not was_new]
        raised = compress(again, self.ledger.raise_trust(again))
        touched = dict.fromkeys(event.address for event in chain(*fresh, raised))
        settlements = [
            settle(arrival, reading) for arrival, reading in zip(batch, readings, strict=True)
        ]
        self.ledger.settle(settlements)
        self.ledger.erase_bytes(self._about_forgotten(batch, readings), names_too=True)
        done.actions += self.review_arrivals(settlements)
        crowded = self.ledger.crowded(touched, CROWDED)
        self.ledger.leave_unfolded(crowded)
        done.actions += self._refold(each for each in touched if each not in crowded)
        done.events += sum(map(len, fresh))
        return list(map(Outcome, batch, readings, settlements, fresh))

    def _fold_left(self) -> int:
        """Fold what `_record` left, each by itself: so others get at the ledger in between."""
        began, started = monotonic(), 0
        for address in self.ledger.unfolded():
            with self.ledger.transaction():
                started += self._refold([address])
            self.progress()
        now = monotonic()
        self._fold_left_at = now + REST * (now - began)
        return started

    def _refold(self, addresses: Iterable[str]) -> int:
        """Fold and decide anew; return how many actions that started."""
        addresses = list(addresses)
        stored = self.ledger.events_of(addresses)
        leads = self.ledger.leads_of(addresses)
        contacts = [self.fold(address, stored.get(address, [])) for address in addresses]
        told = self._announced(contacts, leads)
        self.ledger.put_contacts(contacts)
        self.ledger.folded(addresses)
        wanted = [
            action
            for contact in contacts
            for action in decide(
                contact,
                leads.get(contact.address, []),
                stored.get(contact.address, []),
                self.config.policy,
                self._require,
                self.clock(),
                unknown_too=self.config.leads.act_on_unknown,
            )
        ]
        called_for = {action.key for action in wanted}
        # What others are to be told has happened, whatever came after it.
        standing = {
            action.key
            for action in self.ledger.open_actions(addresses)
            if action.kind is not ActionKind.WEBHOOK
        }
        self.ledger.cancel_actions(
            standing - called_for, "overtaken: the address's state no longer asks for it"
        )
        return self._start([*told, *(each for each in wanted if each.key not in standing)])

    def _announced(
        self, contacts: Sequence[Contact], leads: Mapping[str, Sequence[Lead]]
    ) -> list[Action]:
        """Give what others are to be told of these contacts, which are not stored yet."""
        if not (urls := self.config.webhooks.urls):
            return []
        before = self.ledger.contacts(each.address for each in contacts)
        return [
            action
            for after in contacts
            for action in announce(
                before.get(after.address, Contact(after.address)),
                after,
                leads.get(after.address, ()),
                urls,
                self.clock(),
            )
        ]

    def review_arrivals(self, settlements: Sequence[Settlement]) -> int:
        """Ask for what a person must read, and no more for what can be read by now."""
        reviews = [_review(settlement, self.clock()) for settlement in settlements]
        wanted = [s.state is ArrivalState.REVIEW for s in settlements]
        done = [r.key for r, is_wanted in zip(reviews, wanted, strict=True) if not is_wanted]
        self.ledger.cancel_actions(done, "overtaken: it can be read by now")
        return self._start(list(compress(reviews, wanted)))

    def _start(self, actions: Sequence[Action]) -> int:
        """Store intentions, a flood of reviews as one; return how many were new."""
        waiting = self.ledger.totals().actions.get((ActionKind.REVIEW, ActionState.PENDING), 0)
        wanted = contain(actions, waiting, self.clock())
        new = self.ledger.add_actions(wanted)
        old = [action for action, is_new in zip(wanted, new, strict=True) if not is_new]
        self.ledger.reopen_actions(action.key for action in old)
        for action in old:
            if action.address is None and "flood" in action.payload:
                # Dismissed for what it stood for then; this is more of it.
                self.ledger.move_action(
                    action.key, (ActionState.DONE,), ActionState.PENDING, at=self.clock()
                )
        return sum(new)

    def fold(self, address: str, events: Iterable[Event]) -> Contact:
        return fold(address, events, self.config.policy, self._require)

    def events_of(
        self, batch: Sequence[Arrival], readings: Sequence[Reading]
    ) -> list[tuple[Event, ...]]:
        """Make the events of a batch, with what the ledger knows of their addresses."""
        pairs = list(zip(batch, readings, strict=True))
        addresses = {
            subject.address for arrival, reading in pairs for subject in subjects(arrival, reading)
        }
        ids = {reading.notice.original.message_id for reading in readings}
        known = Known(
            knowledge=replace(self._knowledge, leads_known=self.ledger.totals().leads > 0),
            leads=self.ledger.leads_of(addresses),
            sends=self.ledger.sends_of(each for each in ids if each),
        )
        made = [make_events(arrival, reading, known) for arrival, reading in pairs]
        for address in self.ledger.forgotten(addresses):
            pattern, name = in_text(address), self.ledger.forgotten_name(address)
            made = [
                tuple(nameless(e, pattern, name) for e in events if e.address != address)
                for events in made
            ]
        return made

    def _about_forgotten(self, batch: Sequence[Arrival], readings: Sequence[Reading]) -> list[str]:
        """Give the arrivals that speak of somebody who was erased: none of that is kept."""
        named = {
            (arrival.id, subject.address)
            for arrival, reading in zip(batch, readings, strict=True)
            for subject in subjects(arrival, reading)
        }
        gone = self.ledger.forgotten(address for _, address in named)
        return [id_ for id_, address in named if address in gone]


def _review(settlement: Settlement, now: datetime) -> Action:
    return Action(
        key=f"{ActionKind.REVIEW}:arrival:{settlement.arrival_id}",
        kind=ActionKind.REVIEW,
        created_at=now,
        arrival_id=settlement.arrival_id,
        payload={"why": "unreadable", "priority": "2", "note": settlement.note},
    )


def _log(outcome: Outcome, recorded_at: datetime) -> None:
    delay = recorded_at - outcome.arrival.received_at
    log.info(
        "arrival.read",
        arrival=outcome.arrival.id[:16],
        source=outcome.arrival.source,
        kind=outcome.settlement.kind.value,
        recognizer=outcome.settlement.recognizer,
        events=len(outcome.events),
        verdicts=[f"{e.verdict.severity}:{e.verdict.rule}" for e in outcome.events if e.verdict],
        read_ms=round(outcome.read_in * 1000, 1),
        record_ms=round(outcome.recorded_in * 1000, 1),
        ms=round(delay.total_seconds() * 1000),  # since it was received
    )
    if outcome.settlement.kind is Kind.FORWARDING_CONFIRMATION:
        # Nothing is forwarded until a person types it in, who may look here first.
        code = outcome.settlement.confirmation_code
        log.warning("forwarding.confirmation", arrival=outcome.arrival.id[:16], code=code)


def parts(items: Iterable[T], size: int) -> Iterator[list[T]]:
    remaining = iter(items)
    while part := list(islice(remaining, size)):
        yield part
