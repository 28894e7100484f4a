"""Mail from files: single mails, folders, globs, mbox files and standard input."""

import glob
import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from bouncesink.errors import InputError
from bouncesink.identity import arrival_id
from bouncesink.model import Arrival

_HEADER = re.compile(
    rb"^(?:return-path|received|delivered-to|from|to|cc|subject|date|message-id|mime-version"
    rb"|content-[a-z-]+|auto-submitted|reply-to|sender|x-[a-z0-9-]+)[ \t]*:",
    re.IGNORECASE | re.MULTILINE,
)
_FROM_LINE = re.compile(rb"From \S+ .*\d\d:\d\d")
"""With a time in it: a sentence that begins with "From" seldom has one."""

_HEAD = 65_536
"""How far into a file a header must come for it to be taken as a mail, in octets."""


@dataclass(frozen=True, slots=True)
class Found:
    """One mail in a file, or what is wrong with it."""

    file: str
    raw: bytes = b""
    problem: str = ""


def find(paths: Iterable[str], max_size: int) -> Iterator[Found]:
    """Give each mail in these paths: files, mbox files, folders, globs, and "-" for stdin.

    What cannot be taken (not a mail, empty, over `max_size` octets, unreadable) is given with its
    problem. Raises InputError for a path that does not exist or a folder without files.
    """
    for path in paths:
        if path == "-":
            yield from _mails("-", sys.stdin.buffer, max_size)
        else:
            for file in _expand(path):
                yield from _open(file, max_size)


def total_size(paths: Iterable[str]) -> int:
    """Give the size in octets of all that `find` would read; standard input counts as nothing."""
    files = (file for path in paths if path != "-" for file in _expand(path))
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


def _expand(path: str) -> Iterator[str]:
    where = Path(path)
    if where.is_dir():
        if not os.access(path, os.R_OK | os.X_OK):  # rglob passes over it in silence
            raise InputError(f"{path}: this folder may not be read")
        files = sorted(str(file) for file in where.rglob("*") if file.is_file())
        if not files:
            raise InputError(f"{path}: there is no file in this folder")
        yield from files
    elif where.exists():
        yield path
    elif matches := sorted(glob.glob(path, recursive=True)):  # noqa: PTH207 - also absolute ones
        for match in matches:
            yield from _expand(match)
    else:
        raise InputError(f"{path}: no such file or folder")


def _open(file: str, max_size: int) -> Iterator[Found]:
    try:
        with Path(file).open("rb") as stream:
            yield from _mails(file, stream, max_size)
    except OSError as error:
        yield Found(file, problem=f"cannot be read: {error.strerror}")


def _mails(file: str, stream: BinaryIO, max_size: int) -> Iterator[Found]:
    first = stream.readline(_HEAD)
    if first.startswith(b"From "):
        mails = _mbox(stream, max_size)
        only, more = next(mails), next(mails, None)
        if more is None:
            yield _judge(file, only)  # one mail as a delivery agent saved it
            return
        for number, mail in enumerate(chain((only, more), mails), 1):
            yield _judge(f"{file}:{number}", mail)
        return
    raw = first + stream.read(max_size + 1 - len(first))
    if len(raw) > max_size:
        yield Found(file, problem=_too_big(max_size))
    else:
        yield _judge(file, raw)


def _mbox(stream: BinaryIO, max_size: int) -> Iterator[bytes | str]:
    """Split an mbox at its `From ` lines (RFC 4155), undoing `>From ` quoting."""
    lines: list[bytes] = []
    size, blank = 0, False
    while line := stream.readline(_HEAD):
        if blank and _FROM_LINE.match(line):
            yield b"".join(lines) if size <= max_size else _too_big(max_size)
            lines, size = [], 0
        else:
            size += len(line)
            if size <= max_size:
                lines.append(line[1:] if re.match(rb">+From ", line) else line)
        blank = line in (b"\n", b"\r\n")
    yield b"".join(lines) if size <= max_size else _too_big(max_size)


def _judge(file: str, raw: bytes | str) -> Found:
    """Take a mail's bytes for a mail, or not; a text is what is wrong with it already."""
    if isinstance(raw, str):
        return Found(file, problem=raw)
    if not raw.strip():
        return Found(file, problem="is empty")
    if not _HEADER.search(raw[:_HEAD].replace(b"\r", b"\n")):
        return Found(file, problem="is not a mail: no header field near its start")
    return Found(file, raw)


def _too_big(max_size: int) -> str:
    return f"is over the size limit of {max_size:,} octets (lmtp.max_message_size)"
