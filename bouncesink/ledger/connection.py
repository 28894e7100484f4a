"""One SQLite connection: how it is opened, how its transactions go, and what its errors mean."""

import contextlib
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bouncesink.errors import LedgerBusy, LedgerError, LedgerFull, LedgerTooNew
from bouncesink.ledger import schema

_PRAGMAS = (
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    # So that an INSERT OR REPLACE would fire the counters' triggers, too.
    "PRAGMA recursive_triggers = ON",
    "PRAGMA cache_size = -16000",  # KiB
    "PRAGMA wal_autocheckpoint = 2000",  # pages, of 4 KiB
    "PRAGMA journal_size_limit = 16777216",  # octets
    # What is deleted is about people: it must not stay in the file, where no question finds it.
    "PRAGMA secure_delete = ON",
)

_READ_ONLY = (
    "cannot be written; check who owns the file and its folder, and whether the disk is read-only"
)

_DAMAGED = (
    "is damaged; `bouncesink verify` says where. Restore it with `bouncesink restore BACKUP "
    "--replace`, or save what can be read with `sqlite3 FILE .recover`"
)

Parameters = Sequence[Any] | Mapping[str, Any]
"""Of a statement: by position, or by name."""

# Threads of one process take turns here. Left to SQLite they would poll, up to 100 ms apart, and
# the one that writes all the time would starve the other.
_turns: weakref.WeakValueDictionary[str, threading.Lock] = weakref.WeakValueDictionary()
_turns_guard = threading.Lock()


class Connection:
    """Statements raise LedgerError. After one the transaction is rolled back, never half done."""

    def __init__(self, path: Path, *, read_only: bool, busy_timeout: float) -> None:
        self._path = path
        self._read_only = read_only
        self._timeout = busy_timeout
        self._immutable = False
        self._in_transaction = False
        self._failed = False
        real = os.path.realpath(path)
        self._wal = f"{real}-wal"
        with _turns_guard:
            self._turn = _turns.setdefault(real, threading.Lock())
        self._sqlite = self._open()
        try:
            with self._translated():
                self._prepare()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._sqlite.close()

    def all(self, sql: str, parameters: Parameters = ()) -> list[tuple[Any, ...]]:
        return list(self.each(sql, parameters))

    def each(self, sql: str, parameters: Parameters = ()) -> Generator[tuple[Any, ...]]:
        """Give rows one by one. Take them at once, or close: meanwhile the WAL cannot shrink."""
        if self._immutable and self._has_wal():
            stale, self._sqlite = self._sqlite, self._open()
            stale.close()
        with self._translated():
            cursor = self._sqlite.execute(sql, parameters)
            try:
                yield from cursor
            finally:
                cursor.close()

    def write(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run a statement for each row; only inside `transaction`."""
        with self._translated():
            self._sqlite.executemany(sql, rows)

    def empty_wal(self) -> bool:
        """Bring the WAL into the file and truncate it; whether nobody was reading meanwhile."""
        ((busy, _, _),) = self.all("PRAGMA wal_checkpoint(TRUNCATE)")
        return not busy

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Take the writer's lock, and commit at the end; inside another one, be part of that."""
        if self._in_transaction:
            try:
                self._check_whole()
                yield
            except BaseException:
                self._failed = True
                raise
            return
        if self._read_only:
            raise LedgerError(f"{self._path}: is open for reading only")
        if not self._turn.acquire(timeout=self._timeout):
            raise LedgerBusy(f"{self._path}: another thread holds the ledger; try again")
        try:
            yield from self._outermost()
        finally:
            self._turn.release()

    def _outermost(self) -> Iterator[None]:
        with self._translated():
            self._sqlite.execute("BEGIN IMMEDIATE")
        self._in_transaction, self._failed = True, False
        try:
            yield
            self._check_whole()
            with self._translated():
                self._sqlite.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._sqlite.rollback()
            raise
        finally:
            self._in_transaction = False

    def _check_whole(self) -> None:
        """Let nothing follow a failure: SQLite itself may have rolled back what came before it."""
        if self._failed or not self._sqlite.in_transaction:
            raise LedgerError(f"{self._path}: a part of this transaction failed; it is given up")

    def _open(self) -> sqlite3.Connection:
        writable = os.access(self._path, os.W_OK)
        if not self._read_only and not writable and os.access(self._path, os.F_OK):
            # SQLite would open it for reading, and say so only when something is to be kept.
            raise LedgerError(f"{self._path}: {_READ_ONLY}")
        mode = "ro" if self._read_only else "rwc"
        # Reading through a WAL needs its index beside it, so SQLite would make both files. Without
        # a WAL there is no writer: then the file by itself is all, and it does not change.
        self._immutable = self._read_only and not self._has_wal()
        uri = f"file:{quote(str(self._path.absolute()))}?mode={mode}"
        if self._immutable:
            uri += "&immutable=1"
        with self._translated():
            return sqlite3.connect(uri, uri=True, timeout=self._timeout, isolation_level=None)

    def _has_wal(self) -> bool:
        return os.path.exists(self._wal)  # noqa: PTH110 - before each read; Path is slow

    def _prepare(self) -> None:
        if sqlite3.sqlite_version_info < (3, 35):
            raise LedgerError(
                f"this Python brings SQLite {sqlite3.sqlite_version}, and 3.35 or newer is needed; "
                "use another Python, as from https://docs.astral.sh/uv/"
            )
        for pragma in _PRAGMAS:
            self._sqlite.execute(pragma)
        if self._up_to_date():
            return
        if self._read_only:
            raise LedgerError(
                f"{self._path}: was written by an older version of bouncesink; "
                "run `bouncesink serve` or `bouncesink replay` once to bring it up to date"
            )
        self._use_wal()
        with self.transaction():
            if not self._up_to_date():  # another process may have been quicker
                schema.migrate(self._sqlite)

    def _up_to_date(self) -> bool:
        had = schema.applied(self._sqlite)
        if had is None and (self._read_only or not schema.is_empty(self._sqlite)):
            raise LedgerError(
                f"{self._path}: is a SQLite database, but not a ledger of bouncesink; "
                "give the path of another file"
            )
        if unknown := set(had or ()) - set(schema.MIGRATIONS):
            raise LedgerTooNew(
                f"{self._path}: was written by a newer version of bouncesink "
                f"({', '.join(sorted(unknown))}); install that version to use it"
            )
        return had == schema.MIGRATIONS

    def _use_wal(self) -> None:
        """Turn on the WAL. SQLite does not wait for another process that does the same."""
        deadline = time.monotonic() + self._timeout
        while True:
            try:
                self._sqlite.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    raise
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.01)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise translate(error, self._path) from error


