"""Mail from files: single mails, folders, globs, mboxes, archives and standard input."""

import glob
import io
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from bouncesink.errors import InputError
from bouncesink.identity import arrival_id
from bouncesink.intake.archive import Archive, Wanted, is_archive
from bouncesink.intake.found import HEAD, Found, PassedOver, is_ordinary, problem_of, too_big
from bouncesink.intake.mbox import without_from_line
from bouncesink.intake.packed import HEAD as MAGIC
from bouncesink.model import Arrival

_BUFFER = 1 << 16
_MAILDIR = ("cur", "new")


def find(paths: Iterable[str], wanted: Wanted) -> Iterator[Found]:
    """Give each mail in these paths: files, mboxes, archives, folders, globs, and "-" for stdin.

    What cannot be taken (not a mail, empty, too big, unreadable) is given with its problem. What is
    one of many, in a Maildir, an mbox or an archive, may be passed over; what is named is meant.
    Raises InputError for a path that does not exist or a folder without files.
    """
    for path in paths:
        if path == "-":
            stdin = io.BufferedReader(cast("Any", sys.stdin.buffer), _BUFFER)
            try:
                yield from _mails("-", stdin, None, wanted)
            finally:
                stdin.detach()
        else:
            for file, one_of_many in _expand(path):
                yield from _open(file, wanted, one_of_many=one_of_many)


def total_size(paths: Iterable[str]) -> int:
    """Give the size in octets of all that `find` would read; standard input counts as nothing."""
    files = (file for path in paths if path != "-" for file, _ in _expand(path))
    return sum(Path(file).stat().st_size for file in files if Path(file).is_file())


def to_arrival(found: Found, received_at: datetime, source: str = "replay") -> Arrival:
    """Make an arrival of a mail from a file, which has no envelope."""
    return Arrival(
        id=arrival_id(found.raw, ""),
        source=source,
        envelope_from="",
        envelope_to="",
        received_at=received_at,
        raw=found.raw,
    )


def _expand(path: str) -> Iterator[tuple[str, bool]]:
    """Give the files of a path, and of each whether it is one of the many of a Maildir."""
    where = Path(path)
    if where.is_dir():
        if not os.access(path, os.R_OK | os.X_OK):  # os.walk passes over it in silence
            raise InputError(f"{path}: this folder may not be read")
        empty = True
        for file in _files_in(path):
            empty = False
            yield file
        if empty:
            raise InputError(f"{path}: there is no file in this folder")
    elif where.exists():
        yield path, False
    elif matches := sorted(glob.glob(path, recursive=True)):  # noqa: PTH207 - also absolute ones
        for match in matches:
            yield from _expand(match)
    else:
        raise InputError(f"{path}: no such file or folder")


def _files_in(path: str) -> Iterator[tuple[str, bool]]:
    """Walk a folder in order; in each folder of a Maildir, new/ and cur/ hold the mails."""
    for where, folders, files in os.walk(path):
        in_maildir = Path(where).name in _MAILDIR and _is_maildir(Path(where).parent)
        if not in_maildir and _is_maildir(Path(where)):
            folders[:] = [name for name in folders if name != "tmp"]
            files.clear()  # lists and marks of the server's own
        folders.sort()
        for name in sorted(files):
            file = os.path.join(where, name)  # noqa: PTH118 - there may be a million of them
            if os.path.isfile(file):  # noqa: PTH113 - as above
                yield file, in_maildir


def _is_maildir(folder: Path) -> bool:
    return all((folder / name).is_dir() for name in _MAILDIR)


def _open(file: str, wanted: Wanted, *, one_of_many: bool) -> Iterator[Found]:
    try:
        with Path(file).open("rb") as stream:
            status = os.fstat(stream.fileno())
            size = status.st_size if stat.S_ISREG(status.st_mode) else None
            yield from _mails(file, stream, size, wanted, one_of_many=one_of_many)
    except OSError as error:
        yield Found(file, problem=f"cannot be read: {error.strerror or error}")


def _mails(
    file: str,
    stream: io.BufferedReader,
    size: int | None,
    wanted: Wanted,
    *,
    one_of_many: bool = False,
) -> Iterator[Found]:
    if not one_of_many and is_archive(file, stream.peek(MAGIC)):
        yield from Archive(file, stream, size, wanted).mails()
        return
    raw = stream.read(HEAD)
    read = size or 0
    if one_of_many and not wanted.everything:
        if problem_of(raw):
            yield Found(file, passed_over=PassedOver.NO_MAIL, read=read)
            return
        if is_ordinary(raw):
            yield Found(file, passed_over=PassedOver.ORDINARY, read=read)
            return
    raw += stream.read(max(0, wanted.max_size + 1 - len(raw)))
    problem = too_big(wanted.max_size) if len(raw) > wanted.max_size else problem_of(raw)
    yield Found(file, b"" if problem else without_from_line(raw), problem, read=read)
