"""One service for a ledger: a second one, started by mistake, is told so."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bouncesink.errors import LedgerBusy, LedgerError


@contextmanager
def claim(ledger: Path) -> Iterator[None]:
    """Be the one service of this ledger; commands may work beside it.

    The lock (flock(2)) is on a file of its own: closing the ledger's would end SQLite's locks. It
    goes with the process, however that ends; the file stays, and means nothing by itself.

    Raises LedgerBusy, or LedgerError.
    """
    path = Path(f"{os.path.realpath(ledger)}.lock")
    try:
        file = path.open("a+", encoding="ascii", errors="replace")
    except OSError as error:
        raise LedgerError(
            f"{path}: cannot be opened: {error.strerror}; check that its folder is there, and who "
            "owns them"
        ) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LedgerBusy(
                f"{ledger}: another bouncesink serves this ledger{_holder(file.fileno())}."
                " Stop that one, or give this one a ledger of its own in [ledger] path"
            ) from None
        with suppress(OSError):  # a full disk keeps us from nothing here
            file.truncate(0)
            os.write(file.fileno(), str(os.getpid()).encode())  # close() would try a buffer again
        yield


def _holder(descriptor: int) -> str:
    pid = os.pread(descriptor, 20, 0).decode("ascii", "replace")
    return f" already, as process {pid}" if pid.isdecimal() else " already"
