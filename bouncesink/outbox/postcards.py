"""The postcard feed: HARD leads whose row has what a postcard needs, each in one round only.

A round is claimed before its file is written and finished after. Cut off in between, it is the
same round that the next call writes and finishes, so that no lead gets into two.
"""

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from bouncesink.config import Config
from bouncesink.errors import InputError, PermanentSinkError
from bouncesink.ledger import Ledger
from bouncesink.model import OPEN, Action, ActionKind, ActionState
from bouncesink.outbox.csvtable import read_table, unquote
from bouncesink.outbox.export import csv_line
from bouncesink.outbox.lead_details import COLUMNS, lead_address, locate

LEASE = timedelta(minutes=1)
"""How long a round that is being written is left to whoever writes it."""

ACTOR = "postcards"
_ALL = 1_000_000
_PAGE = 500
_WAITING = (ActionState.PENDING, ActionState.APPROVED)


@dataclass(frozen=True, slots=True)
class Leads:
    """The rows of a sheet by lead id and address, with all columns but ours."""

    columns: Sequence[str]
    rows: Mapping[tuple[str, str], Sequence[str]]
    required: Sequence[int]

    def row(self, action: Action) -> Sequence[str] | None:
        return self.rows.get((action.lead_id or "", action.address or ""))

    def is_eligible(self, action: Action) -> bool:
        row = self.row(action)
        return row is not None and all(row[at].strip() for at in self.required)


@dataclass(frozen=True, slots=True)
class Round:
    """What one call wrote, if anything. `left` HARD leads do not meet the criteria yet."""

    name: str
    path: Path | None
    leads: int
    left: int


def next_round(
    ledger: Ledger, leads: Leads, folder: Path, now: datetime, out: Path | None = None
) -> Round:
    """Write the next round's CSV, by default into `folder`, and mark its leads.

    Raises InputError and LedgerError.
    """
    name, actions = _claim(ledger, leads, now)
    path = out or folder / f"postcards-{name}.csv"
    rows = {action.key: row for action in actions if (row := leads.row(action))}
    lines = [csv_line([name, *row]) for row in rows.values()]
    try:
        if lines:
            _write(path, csv_line(["ROUND", *leads.columns]) + "".join(lines))
    except InputError:
        _move(ledger, actions, ActionState.PENDING, now, "the file could not be written")
        raise
    there = [action for action in actions if action.key in rows]
    _move(ledger, there, ActionState.DONE, now, f"in round {name}")
    gone = [action for action in actions if action.key not in rows]
    _move(ledger, gone, ActionState.PENDING, now, "its row was gone")
    totals = ledger.totals().actions
    left = sum(totals.get((ActionKind.POSTCARD, state), 0) for state in _WAITING)
    return Round(name, path if lines else None, len(lines), left)


def _claim(ledger: Ledger, leads: Leads, now: datetime) -> tuple[str, list[Action]]:
    """Claim those of the round that was cut off, else those of a new one; give its name."""
    with ledger.transaction():
        name, actions = _unfinished(ledger, now)
        if not actions:
            found = ledger.list_actions(ActionKind.POSTCARD, _WAITING, _ALL)
            actions = [action for action in found if leads.is_eligible(action)]
        until = now + LEASE
        for action in actions:
            to, actor = ActionState.CLAIMED, ACTOR
            ledger.move_action(
                action.key, OPEN, to, at=now, actor=actor, reason=name, next_attempt_at=until
            )
    return name, actions


def _unfinished(ledger: Ledger, now: datetime) -> tuple[str, list[Action]]:
    """Give the round that was cut off; if there is none, the name of a new one."""
    claimed = ledger.list_actions(ActionKind.POSTCARD, ActionState.CLAIMED, _ALL)
    ours = [each for each in claimed if each.actor == ACTOR]
    if any((each.next_attempt_at or now) > now for each in ours):
        raise InputError("a round is being written just now, or was cut off: again in a minute")
    name = (ours[0].reason if ours else None) or now.strftime("%Y%m%dT%H%M%SZ")
    return name, [each for each in ours if each.reason == name]


def _move(
    ledger: Ledger, actions: Sequence[Action], to: ActionState, now: datetime, reason: str
) -> None:
    claimed = (ActionState.CLAIMED,)
    for start in range(0, len(actions), _PAGE):
        with ledger.transaction():
            for action in actions[start : start + _PAGE]:
                ledger.move_action(action.key, claimed, to, at=now, actor=ACTOR, reason=reason)


def read_leads(config: Config, path: Path) -> Leads:
    """Read a sheet as CSV with all its columns. Raises InputError or PermanentSinkError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    table = read_table(data, config.sheet.email_column, str(path))
    header = [unquote(field).strip() for field in table.fields(table.header)]
    layout = locate(header, config.sheet, str(path))
    known = {_loosely(name): at for at, name in enumerate(header)}
    ours = {_loosely(name) for name in COLUMNS}
    kept = [at for at, name in enumerate(header) if _loosely(name) not in ours]
    required = []
    for name in config.postcards.required_columns:
        if _loosely(name) not in known or known[_loosely(name)] not in kept:
            raise PermanentSinkError(
                f"{path}: no column is called {name!r}, which [postcards] required_columns names"
            )
        required.append(kept.index(known[_loosely(name)]))
    rows: dict[tuple[str, str], Sequence[str]] = {}
    for record in range(table.header + 1, len(table.records)):
        fields = [unquote(field) for field in table.fields(record)]
        fields += [""] * (len(header) - len(fields))
        address = lead_address(fields[layout.email])
        if address:
            key = fields[layout.key].strip() if layout.key is not None else ""
            rows.setdefault((key or address, address), [fields[at] for at in kept])
    return Leads([header[at] for at in kept], rows, required)


def _write(path: Path, text: str) -> None:
    """Write a file so that it is there whole or not at all."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with part.open("w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise InputError(f"{path}: cannot be written: {error.strerror}") from None


def _loosely(name: str) -> str:
    return " ".join(name.split()).casefold()
