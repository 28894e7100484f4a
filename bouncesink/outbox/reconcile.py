"""Make the sheet say what the ledger knows, and the ledger know the leads of the sheet.

What is ours in a row, and what is not:

- An address with a counted bounce, a closed gate or a reinstatement has all five cells written;
  what a person types over them is put back and noted.
- Of any other address the cells are left as they stand, empty or not: an EMAIL VALID that another
  tool wrote is its word. An empty one means TRUE to whoever asks us.
- Unless what stands there came from us: the lead has a new address, the bounce was dismissed, or a
  write went astray because rows moved under it. We know our own by the evidence, of which the
  ledger holds every entry; such a row starts fresh. An empty ledger knows none and erases none.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from zoneinfo import ZoneInfo

import structlog

from bouncesink.config import Config
from bouncesink.errors import TemporarySinkError
from bouncesink.ledger import Ledger
from bouncesink.model import Contact, Lead, Reason
from bouncesink.outbox.lead_details import (
    COLUMNS,
    EMPTY,
    FRESH,
    Cell,
    Cells,
    Reading,
    Row,
    Sheet,
    Written,
    cells_of,
    lead_address,
    same,
)
from bouncesink.outbox.own import OwnTraces

ROUNDS = 30
"""How often one flush reads and writes a sheet whose rows keep moving under it."""

_BATCH = 5000
_NAMED = 5
"""Rows that a message names before it says how many more there are."""

log = structlog.get_logger(__name__)

Identity = tuple[str, str]
"""Which row it is, wherever it stands: its key and its e-mail as written."""


@dataclass(frozen=True, slots=True)
class Change:
    """One cell, as it stood and as it is to be."""

    row: int
    key: str
    email: str
    column: str
    before: Cell
    after: Cell


@dataclass(frozen=True, slots=True)
class FlushResult:
    """What a flush did, or would do.

    `added` are columns; `put_back` are those of `changes` that undo what a person typed.
    `addresses` have become, or are no longer, the address of a lead while the ledger knew of them.
    `repairs` counts how often rows had moved under a write. `shown` is what our rows were left
    with: hand the result to the next flush as `last`, so that it can tell what a person typed.
    """

    rows: int
    leads: int
    added: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    put_back: tuple[Change, ...] = ()
    addresses: frozenset[str] = frozenset()
    problems: tuple[str, ...] = ()
    repairs: int = 0
    shown: Mapping[Identity, Cells] = field(default_factory=dict, repr=False)

    @property
    def cells(self) -> int:
        return len(self.changes)


def flush(
    sheet: Sheet,
    ledger: Ledger,
    config: Config,
    *,
    redecide: Callable[[Collection[str]], object] | None = None,
    last: FlushResult | None = None,
) -> FlushResult:
    """Reconcile a sheet with the ledger; a flush that was cut off is made good by the next.

    `redecide` is called with `FlushResult.addresses` in the transaction that changes the leads.
    Raises SinkError when the sheet cannot be read or written, and LedgerError.
    """
    work = _Flush(ledger, ZoneInfo(config.sheet.time_zone), last.shown if last else {})
    first: _Plan | None = None
    for repairs in range(ROUNDS):
        reading = sheet.read()
        plan = work.plan(reading)
        first = first or plan
        if plan.leads:
            work.follow(plan.leads, redecide)
        written = Written.SETTLED
        if plan.wanted or reading.missing:
            written = sheet.write(plan.wanted)
        if written is Written.SETTLED:
            result = replace(
                plan.result,
                added=first.result.added,
                changes=first.result.changes,
                put_back=first.result.put_back,
                addresses=frozenset(work.concerned),
                repairs=repairs,
            )
            _log(sheet, result.put_back)
            return result
        if written is Written.ASTRAY:
            work.remember(plan)
    raise TemporarySinkError(
        f"{sheet.name}: rows were moved each of the {ROUNDS} times that we wrote. Nothing is lost: "
        "the next flush puts right what is not yet right."
    )


def preview(sheet: Sheet, ledger: Ledger, config: Config) -> FlushResult:
    """Say what `flush` would do, and do nothing."""
    return _Flush(ledger, ZoneInfo(config.sheet.time_zone), {}).plan(sheet.read()).result


@dataclass(frozen=True, slots=True)
class _Plan:
    reading: Reading
    leads: Sequence[Lead]
    wanted: Mapping[int, Cells]
    result: FlushResult


@dataclass(slots=True)
class _Flush:
    """One flush. `found` holds the cells that are not ours as they first stood in this flush."""

    ledger: Ledger
    zone: ZoneInfo
    shown: Mapping[Identity, Cells]
    contacts: dict[str, Contact | None] = field(default_factory=dict)
    followed: Sequence[Lead] | None = None
    concerned: set[str] = field(default_factory=set)
    found: dict[Identity, Cells] = field(default_factory=dict)
    written: set[tuple[str, Cell, type]] = field(default_factory=set)
    traces: OwnTraces = field(init=False)

    def __post_init__(self) -> None:
        self.traces = OwnTraces(self.ledger, self.zone)

    def plan(self, reading: Reading) -> _Plan:
        addresses = [lead_address(row.email) for row in reading.rows]
        self._look_up(address for address in addresses if address)
        leads: dict[tuple[str, str], Lead] = {}
        wanted: dict[int, Cells] = {}
        shown: dict[Identity, Cells] = {}
        changes: list[Change] = []
        for row, address in zip(reading.rows, addresses, strict=True):
            if address and not self._is_forgotten(address):
                lead = Lead(row.key or address, row.email, address)
                leads.setdefault((lead.id, address), lead)
            cells = self._wanted(row, address)
            if cells is None:
                continue
            shown[row.key, row.email] = cells
            if different := list(_changes(row, cells)):
                wanted[row.number] = cells
                changes += different
        result = FlushResult(
            rows=sum(bool(row.key or row.email.strip()) for row in reading.rows),
            leads=len(leads),
            added=reading.missing,
            changes=tuple(changes),
            put_back=tuple(c for c in changes if self._was_typed(c)),
            problems=(*reading.problems, *_problems(reading.rows, addresses)),
            shown=shown,
        )
        return _Plan(reading, list(leads.values()), wanted, result)

    def follow(
        self, leads: Sequence[Lead], redecide: Callable[[Collection[str]], object] | None
    ) -> None:
        """Make these the ledger's leads; have decided anew what that changes."""
        if self.followed is not None and set(self.followed) == set(leads):
            return  # a repair: that rows have moved since is for the next flush to follow
        known = list(self.ledger.all_leads())
        self.followed = leads
        if known == leads:
            return
        before = {(lead.id, lead.address) for lead in known}
        after = {(lead.id, lead.address) for lead in leads}
        moved = iter({address for _, address in before ^ after})
        concerned: set[str] = set()
        with self.ledger.transaction():
            # As of now: a bounce that was recorded since the plan found no lead yet.
            while batch := list(islice(moved, _BATCH)):
                concerned |= set(self.ledger.contacts(batch))
            self.ledger.put_leads(leads)
            if concerned and redecide:
                redecide(sorted(concerned))
        self.concerned |= concerned

    def remember(self, plan: _Plan) -> None:
        """Keep what a write that may have gone astray can have overwritten, and with what."""
        for row in plan.reading.rows:
            if row.number not in plan.wanted and row.cells != EMPTY:
                self.found.setdefault((row.key, row.email), row.cells)
        for cells in plan.wanted.values():
            self.written |= {(name, c, type(c)) for name, c in zip(COLUMNS, cells, strict=True)}

    def _look_up(self, addresses: Iterable[str]) -> None:
        unknown = (a for a in dict.fromkeys(addresses) if a not in self.contacts)
        while batch := list(islice(unknown, _BATCH)):
            known = self.ledger.contacts(batch)
            self.contacts.update({address: known.get(address) for address in batch})

    def _is_forgotten(self, address: str) -> bool:
        """Whether nothing of this address may be kept; its row says FALSE, and is no lead."""
        contact = self.contacts[address]
        return contact is not None and Reason.FORGOTTEN in contact.suppressed

    def _wanted(self, row: Row, address: str | None) -> Cells | None:
        """Give the cells that a row is to have, or None to leave it as it is."""
        contact = self.contacts[address] if address else None
        if contact and (contact.bounce_count or not contact.mailable or contact.reinstated):
            return cells_of(contact, self.zone)
        if self.written and self._went_astray(row):
            return self.found.get((row.key, row.email), EMPTY)
        if row.cells in (EMPTY, FRESH):
            return None
        if self.traces.holds(row.cells, address):
            return FRESH if address else EMPTY
        return None

    def _went_astray(self, row: Row) -> bool:
        """Whether all that differs from what stood here is what we wrote in this very flush."""
        found = self.found.get((row.key, row.email), EMPTY)
        differing = [
            (name, now, type(now))
            for name, was, now in zip(COLUMNS, found, row.cells, strict=True)
            if not same(was, now)
        ]
        return bool(differing) and self.written.issuperset(differing)

    def _was_typed(self, change: Change) -> bool:
        shown = self.shown.get((change.key, change.email))
        return shown is not None and not same(shown[COLUMNS.index(change.column)], change.before)


