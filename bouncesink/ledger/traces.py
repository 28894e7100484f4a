"""Whether a file has a text in it anywhere, in pages that no question reads as well.

`python -m bouncesink.ledger.traces FILE TEXT...` exits with 1 if so. It is a process of its own, as
one that closes a file loses all locks that it has on it (POSIX), and SQLite's are on this one.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bouncesink.errors import LedgerError

_CHUNK = 1 << 22
_FOUND = 1


def has_traces(path: Path, texts: Sequence[str]) -> bool:
    """Look for texts in lower case; ASCII in any case is found. Raises LedgerError."""
    command = [sys.executable, "-m", __name__, str(path), *texts]
    done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603 - ourselves
    if done.returncode not in (0, _FOUND):
        raise LedgerError(f"{path}: cannot be looked through for traces")
    return done.returncode == _FOUND


def _search(path: Path, texts: Sequence[str]) -> bool:
    wanted = [text.encode("utf-8", "surrogateescape") for text in texts]
    overlap = max(map(len, wanted))
    last = b""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            text = last + chunk.lower()
            if any(each in text for each in wanted):
                return True
            last = text[-overlap:]
    return False


if __name__ == "__main__":
    sys.exit(_FOUND if _search(Path(sys.argv[1]), sys.argv[2:]) else 0)
