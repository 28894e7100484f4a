"""What is packed: gzip, zip and tar, opened one entry after the other and never unpacked to a disk.

Everything about them is hostile: names (only ever shown), sizes (what comes out is counted, never
believed), links and devices (passed over), damage (one kind of error). Archives inside archives
stay closed.
"""

import gzip
import io
import math
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Self, cast

from bouncesink.errors import InputError

HEAD = 512
"""Octets that `form_of` looks at."""

_FREE = 1 << 30
_RATIO = 250
"""How much more may come out than went in, once `_FREE` octets did; text packs 3 to 20 fold."""
_BUFFER = 1 << 16
_NAME = 300
_ENCRYPTED = 1
_DIRECTORY = 1 << 27
"""Octets of a zip file's directory: of a million files, more or less."""
_DIRECTORY_END = (1 << 16) + 1024
_SEE_ZIP64 = (1 << 32) - 1
_TAR_FIELD = 1 << 20
_TAR_FIELDS = frozenset(
    {
        tarfile.GNUTYPE_LONGNAME,
        tarfile.GNUTYPE_LONGLINK,
        tarfile.XHDTYPE,
        tarfile.XGLTYPE,
        tarfile.SOLARIS_XHDTYPE,
    }
)


class Unreadable(InputError):
    """Why a file cannot be read on; what came before it is good."""


class Form(Enum):
    """How a file is packed."""

    PLAIN = auto()
    GZIP = auto()
    ZIP = auto()
    TAR = auto()
    OTHER = auto()


_MAGIC = (
    (b"\x1f\x8b", Form.GZIP),
    (b"PK\x03\x04", Form.ZIP),
    (b"PK\x05\x06", Form.ZIP),
    (b"BZh", Form.OTHER),
    (b"\xfd7zXZ\x00", Form.OTHER),
    (b"\x28\xb5\x2f\xfd", Form.OTHER),
    (b"7z\xbc\xaf\x27\x1c", Form.OTHER),
    (b"Rar!\x1a\x07", Form.OTHER),
)


