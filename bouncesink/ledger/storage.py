"""How large the ledger's files are, and what their disk has left. All in octets."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Storage:
    """`free` and `disk` are 0 where they cannot be known."""

    ledger: int
    wal: int
    free: int
    disk: int


def measure(ledger: Path) -> Storage:
    real = Path(os.path.realpath(ledger))
    free = disk = 0
    with suppress(OSError):
        found = os.statvfs(real.parent)
        free, disk = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
    return Storage(_size(real), _size(real.with_name(f"{real.name}-wal")), free, disk)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
