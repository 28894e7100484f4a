"""Copies of a ledger: made while it is in use, checked, and put back.

A copy is made by `VACUUM INTO`: it is one read transaction, as the backup API is when it takes all
pages at once (with fewer at a time it begins anew at each write, so it never ends), it took as long
(0.4 to 1.8 s for 250 to 640 MB beside a writer of 10,000 rows a second), and the copy has no free
pages: what was deleted is not in it. A damaged ledger gives an error, not a damaged copy.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from bouncesink.errors import InputError, LedgerBusy, LedgerError, LedgerFull
from bouncesink.ledger import schema
from bouncesink.ledger.connection import translate

_SIDES = ("", "-wal", "-shm", "-journal")
_BESIDE = ("-wal", "-shm", "-journal", ".key", ".lock")
_MAGIC = b"SQLite format 3\0"
"""How a database begins (https://sqlite.org/fileformat.html)."""


@dataclass(frozen=True, slots=True)
class Copied:
    """What a copy holds."""

    octets: int
    arrivals: int
    events: int
    contacts: int


def back_up(ledger: Path, to: Path, *, replace: bool = False) -> Copied:
    """Write a checked copy, complete or not at all, while others go on. Raises BouncesinkError."""
    if not ledger.is_file():
        raise LedgerError(f"{ledger}: there is no such ledger")
    _refuse(to, ledger, replace=replace)
    with _part(to) as part:
        with _translated(ledger), closing(_open(ledger)) as source:
            schema_known(source, ledger)
            source.execute("VACUUM INTO ?", (str(part),))
        _use_wal(part)
        copied = check(part)
        _sync(part)
        _refuse(to, ledger, replace=replace)
        part.rename(to)
    _sync(to.absolute().parent)
    return copied


def put_back(copy: Path, ledger: Path, at: str, *, replace: bool = False) -> Path | None:
    """Make a copy the ledger; give where the one that was there is now. Raises BouncesinkError.

    The caller sees that nobody else has the ledger open, and has checked the copy. `at` tells the
    time in the name of what is set aside.
    """
    there = any(Path(f"{ledger}{side}").exists() for side in _SIDES)
    if there and not replace:
        raise InputError(f"{ledger}: is there already; --replace sets it aside under another name")
    with _part(ledger) as part:
        with _translated(copy), closing(_open_copy(copy)) as source:
            source.execute("VACUUM INTO ?", (str(part),))
        _use_wal(part)
        check(part)
        _sync(part)
        _belong(part, ledger if ledger.exists() else ledger.absolute().parent)
        aside = _set_aside(ledger, at) if there else None
        part.rename(ledger)
    _sync(ledger.absolute().parent)
    return aside


def check(path: Path) -> Copied:
    """See that a file is a whole ledger. Raises LedgerError."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise LedgerError(f"{path}: is a device or a pipe; give the path of a file")
    with _translated(path), closing(_open_copy(path)) as found:
        schema_known(found, path)
        said = found.execute("PRAGMA integrity_check(5)").fetchall()
        if said != [("ok",)]:
            words = "; ".join(str(line) for (line,) in said)[:500]
            raise LedgerError(f"{path}: is damaged, so it is no backup to rely on: {words}")
        if strays := found.execute("PRAGMA foreign_key_check").fetchmany(1):
            raise LedgerError(f"{path}: is damaged: a row of {strays[0][0]} refers to nothing")
        counts = [
            found.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 - ours
            for table in ("arrivals", "events", "contacts")
        ]
    return Copied(path.stat().st_size, *counts)


def schema_known(connection: sqlite3.Connection, path: Path) -> None:
    """See that a database is a ledger that we can bring up to date. Raises LedgerError."""
    had = schema.applied(connection)
    if had is None:
        raise LedgerError(f"{path}: is a SQLite database, but not a ledger of bouncesink")
    if unknown := set(had) - set(schema.MIGRATIONS):
        raise LedgerError(
            f"{path}: was written by a newer version of bouncesink "
            f"({', '.join(sorted(unknown))}); install that version to use it"
        )


def _refuse(to: Path, ledger: Path, *, replace: bool) -> None:
    if to.is_dir():
        raise InputError(f"{to}: is a folder; give the path of a file in it")
    if not to.absolute().parent.is_dir():
        raise InputError(f"{to}: there is no folder {to.absolute().parent}; create it first")
    if to.exists() and ledger.exists() and to.samefile(ledger):
        raise InputError(f"{to}: is the ledger itself; a backup goes to another file")
    real = os.path.realpath(ledger)
    if os.path.realpath(to) in {f"{real}{side}" for side in _BESIDE}:
        raise InputError(f"{to}: belongs to the ledger; a backup goes to another file")
    if to.exists() and not to.is_file():
        raise InputError(f"{to}: is a device or a pipe; give the path of a file")
    if to.exists() and not replace:
        raise InputError(f"{to}: is there already; --replace writes a new one in its place")
    if to.exists() and not _may_be_backup(to):
        raise InputError(f"{to}: is there already and no backup; give the path of another file")


def _may_be_backup(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) in (_MAGIC, b"")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None


@contextmanager
def _part(of: Path) -> Iterator[Path]:
    """Give an empty file beside `of`; whatever happens, it is gone afterwards, or renamed.

    Its name is always the same, so that what a killed process left is written over by the next.
    """
    part = of.with_name(f"{of.name}.part")
    try:
        file = part.open("ab")
    except OSError as error:
        raise LedgerError(f"{part}: cannot be written: {error.strerror}") from None
    with file:
        part.chmod(0o600)  # it is about people
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LedgerBusy(f"{part}: another process is writing it; wait for that one") from None
        file.truncate(0)
        try:
            yield part
        finally:
            for side in _SIDES:
                Path(f"{part}{side}").unlink(missing_ok=True)


def _belong(part: Path, like: Path) -> None:
    """Give a file the owner of another, and its mode: root restores what a service uses."""
    found = like.stat()
    with suppress(PermissionError):
        os.chown(part, found.st_uid, found.st_gid)
    if like.is_file():
        part.chmod(found.st_mode & 0o666)


def _set_aside(ledger: Path, at: str) -> Path:
    """Rename a ledger with what belongs to it; the file first, so that no WAL is ever orphaned."""
    aside = ledger.with_name(f"{ledger.name}.before-{at}")
    number = 1
    while any(Path(f"{aside}{side}").exists() for side in _SIDES):
        number += 1
        aside = ledger.with_name(f"{ledger.name}.before-{at}-{number}")
    for side in _SIDES:
        with suppress(FileNotFoundError):
            Path(f"{ledger}{side}").rename(f"{aside}{side}")
    return aside


def _open(path: Path, mode: str = "ro") -> sqlite3.Connection:
    uri = f"file:{quote(str(path.absolute()))}?mode={mode}"
    return sqlite3.connect(uri, uri=True, timeout=10.0, isolation_level=None)


def _open_copy(path: Path) -> sqlite3.Connection:
    """Open a file that nobody writes: without a log beside it none is made, and nothing else."""
    still = "ro&immutable=1" if not Path(f"{path}-wal").exists() else "ro"
    return _open(path, still)


def _use_wal(path: Path) -> None:
    with _translated(path), closing(_open(path, "rw")) as made:
        made.execute("PRAGMA journal_mode = WAL")


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise translate(error, path) from error
    except OSError as error:
        raise LedgerError(f"{error.filename or path}: {error.strerror}") from error


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        raise LedgerFull(f"{path}: cannot be written to the disk: {error.strerror}") from None
    finally:
        os.close(descriptor)
