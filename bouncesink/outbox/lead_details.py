"""The Lead Details sheet as the reconciler sees it, whoever keeps it: the Sheet protocol.

A sheet is not sent actions: it is compared with the ledger, and what differs is written. So a flush
may be cut off, repeated or fall behind, and the next one makes the sheet right.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from enum import Enum, auto
from typing import Protocol

from bouncesink.address import normalise
from bouncesink.config import SheetConfig
from bouncesink.errors import PermanentSinkError
from bouncesink.fold import columns
from bouncesink.model import Contact

COLUMNS = (
    "EMAIL BOUNCE DATE",
    "EMAIL BOUNCE TYPE",
    "BOUNCE COUNT",
    "EMAIL VALID",
    "BOUNCE EVIDENCE",
)
"""The headers of our columns. All others belong to other people and tools."""

EVIDENCE_LIMIT = 32_000
"""Characters of BOUNCE EVIDENCE: Excel opens 32,767 a cell, Google Sheets takes 50,000."""

Cell = str | int | bool
"""As it stands in the sheet: "" is an empty cell."""

Cells = tuple[Cell, Cell, Cell, Cell, Cell]
"""In the order of COLUMNS."""

_BARE = re.compile(r"[^\s,;:<>@]+@[^\s,;:<>@]+\Z")

EMPTY: Cells = ("", "", "", "", "")
FRESH: Cells = ("", "", 0, True, "")
"""Of an address of which nothing counts."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row that is not blank. `number` is as a person counts: the first row is 1."""

    number: int
    key: str
    email: str
    cells: Cells


@dataclass(frozen=True, slots=True)
class Reading:
    """What a sheet held at one moment. `missing` names those of COLUMNS that it lacks."""

    rows: Sequence[Row]
    missing: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


class Written(Enum):
    """What came of a write; unless SETTLED, read the sheet again."""

    SETTLED = auto()
    UNTOUCHED = auto()
    """The sheet had changed since it was read, so nothing was written."""
    ASTRAY = auto()
    """Rows had moved since they were read, so cells stand in wrong rows now."""


class Sheet(Protocol):
    """Where the leads and their five columns stand. Raises SinkError and nothing else."""

    @property
    def name(self) -> str:
        """What people call it, for messages."""

    def read(self) -> Reading: ...

    def write(self, changes: Mapping[int, Cells]) -> Written:
        """Write the cells of these rows of the last reading, and add what columns are missing."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Which column (from 0) holds what; None is a column that the sheet lacks."""

    key: int | None
    email: int
    cells: tuple[int | None, ...]

    @property
    def missing(self) -> tuple[str, ...]:
        return tuple(name for name, at in zip(COLUMNS, self.cells, strict=True) if at is None)


def locate(header: Sequence[str], config: SheetConfig, where: str) -> Layout:
    """Find our columns. Raises PermanentSinkError when one stands twice or EMAIL nowhere."""
    email = _find(header, config.email_column, where)
    if email is None:
        shown = ", ".join(name.strip()[:40] for name in header[:40] if name.strip()) or "nothing"
        raise PermanentSinkError(
            f"{where}: no column is called {config.email_column!r}; its header has: {shown}. "
            "Name the e-mail column in [sheet] email_column."
        )
    return Layout(
        key=_find(header, config.key_column, where),
        email=email,
        cells=tuple(_find(header, name, where) for name in COLUMNS),
    )


def notes(layout: Layout, config: SheetConfig) -> list[str]:
    """Say what a layout lacks that we can do without."""
    if layout.key is not None:
        return []
    lacks = f"no column is called {config.key_column!r}, so leads go by their e-mail"
    return [f"{lacks}; [sheet] key_column names it"]


def cells_of(contact: Contact, zone: tzinfo) -> Cells:
    """Give the cells of an address, in ASCII: a Latin-1 file could hold no more for certain."""
    made = columns(contact, zone, EVIDENCE_LIMIT)
    evidence = made.evidence.encode("ascii", "replace").decode("ascii")
    return made.date, made.type, made.count, made.valid, evidence


def same(one: Cell, other: Cell) -> bool:
    """Compare two cells with their types: True is not 1."""
    return type(one) is type(other) and one == other


def lead_address(cell: str) -> str | None:
    """Give the normalised address of an EMAIL cell; None unless it holds exactly one."""
    text = cell.strip()
    if _BARE.match(text):
        return normalise(text)
    text = re.sub(r"(?i)^mailto:", "", text)
    if named := re.fullmatch(r"[^<>]*<([^<>]+)>", text):
        text = named[1].strip()
    if re.search(r"[\s,;<>]", text) or text.count("@") != 1:
        return None
    return normalise(text)


def _find(header: Sequence[str], wanted: str, where: str) -> int | None:
    """Find a header: spelt exactly, else in any case and spacing."""
    for spelling in (str.strip, _loosely):
        found = [at for at, name in enumerate(header) if spelling(name) == spelling(wanted)]
        if len(found) > 1:
            places = " and ".join(str(at + 1) for at in found[:5])
            raise PermanentSinkError(
                f"{where}: {wanted!r} heads several columns ({places}), so we cannot tell which "
                "is meant. Rename all but one."
            )
        if found:
            return found[0]
    return None


def _loosely(name: str) -> str:
    return " ".join(name.split()).casefold()
