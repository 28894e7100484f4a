"""What is wrong, since when, and what to do about it, in words: for `status` and for the page."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bouncesink.config import Config
from bouncesink.errors import LedgerError
from bouncesink.fold.alert import SILENCE, about_of, words
from bouncesink.ledger import SERVICE, SHEET, ArrivalState, Ledger, Totals, Trouble
from bouncesink.ledger.storage import Storage, measure
from bouncesink.model import OPEN, Action, ActionKind, ActionState

UNSEEN = timedelta(minutes=3)
"""After so long without a beat, of which there is one a minute, the service does not run."""

LATE = timedelta(minutes=5)
"""How long an arrival may wait to be read before that is a problem."""

MUCH_WAL = 256 * 1024**2
"""Octets: SQLite cuts it to 16 MiB as soon as nobody reads from it any more."""

LITTLE_ROOM = 500 * 1000**2
ENOUGH_ROOM = 5 * 1000**3
"""Octets of disk: less than the first is a problem, more than the second is none; between them,
less than a twentieth of the disk is."""

_LATEST = 200
"""How many of the latest actions in trouble are looked at."""

_TO_DO = {
    SHEET: "`bouncesink doctor` checks the sheet, `bouncesink flush` writes it now; the service "
    "tries again by itself.",
    "engine": "It tries again by itself; the log of `bouncesink serve` tells more.",
    "config": "Correct the config file (`bouncesink doctor` checks it), then reload the service.",
    "lmtp": "Mail waits at your mail server meanwhile; see what is said of the disk, and the log.",
}
_TO_DO_ELSE = "It is tried again by itself; `bouncesink doctor` checks what it needs."


@dataclass(frozen=True, slots=True)
class Problem:
    what: str
    since: datetime | None
    do: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What the ledger tells at `now`; `failed` are actions that failed for good."""

    now: datetime
    totals: Totals
    troubles: Sequence[Trouble]
    failed: Sequence[Action]
    alerts: Sequence[Action]
    beats: Mapping[str, datetime]
    storage: Storage
    keyless: str = ""
    """Why it cannot be told who was forgotten."""


def facts(ledger: Ledger, config: Config, now: datetime) -> Facts:
    """Ask the ledger, and its disk. Raises LedgerError."""
    troubled = ledger.troubled_actions(_LATEST)
    return Facts(
        now=now,
        totals=ledger.totals(),
        troubles=ledger.troubles(),
        failed=[each for each in troubled if each.state is ActionState.FAILED],
        alerts=ledger.standing_alerts(),
        beats=ledger.beats(),
        storage=measure(config.ledger.path),
        keyless=_keyless(ledger),
    )


def _keyless(ledger: Ledger) -> str:
    try:
        ledger.forgotten(())
    except LedgerError as error:
        return str(error)
    return ""


def problems(facts: Facts, config: Config) -> list[Problem]:
    """PURE. Give what is wrong, the worst first."""
    return [
        *_key(facts.keyless),
        *_storage(facts.storage),
        *_service(facts),
        *_troubles(facts.troubles),
        *_sheet(facts, config),
        *_silence(facts),
        *_queues(facts, config),
    ]


def _key(keyless: str) -> Iterator[Problem]:
    if keyless:
        do = "Until then no address is said to be mailable or not; see deploy/privacy.md."
        yield Problem(keyless, None, do)


def _storage(storage: Storage) -> Iterator[Problem]:
    limit = min(ENOUGH_ROOM, storage.disk / 20)
    if storage.disk and storage.free < max(LITTLE_ROOM, limit):
        yield Problem(
            f"the disk of the ledger is nearly full: {_size(storage.free)} are left",
            None,
            "Make room: once it is full, mail is refused for a while (451) and waits at your mail "
            "server.",
        )
    if storage.wal > MUCH_WAL:
        yield Problem(
            f"the ledger's write-ahead log has grown to {_size(storage.wal)}",
            None,
            "A program reads from the ledger and does not come to its end, so that the log cannot "
            "be cut: a shell of sqlite3, a backup. End that one.",
        )


def _service(facts: Facts) -> Iterator[Problem]:
    seen, pending = facts.beats.get(SERVICE), facts.totals.arrivals.get(ArrivalState.PENDING, 0)
    runs = seen is not None and facts.now - seen < UNSEEN
    if seen is not None and not runs:
        yield Problem(
            "the service does not run, or does not come round",
            seen,
            "Start it: `systemctl start bouncesink`, or `bouncesink serve`; if it runs, its log "
            "says what it waits for.",
        )
    oldest = facts.totals.oldest_pending_at
    if oldest is not None and facts.now - oldest > LATE:
        yield Problem(
            f"{pending:,} arrival{'' if pending == 1 else 's'} not read yet",
            oldest,
            "The service is behind; its log says what holds it up."
            if runs
            else "`bouncesink serve` reads them.",
        )


def _troubles(troubles: Sequence[Trouble]) -> Iterator[Problem]:
    for each in troubles:
        do = _TO_DO.get(each.part, _TO_DO_ELSE)
        yield Problem(f"{each.part}: {each.text}", each.since, do)


def _sheet(facts: Facts, config: Config) -> Iterator[Problem]:
    """Find a sheet of which nobody says that it has trouble, and which nobody writes either."""
    flushed = facts.beats.get(SHEET)
    if flushed is None or any(each.part == SHEET for each in facts.troubles):
        return
    often = timedelta(seconds=config.sheet.flush_every) or timedelta(days=1)
    if facts.now - flushed > max(10 * often, timedelta(minutes=15)):
        yield Problem("the sheet has not been brought up to date", flushed, _TO_DO[SHEET])


def _silence(facts: Facts) -> Iterator[Problem]:
    for alert in facts.alerts:
        if about_of(alert) == SILENCE:
            subject, text = words(alert)
            yield Problem(subject, alert.created_at, text.rpartition("\n\n")[2])


def _queues(facts: Facts, config: Config) -> Iterator[Problem]:
    actions = facts.totals.actions
    dead = {k: n for (k, state), n in actions.items() if state is ActionState.FAILED and n}
    if dead:
        listed = ", ".join(f"{count:,} {kind.value}" for kind, count in dead.items())
        yield Problem(
            f"failed for good: {listed}",
            min((each.moved_at or each.created_at for each in facts.failed), default=None),
            "`bouncesink queue list --state failed` says why; `bouncesink queue retry --kind KIND "
            "--all` has them done again.",
        )
    reviews = sum(actions.get((ActionKind.REVIEW, state), 0) for state in OPEN)
    if reviews > config.alerts.review_above:
        yield Problem(
            f"{reviews:,} items wait for review",
            None,
            "`bouncesink review list` shows them; `bouncesink review suggest-rule` drafts a rule "
            "for many at once.",
        )


def _size(octets: int) -> str:
    return f"{octets / 1000**2:,.0f} MB"
