"""The suppression list as a file for other programs: CSV, or a JSON object a line."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from bouncesink.errors import PermanentSinkError
from bouncesink.ledger import Ledger
from bouncesink.model import Contact, Reason
from bouncesink.outbox.export import csv_line
from bouncesink.shape import contact_as_json, time_as_json

COLUMNS = ("address", "reasons", "bounce_type", "bounce_count", "last_bounce_at", "hard_since")
"""Of the CSV: an interface."""

_BATCH = 500
_PIECE = 1 << 16


def suppressed(ledger: Ledger, reason: Reason | None = None) -> Iterator[Contact]:
    """Give who must not be mailed, by address; if a reason is given, only for it."""
    for contacts in ledger.suppressed_contacts(_BATCH):
        yield from (c for c in contacts if reason is None or reason in c.suppressed)


def as_csv(contacts: Iterator[Contact]) -> Iterator[str]:
    """Give lines, the header first; what would be a formula in a spreadsheet is defused."""
    yield _line(COLUMNS)
    for contact in contacts:
        yield _line(
            [
                contact.address,
                " ".join(sorted(contact.suppressed)),
                contact.bounce_type or "",
                str(contact.bounce_count),
                time_as_json(contact.last_bounce_at) or "",
                time_as_json(contact.hard_since) or "",
            ]
        )


def _line(fields: Sequence[str]) -> str:
    """Spell a row with a plain line end: it is for programs."""
    return csv_line(fields).removesuffix("\r\n") + "\n"


def as_json(contacts: Iterator[Contact]) -> Iterator[str]:
    for contact in contacts:
        yield json.dumps(contact_as_json(contact)) + "\n"


def write(ledger: Ledger, path: Path, beat: Callable[[], None] = lambda: None) -> bool:
    """Bring a file up to date, whole or not at all; say whether it had to be.

    JSON where its name ends in .json or .jsonl. Raises PermanentSinkError where it cannot be
    written, and LedgerError.
    """
    shape = as_json if path.suffix in {".json", ".jsonl"} else as_csv
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        try:
            with part.open("w", encoding="utf-8", newline="") as file:
                for line in shape(suppressed(ledger)):
                    file.write(line)
                    beat()
                file.flush()
                os.fsync(file.fileno())
            if _same(part, path):
                return False
            part.replace(path)
            return True
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise PermanentSinkError(
            f"{path}: the suppression list cannot be written: {error.strerror}"
        ) from None


def _same(one: Path, other: Path) -> bool:
    with suppress(FileNotFoundError):
        if one.stat().st_size != other.stat().st_size:
            return False
        with one.open("rb") as a, other.open("rb") as b:
            return all(x == b.read(_PIECE) for x in iter(lambda: a.read(_PIECE), b""))
    return False
