"""Lead Details as a local CSV file, the embedded default.

Only our cells change; the rest of the file stays byte for byte what it was. The file is replaced
in one step, and not at all when somebody saved it since we read it.
"""

import contextlib
import errno
import glob
import os
import re
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from bouncesink.config import SheetConfig
from bouncesink.errors import PermanentSinkError, SinkError, TemporarySinkError
from bouncesink.outbox.csvtable import Table, read_table, unquote
from bouncesink.outbox.lead_details import (
    COLUMNS,
    Cell,
    Cells,
    Layout,
    Reading,
    Row,
    Sheet,
    Written,
    locate,
    notes,
    same,
)

MAX_SIZE = 1_000_000_000
"""Octets of a file that we are ready to hold in memory."""

_TEMPORARY = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.EBUSY, errno.EAGAIN}
_NAMED = 5
_ABANDONED = 3600
"""Seconds after which nobody is still writing a temporary file."""

_Version = tuple[int, int, int, int]
"""Device, inode, size and time of change: another version of the file differs in one of them."""


@dataclass(frozen=True, slots=True)
class _Held:
    """The file as it was read. `rows` are by number; `width` is that of the header."""

    path: Path
    version: _Version
    table: Table
    layout: Layout
    width: int
    rows: Mapping[int, Row]


class CsvSheet(Sheet):
    """See `Sheet`. The file is followed through symbolic links, and keeps its mode and owner."""

    def __init__(self, config: SheetConfig) -> None:
        self._config = config
        self._held: _Held | None = None

    @property
    def name(self) -> str:
        return str(self._config.path)

    def read(self) -> Reading:
        with self._translated():
            path = self._config.path.resolve()
            version, data = _read(path, self.name)
        table = read_table(data, self._config.email_column, self.name)
        header = [unquote(field) for field in table.fields(table.header)]
        layout = locate(header, self._config, self.name)
        rows: dict[int, Row] = {}
        long: list[int] = []
        for record in range(table.header + 1, len(table.records)):
            fields = table.fields(record)
            if any(field.strip(' "') for field in fields[len(header) :]):
                long.append(record + 1)
            elif any(field.strip(' "\t') for field in fields):
                rows[record + 1] = _row(record + 1, fields, layout)
        self._held = _Held(path, version, table, layout, len(header), rows)
        return Reading(
            list(rows.values()), layout.missing, (*notes(layout, self._config), *_too_long(long))
        )

    def write(self, changes: Mapping[int, Cells]) -> Written:
        held = self._held
        assert held is not None, "read before you write"
        data = held.table.encode(_with_changes(held, changes))
        with self._translated():
            written = _replace(held.path, data, held.version)
        return Written.SETTLED if written else Written.UNTOUCHED

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise PermanentSinkError(
                f"{self.name}: no such file. Put the leads there, as CSV with a header row, or "
                "name another in [sheet] path."
            ) from None
        except (OSError, RuntimeError) as error:  # RuntimeError: symbolic links in a circle
            number = getattr(error, "errno", None)
            kind: type[SinkError] = (
                TemporarySinkError if number in _TEMPORARY else PermanentSinkError
            )
            raise kind(f"{self.name}: {getattr(error, 'strerror', None) or error}") from None


def _too_long(rows: list[int]) -> Iterator[str]:
    if rows:
        named = ", ".join(map(str, rows[:_NAMED])) + (", ..." if len(rows) > _NAMED else "")
        yield (
            f"{len(rows):,} rows have more fields than the header, as from a delimiter without "
            f"quotes, and are left alone: {named}"
        )


def _row(number: int, fields: list[str], layout: Layout) -> Row:
    def text(at: int | None) -> str:
        return unquote(fields[at]) if at is not None and at < len(fields) else ""

    cells = tuple(_cell(name, text(at)) for name, at in zip(COLUMNS, layout.cells, strict=True))
    return Row(number, text(layout.key).strip(), text(layout.email), cast("Cells", cells))


def _cell(column: str, text: str) -> Cell:
    if column == "BOUNCE COUNT" and re.fullmatch(r"0|[1-9][0-9]{0,17}", text):
        return int(text)
    if column == "EMAIL VALID" and text in ("TRUE", "FALSE"):
        return text == "TRUE"
    return text


def _text(cell: Cell) -> str:
    return ("TRUE" if cell else "FALSE") if isinstance(cell, bool) else str(cell)


def _with_changes(held: _Held, changes: Mapping[int, Cells]) -> list[str]:
    """Give the records of the file with these cells, and with the columns that it lacked."""
    table, layout = held.table, held.layout
    records = list(table.records)
    names = table.fields(table.header)
    quoted = all(name.startswith('"') for name in names)
    places = list(layout.cells)
    for at, name in enumerate(COLUMNS):
        if places[at] is None:
            places[at] = len(names)
            names.append(table.quote(name, always=quoted))
    records[table.header] = table.join(names, table.header)
    for number, row in held.rows.items():
        if number not in changes and not layout.missing:
            continue
        fields = table.fields(number - 1)
        if number not in changes and len(fields) < held.width:
            continue  # a short row stays one
        fields = fields[: held.width] if layout.missing else fields
        fields += [""] * (len(names) - len(fields))
        wanted = changes.get(number, row.cells)
        for place, before, after in zip(places, row.cells, wanted, strict=True):
            if place is not None and not same(before, after):
                always = quoted or fields[place].startswith('"')
                fields[place] = table.quote(_text(after), always=always)
        records[number - 1] = table.join(fields, number - 1)
    return records


def _version_of(status: os.stat_result) -> _Version:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _read(path: Path, name: str) -> tuple[_Version, bytes]:
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise PermanentSinkError(f"{name}: is not a file.")
        if status.st_size > MAX_SIZE:
            raise PermanentSinkError(f"{name}: is larger than {MAX_SIZE // 1_000_000:,} MB.")
        data = file.read()
        if len(data) != status.st_size or _version_of(os.fstat(file.fileno())) != _version_of(
            status
        ):
            raise TemporarySinkError(f"{name}: is being written by someone just now.")
        return _version_of(status), data


def _sweep(path: Path) -> None:
    """Remove what a process that was killed while it wrote has left behind."""
    for old in path.parent.glob(f".{glob.escape(path.name)}.*.new"):
        with contextlib.suppress(OSError):
            if time.time() - old.stat().st_mtime > _ABANDONED:
                old.unlink()


def _replace(path: Path, data: bytes, version: _Version) -> bool:
    """Put the data in the file's place in one step; False if the file is not that version."""
    _sweep(path)
    status = path.stat()
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".new")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), stat.S_IMODE(status.st_mode))
            with contextlib.suppress(PermissionError):  # only root may give a file away
                os.fchown(file.fileno(), status.st_uid, status.st_gid)
            os.fsync(file.fileno())
        if _version_of(path.stat()) != version:
            return False
        Path(temporary).replace(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            Path(temporary).unlink()
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return True
