"""How long what tells of people is kept: bytes, then events, are cut down to what is needed.

Bytes are made durable as they came: an arrival's identity is a hash of them, so that a redelivery
is known, and a better rule can be tried on all of the mail while it is fresh. So the body of a
returned message is cut by the next maintenance (every hour in `serve`) and not on the way in: each
cut is read again and kept only if it says the same, which would double the time of every arrival.
What waits for a person keeps all until it is decided.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from bouncesink.engine import Engine, parts
from bouncesink.engine.cutting import Form, cut
from bouncesink.fold import decide
from bouncesink.fold.spare import spare
from bouncesink.ledger import Cut, Kept
from bouncesink.model import Arrival, Event, TrustLevel
from bouncesink.reader import ReaderPool, Reading

_BATCH = 50
"""Arrivals or addresses in one transaction: LMTP waits for no more than one of these."""

_MONTH = timedelta(days=365 / 12)

_BODILESS = (Form.BODILESS, Form.BODILESS_ENTERED)
_STATUS = (Form.STATUS, Form.STATUS_ENTERED)
_TEXT = (Form.TEXT, Form.TEXT_ENTERED, *_BODILESS)
"""For formats whose text is the delivery status."""


@dataclass(slots=True)
class Maintained:
    """What one maintenance did, or would do."""

    bodies_cut: int = 0
    bodies_uncut: int = 0
    raw_cut: int = 0
    raw_erased: int = 0
    events_removed: int = 0
    events_cut: int = 0
    webhooks_removed: int = 0
    wal_emptied: bool = True


@dataclass(slots=True)
class Retention:
    """Carries out `[retention]` on a ledger, in short transactions; harmless to cut off.

    `advance` is called with what each step has looked at, `goes_on` before each batch. With `dry`
    nothing is written. Raises LedgerError.
    """

    engine: Engine
    pool: ReaderPool
    dry: bool = False
    advance: Callable[[str, int], object] = lambda _step, _count: None
    goes_on: Callable[[], bool] = lambda: True
    done: Maintained = field(default_factory=Maintained)

    def run(self) -> Maintained:
        config, now = self.engine.config.retention, self.engine.clock()
        raw_before = now - timedelta(days=config.raw_days)
        events_before = now - config.events_months * _MONTH
        self._thin_out(events_before)
        self._outlived(events_before)
        self._cut_old(raw_before)
        if not config.keep_bodies:
            self._cut_bodies(now + timedelta(days=1))
        self._remove_told(raw_before)
        if not self.dry:
            self.done.wal_emptied = self.engine.ledger.tidy()
        return self.done

    def _cut_bodies(self, before: datetime) -> None:
        for batch in self._kept("bodies", (Kept.ALL,), before):
            cuts = []
            for arrival, _, raw in self._read(batch, lambda _: _BODILESS):
                self.done.bodies_cut += raw is not None and raw != arrival.raw
                self.done.bodies_uncut += raw is None
                kept = Kept.WHOLE if raw is None else Kept.NO_BODY
                cuts.append(Cut(arrival.id, arrival.raw if raw is None else raw, kept))
            if not self.dry:
                self.engine.ledger.cut(cuts)

    def _cut_old(self, before: datetime) -> None:
        """Leave headers and delivery status, or nothing where that would not read the same."""
        for batch in self._kept("mails", (Kept.ALL, Kept.NO_BODY, Kept.WHOLE), before):
            read = list(self._read(batch, _old_forms))
            cuts = [
                Cut(arrival.id, raw, Kept.STATUS) for arrival, _, raw in read if raw is not None
            ]
            erased = [arrival.id for arrival, _, raw in read if raw is None]
            self.done.raw_cut += len(cuts)
            self.done.raw_erased += len(erased)
            if not self.dry:
                with self.engine.ledger.transaction():
                    self.engine.ledger.cut(cuts)
                    self.engine.ledger.erase_bytes(erased)

    def _kept(self, step: str, kept: Collection[Kept], before: datetime) -> Iterator[list[Arrival]]:
        for batch in self.engine.ledger.arrivals_kept(kept, before, _BATCH):
            if not self.goes_on():
                return
            yield batch
            self.advance(step, len(batch))

    def _read(
        self, batch: Sequence[Arrival], forms: Callable[[Reading], Sequence[Form]]
    ) -> Iterator[tuple[Arrival, Reading, bytes | None]]:
        """Give of each arrival the least of these forms that reads the same; None for no such."""
        readings = self.engine.read(self.pool, batch)
        found: dict[str, bytes] = {
            arrival.id: arrival.raw for arrival in batch if arrival.media_type != "message/rfc822"
        }
        left = [
            (arrival, reading, list(forms(reading)))
            for arrival, reading in zip(batch, readings, strict=True)
            if arrival.id not in found
        ]
        while left := [each for each in left if each[2]]:
            tried = [
                replace(
                    arrival,
                    raw=cut(arrival.raw, reading.notice.original.header_block, wanted.pop(0)),
                    identity=reading.notice.identity,
                )
                for arrival, reading, wanted in left
            ]
            again = self.engine.read(self.pool, tried)
            for (_, before, _), arrival, after in zip(left, tried, again, strict=True):
                if _story(before) == _story(after):
                    found[arrival.id] = arrival.raw
            left = [each for each in left if each[0].id not in found]
        for arrival, reading in zip(batch, readings, strict=True):
            yield arrival, reading, found.get(arrival.id)

    def _thin_out(self, before: datetime) -> None:
        for some in self.engine.ledger.addresses_with_events_before(before):
            for addresses in parts(some, _BATCH):
                if not self.goes_on():
                    return
                with self.engine.ledger.transaction():
                    gone, bare = self._spare(addresses, before)
                    if not self.dry:
                        self.engine.ledger.thin_out(gone, bare)
                self.done.events_removed += len(gone)
                self.done.events_cut += len(bare)
                self.advance("events", len(addresses))

    def _spare(self, addresses: Sequence[str], before: datetime) -> tuple[set[str], set[str]]:
        policy, require = self.engine.config.policy, TrustLevel(self.engine.config.trust.require)
        gone: set[str] = set()
        bare: set[str] = set()
        for address, events in self.engine.ledger.events_of(addresses).items():
            spare_, cut_ = spare(events, policy, require, before)
            left = [event for event in events if event.id not in spare_]
            if self._asks_the_same(address, events, left):
                gone |= spare_
            else:  # a sign of life, say, which still asks somebody to verify the address
                cut_ |= spare_
            bare |= cut_
        return gone, bare

    def _asks_the_same(self, address: str, events: list[Event], left: list[Event]) -> bool:
        engine, config = self.engine, self.engine.config
        leads = engine.ledger.leads_of([address]).get(address, [])

        def asked(some: list[Event]) -> tuple[object, set[str]]:
            contact = engine.fold(address, some)
            actions = decide(
                contact,
                leads,
                some,
                config.policy,
                TrustLevel(config.trust.require),
                engine.clock(),
                unknown_too=config.leads.act_on_unknown,
            )
            return contact, {action.key for action in actions}

        return asked(events) == asked(left)

    def _outlived(self, before: datetime) -> None:
        """Erase the bytes of mails of whose events nothing but the skeleton is left."""
        while self.goes_on():
            ids = self.engine.ledger.arrivals_outlived(before, _BATCH * 10)
            self.done.raw_erased += len(ids)
            if self.dry or not ids:
                return
            self.engine.ledger.erase_bytes(ids, names_too=True)
            self.advance("mails", len(ids))

    def _remove_told(self, before: datetime) -> None:
        while not self.dry and self.goes_on():
            count = self.engine.ledger.remove_told(before, _BATCH * 10)
            self.done.webhooks_removed += count
            if not count:
                return


def _old_forms(reading: Reading) -> Sequence[Form]:
    # The text of a person, or of a machine that answers for one, is no delivery status.
    return (*_STATUS, *_TEXT) if reading.notice.reports else _STATUS


def _story(reading: Reading) -> Reading:
    """Give all of a reading that events and settlements are made of."""
    return replace(reading, notice=replace(reading.notice, text=""))
