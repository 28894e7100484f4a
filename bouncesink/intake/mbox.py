"""An mbox of any size, split into its mails with the memory of one of them (RFC 4155).

Its variants differ in how a body line that begins with `From ` is told from a separator: mboxo and
mboxrd put `>` before it, mboxcl also counts the body in Content-Length, mboxcl2 only counts, and
some writers do neither. So a separator is a `From ` line with a date, before what looks like a
header field; and a Content-Length is believed where a separator, or the end, stands at its end.
"""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass

_CHUNK = 1 << 20
_LOOK = 2048
"""Octets from a `From ` on that tell whether it is a separator."""
SEAM = 1024
"""Octets before the end of a mail by which the place is known again, at most."""

_SEPARATOR = re.compile(
    rb"From [^\n]{0,400}?"
    rb"(?:\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)\b[^\n]{1,16}\d\d?:\d\d[^\n]{0,60}\d{4}"
    rb"|\d{4}-\d\d-\d\d[ T]\d\d:\d\d)[^\n]{0,200}\n"
    rb"(?=>?[!-9;-~]{1,100}[ \t]*:|>?From |\r?\n|\Z)"
)
_QUOTED = re.compile(rb"\n>(>*From )")
_LENGTH = re.compile(
    rb"^content-length[ \t]*:[ \t]*(\d{1,12})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE
)
_HEADER_END = re.compile(rb"\n\r?\n")
_BLANKS = re.compile(rb"[\r\n]{0,4}")


@dataclass(frozen=True, slots=True)
class Piece:
    """One mail of an mbox as it was before it came there; `raw` is None where it is too big.

    It ends `end` octets from the start of the mbox, and `seam` is the last of it as it stands
    there. `last` says that the mbox ends there, too.
    """

    raw: bytes | None
    end: int
    seam: bytes
    last: bool


def is_mbox(head: bytes) -> bool:
    """Whether a file that begins so is an mbox."""
    return head.lstrip(b"\r\n").startswith(b"From ")


def without_from_line(raw: bytes) -> bytes:
    """Give a single mail without the `From ` line that a delivery agent put before it."""
    if not is_mbox(raw):
        return raw
    _, _, rest = raw.lstrip(b"\r\n").partition(b"\n")
    return rest


def split(stream: io.BufferedIOBase, max_size: int, offset: int = 0) -> Iterator[Piece]:
    """Give the mails of an mbox, the rest of it from `offset` on: 0, or where a piece ended."""
    window = _Window(stream, offset)
    while window.fill(1):
        start = _after_from_line(window)
        end, counted, too_big = _end(window, start, max_size)
        raw = None if too_big else _as_it_was(bytes(window.held[start:end]), counted=counted)
        seam = bytes(window.held[max(0, end - SEAM) : end])
        last = not window.fill(end + 1)
        window.drop(end)
        yield Piece(raw, window.offset, seam, last)


class _Window:
    """The octets of an mbox that are held, from `offset` on."""

    def __init__(self, stream: io.BufferedIOBase, offset: int) -> None:
        self.held = bytearray()
        self.offset = offset
        self._stream = stream

    def fill(self, size: int) -> bool:
        """Hold so many octets, or all that are left; whether there are so many."""
        while len(self.held) < size:
            if not (chunk := self._stream.read1(_CHUNK)):
                return False
            self.held += chunk
        return True

    def drop(self, size: int) -> None:
        del self.held[:size]
        self.offset += size


def _after_from_line(window: _Window) -> int:
    window.fill(_LOOK)
    blanks = _BLANKS.match(window.held)
    start = blanks.end() if blanks else 0
    if not window.held.startswith(b"From ", start):
        return 0  # it begins inside a mail
    newline = window.held.find(b"\n", start, start + _LOOK)
    return newline + 1 if newline >= 0 else len(window.held)


def _end(window: _Window, start: int, max_size: int) -> tuple[int, bool, bool]:
    """Find where the mail ends, whether that was counted, and whether the mail is too big.

    Of one that is too big no more than its end is held then.
    """
    at = max(start - 1, 0)
    dropped = False
    while True:
        found = window.held.find(b"\nFrom ", at)
        if found < 0:
            if len(window.held) - start > max_size + _CHUNK:
                window.drop(len(window.held) - SEAM)
                start = at = 0
                dropped = True
            held = len(window.held)
            at = max(at, held - 5)  # the last of what was looked at may begin a separator
            if not window.fill(held + 1):
                return held, False, dropped or held - start > max_size
            continue
        window.fill(found + _LOOK)
        if _SEPARATOR.match(window.held, found + 1):
            if not dropped and (end := _counted(window, start, found, max_size)):
                return end, True, False
            return found + 1, False, dropped or found + 1 - start > max_size
        at = found + 1


def _counted(window: _Window, start: int, found: int, max_size: int) -> int | None:
    """Give the end that Content-Length names, if it is past `found` and is one."""
    header_end = _HEADER_END.search(window.held, start, found + 1)
    length = header_end and _LENGTH.search(window.held, start, header_end.end())
    if not header_end or not length or int(length[1]) > max_size:
        return None
    end = header_end.end() + int(length[1])
    if end <= found:
        return None
    there = window.fill(end)
    window.fill(end + _LOOK)
    blanks = _BLANKS.match(window.held, end)
    end = blanks.end() if blanks else end
    if there and (end == len(window.held) or _SEPARATOR.match(window.held, end)):
        return end
    return None


def _as_it_was(raw: bytes, *, counted: bool) -> bytes:
    """Take away what putting a mail into an mbox added: the empty line after it, the quoting."""
    if raw.endswith((b"\n\n", b"\n\r\n")):
        raw = raw[:-1] if raw.endswith(b"\n\n") else raw[:-2]
    if b"\n>" not in raw or (counted and b"\nFrom " in raw):
        return raw  # the second: its writer counts, and quotes nothing
    return _QUOTED.sub(rb"\n\1", raw)