def translate(error: sqlite3.Error, path: Path) -> LedgerError:
    """Say what an error of SQLite means for whoever works with this ledger."""
    code = getattr(error, "sqlite_errorcode", 0)
    primary = code & 0xFF
    if primary == sqlite3.SQLITE_FULL or (primary == sqlite3.SQLITE_IOERR and _disk_is_full(path)):
        return LedgerFull(f"{path}: the disk is full; make room, nothing was written")
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return LedgerBusy(f"{path}: another process holds the ledger; try again when it is done")
    words = {
        sqlite3.SQLITE_NOTADB: "is not a bouncesink ledger (not a SQLite database); "
        "give the path of another file, or restore it if its beginning was lost",
        sqlite3.SQLITE_CORRUPT: _DAMAGED,
        sqlite3.SQLITE_READONLY: _READ_ONLY,
        sqlite3.SQLITE_PERM: "may not be opened; check who owns the file and its folder",
    }
    if primary == sqlite3.SQLITE_CANTOPEN or os.path.isdir(path):  # noqa: PTH112 - it never raises
        return LedgerError(f"{path}: {_why_not_open(path)}")
    if "decode to UTF-8" in str(error):  # by sqlite3 itself, which has no code for it
        return LedgerError(f"{path}: {_DAMAGED}")
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    return LedgerError(f"{path}: {words.get(primary, f'SQLite says: {error} ({name})')}")


def _disk_is_full(path: Path) -> bool:
    try:
        found = os.statvfs(path.absolute().parent)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize < 1 << 20


def _why_not_open(path: Path) -> str:
    folder = path.absolute().parent
    try:
        if path.is_dir():
            return "is a folder; give the path of a file"
        if path.exists():
            return "cannot be opened; check who owns the file and its folder"
    except OSError as error:
        return f"cannot be opened: {error.strerror}; check the path, and who owns its folders"
    if not folder.is_dir():
        return f"there is no folder {folder}; create it first"
    if os.access(folder, os.W_OK):
        return "there is no such ledger yet; `bouncesink serve` or `bouncesink replay` makes it"
    return f"cannot be created: the folder {folder} may not be written"