def _changes(row: Row, cells: Cells) -> Iterator[Change]:
    for column, before, after in zip(COLUMNS, row.cells, cells, strict=True):
        if not same(before, after):
            yield Change(row.number, row.key, row.email, column, before, after)


def _problems(rows: Sequence[Row], addresses: Sequence[str | None]) -> Iterator[str]:
    """Say which rows are no leads though they have an e-mail, and which keys stand twice."""
    if not any(addresses):
        yield "it has no leads, so the ledger keeps the ones it knows"
    bad = [r for r, a in zip(rows, addresses, strict=True) if not a and r.email.strip()]
    if bad:
        named = ", ".join(f"row {row.number} ({row.email.strip()[:60]!r})" for row in bad[:_NAMED])
        yield f"no lead, since the e-mail is not one address: {_and_more(named, len(bad))}"
    pairs = {(row.key, a) for row, a in zip(rows, addresses, strict=True) if row.key and a}
    twice = [key for key, times in Counter(key for key, _ in pairs).items() if times > 1]
    if twice:
        named = ", ".join(repr(key[:60]) for key in twice[:_NAMED])
        yield f"a key with several addresses: {_and_more(named, len(twice))}"


def _and_more(named: str, total: int) -> str:
    return f"{named} and {total - _NAMED:,} more" if total > _NAMED else named


def _log(sheet: Sheet, put_back: Sequence[Change]) -> None:
    for change in put_back[:_NAMED]:
        log.warning(
            "sheet.put_back", sheet=sheet.name, row=change.row, key=change.key, column=change.column
        )