def form_of(head: bytes) -> Form:
    """Tell how a file is packed by its first octets, whatever it is called."""
    form = next((form for magic, form in _MAGIC if head.startswith(magic)), Form.PLAIN)
    return Form.TAR if head[257:262] == b"ustar" else form


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of an archive: its place, its name, and its content or why there is none."""

    index: int
    name: str
    stream: io.BufferedReader | None = None
    problem: str = ""


class _Budget:
    """How much may come out of a file of `size` octets, in all; any amount of a pipe (None)."""

    def __init__(self, size: int | None) -> None:
        self._left: float = math.inf if size is None else max(_FREE, size * _RATIO)

    def spend(self, octets: int) -> None:
        self._left -= octets
        if self._left < 0:
            raise Unreadable(
                f"unpacks to more than {_RATIO} times its size: that is no mail, and is not read on"
            )


class _Content(io.RawIOBase):
    """A stream whose octets are counted, and which fails in one way, after all that was good."""

    def __init__(self, inner: io.BufferedIOBase, budget: _Budget) -> None:
        self._inner = inner
        self._budget = budget
        self._failed: Unreadable | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # the kind we get
        filled = 0
        while filled < len(buffer) and (data := self._next(len(buffer) - filled)):
            buffer[filled : filled + len(data)] = data
            filled += len(data)
        if self._failed and not filled:
            raise self._failed
        self._budget.spend(filled)
        return filled

    def _next(self, size: int) -> bytes:
        if self._failed:
            return b""
        try:
            return self._inner.read1(size)
        except (EOFError, gzip.BadGzipFile, zlib.error, zipfile.BadZipFile, tarfile.TarError) as e:
            self._failed = Unreadable(f"is damaged or cut off: {e}")
        except Unreadable as error:
            self._failed = error
        return b""


def entries(stream: io.BufferedReader, size: int | None, first: int) -> Iterator[Entry]:
    """Give the files in a packed file, from number `first` on; a gzip of one file is one.

    `size` is its own, None where not known. Raises Unreadable when it cannot be read on.
    """
    form = form_of(stream.peek(HEAD))
    budget = _Budget(size)
    if form is Form.GZIP:
        stream = _open(gzip.GzipFile(fileobj=stream), budget)
        form = form_of(stream.peek(HEAD))
        if form is Form.PLAIN:
            yield Entry(0, "", stream)
            return
    if form is Form.TAR:
        yield from _tar_entries(stream, budget, first)
    elif form is Form.ZIP and size is None:
        raise Unreadable("is a zip file, whose end comes first: give its path and not a pipe")
    elif form is Form.ZIP:
        yield from _zip_entries(stream, budget, first)
    else:
        raise Unreadable("is packed in a way that is not read here: unpack it first")


def _open(inner: object, budget: _Budget) -> io.BufferedReader:
    return io.BufferedReader(_Content(cast("io.BufferedIOBase", inner), budget), _BUFFER)


def _entry(index: int, name: str, inner: object, budget: _Budget) -> Entry:
    """Make an entry of a file in an archive. What is gzipped there is opened; no archive is."""
    name = name[:_NAME]
    try:
        stream = _open(inner, budget)
        form = form_of(stream.peek(HEAD))
        if form is Form.GZIP:
            stream = _open(gzip.GzipFile(fileobj=stream), budget)
            form = form_of(stream.peek(HEAD))
    except Unreadable as error:
        return Entry(index, name, problem=str(error))
    if form is not Form.PLAIN:
        return Entry(index, name, problem="is an archive inside an archive: unpack it first")
    return Entry(index, name, stream)


def _zip_entries(stream: io.BufferedReader, budget: _Budget, first: int) -> Iterator[Entry]:
    try:
        _check_directory(stream)
        archive = zipfile.ZipFile(stream)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error) as error:
        raise Unreadable(f"is a damaged zip file: {error}") from error
    for index, info in enumerate(archive.infolist()):
        if index < first or info.is_dir():
            continue
        name = info.filename[:_NAME]
        if info.flag_bits & _ENCRYPTED:
            yield Entry(index, name, problem="is encrypted: unpack it first")
        elif info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            yield Entry(index, name, problem="is packed in a way that is not read here")
        else:
            try:
                content = archive.open(info)
            except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError) as error:
                yield Entry(index, name, problem=f"is damaged: {error}")
                continue
            with content:
                yield _entry(index, name, content, budget)


def _check_directory(stream: io.BufferedReader) -> None:
    """Refuse a zip file whose directory would fill the memory (APPNOTE.TXT, 4.3.14 and 4.3.16)."""
    size = stream.seek(0, io.SEEK_END)
    stream.seek(max(0, size - _DIRECTORY_END))
    tail = stream.read()
    stream.seek(0)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0:
        return  # zipfile says so
    (octets,) = struct.unpack_from("<I", tail, at + 12)
    at = tail.rfind(b"PK\x06\x06", 0, at)
    if octets == _SEE_ZIP64 and at >= 0:
        (octets,) = struct.unpack_from("<Q", tail, at + 40)
    if min(octets, size) > _DIRECTORY:
        raise Unreadable("holds too many files for a zip file: unpack it, and give the folder")


class _Member(tarfile.TarInfo):
    """Does not let a field for a long name fill the memory."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str | None, errors: str) -> Self:
        member = super().frombuf(buf, encoding or "utf-8", errors)
        if member.type in _TAR_FIELDS and member.size > _TAR_FIELD:
            raise Unreadable("is a damaged tar file: a name in it is endless")
        return member


def _tar_entries(stream: io.BufferedReader, budget: _Budget, first: int) -> Iterator[Entry]:
    """Read a tar as a stream: links, devices and folders are passed over."""
    try:
        with tarfile.open(fileobj=stream, mode="r|", tarinfo=_Member) as archive:
            index = 0
            while member := archive.next():
                archive.members.clear()  # type: ignore[attr-defined]  # it would keep each of them
                content = archive.extractfile(member) if member.isreg() else None
                if content is not None and index >= first:
                    yield _entry(index, member.name, content, budget)
                index += 1
    except (tarfile.TarError, EOFError) as error:
        raise Unreadable(f"is a damaged tar file: {error}") from error
