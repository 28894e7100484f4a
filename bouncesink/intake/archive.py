"""Many mails in one file: an mbox, or an archive of mails and mboxes such as Gmail Takeout's.

Most of them are people's own. Unless everything is wanted, what a machine cannot have written, by
its header section, is passed over. And they are long: a Replay says how far one was read, so that
what was stopped goes on there. A file is known again by its content, whatever it is called by then.
"""

import hashlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from bouncesink.intake import mbox, packed
from bouncesink.intake.found import HEAD, Found, PassedOver, is_ordinary, problem_of, too_big
from bouncesink.ledger import Replay

_ENDS = 1 << 16
"""Octets at either end of a file that make its identity."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to take from files.

    `max_size` is in octets, of one mail. `resume` looks up how far a file was read before.
    """

    max_size: int
    everything: bool = True
    resume: Callable[[str], Replay | None] = lambda _: None


def is_archive(file: str, head: bytes) -> bool:
    """Whether a file that begins so may hold many mails."""
    return packed.form_of(head) is not packed.Form.PLAIN or _is_mbox(file, head)


def _is_mbox(name: str, head: bytes) -> bool:
    if name.lower().endswith(".eml"):
        return False  # one mail by its name, whatever stands at the beginning of its lines
    return mbox.is_mbox(head) or (bool(head) and name.lower().endswith((".mbox", ".mbx")))


class Archive:
    """An archive that is read once. `size` is in octets as on the disk, None for a pipe."""

    def __init__(
        self, file: str, stream: io.BufferedReader, size: int | None, wanted: Wanted
    ) -> None:
        self._file = file
        self._stream = stream
        self._size = size
        self._wanted = wanted
        self._form = packed.form_of(stream.peek(packed.HEAD))
        self._plain = self._form is packed.Form.PLAIN
        self._told = 0
        self._at = Replay("", file) if size is None else self._where_left(size)

    def mails(self) -> Iterator[Found]:
        """Give what is in it, from where it was left on."""
        at = self._at
        if at.mails or at.entry or at.done:
            done = at.done and (not self._plain or at.offset == self._size)
            yield Found(self._file, resumed=replace(at, done=done), read=self._read(at))
            if done:
                return
        try:
            for entry in self._entries():
                yield from self._mails_of(entry)
        except packed.Unreadable as error:
            yield Found(self._file, problem=str(error))
            return
        if self._at.mails or not self._plain:
            yield self._found(self._file, replace(self._at, done=True))

    def _where_left(self, size: int) -> Replay:
        stream = self._stream
        digest = hashlib.sha256(f"{self._wanted.everything}\n".encode())
        digest.update(stream.read(_ENDS))
        if not self._plain:  # an mbox may have grown; what is packed is as it was made
            stream.seek(max(0, size - _ENDS))
            digest.update(stream.read(_ENDS) + str(size).encode())
        new = Replay(digest.hexdigest(), self._file)
        known = self._wanted.resume(new.id)
        if known and self._plain and not self._fits(known):
            known = None
        stream.seek(known.offset if known and self._plain else 0)
        return replace(known, path=self._file) if known else new

    def _fits(self, known: Replay) -> bool:
        """Whether an mbox is still the same up to where it was left, and a mail begins there."""
        before = int(known.seam.partition(":")[0])
        self._stream.seek(known.offset - before)
        there = _seam(self._stream.read(before)) == known.seam
        head = self._stream.read(packed.HEAD)
        return there and (not head.strip() or mbox.is_mbox(head))

    def _entries(self) -> Iterator[packed.Entry]:
        if self._plain:
            return iter([packed.Entry(0, "", self._stream)])
        return packed.entries(self._stream, self._size, self._at.entry)

    def _mails_of(self, entry: packed.Entry) -> Iterator[Found]:
        name = f"{self._file}!{entry.name}" if entry.name else self._file
        stream, problem = entry.stream, entry.problem
        if stream is not None:
            try:
                if self._plain or _is_mbox(entry.name, stream.peek(packed.HEAD)):
                    yield from self._pieces(name, entry.index, stream)
                else:
                    yield self._file_in_it(name, entry.index, stream)
            except packed.Unreadable as error:
                if self._form is not packed.Form.ZIP:
                    raise  # where one file ends badly, the next cannot be found
                problem = str(error)
        if problem:
            yield self._found(name, self._after(entry.index), problem=problem)
        elif not self._plain:
            self._at = self._after(entry.index)

    def _after(self, index: int) -> Replay:
        return replace(self._at, entry=index + 1, offset=0, seam="", done=False)

    def _pieces(self, name: str, index: int, stream: io.BufferedReader) -> Iterator[Found]:
        offset = self._at.offset if index == self._at.entry else 0
        if not self._plain:
            _skip(stream, offset)
        for piece in mbox.split(stream, self._wanted.max_size, offset):
            if self._plain and piece.last and not self._at.mails:
                # One mail as a delivery agent saved it, and not one of many: it was meant.
                problem = self._problem(piece.raw)
                raw = b"" if problem or piece.raw is None else piece.raw
                yield Found(name, raw, problem, read=self._size or 0)
                return
            after = replace(
                self._at,
                entry=index,
                offset=piece.end,
                seam=_seam(piece.seam),
                mails=self._at.mails + 1,
                done=False,
            )
            yield self._one_of_many(f"{name}:{after.mails}", piece.raw, after)

    def _file_in_it(self, name: str, index: int, stream: io.BufferedReader) -> Found:
        after = self._after(index)
        raw = stream.read(HEAD)
        if problem_of(raw):
            return self._found(name, after, passed_over=PassedOver.NO_MAIL)
        if self._wanted.everything or not is_ordinary(raw):
            raw += stream.read(self._wanted.max_size + 1 - len(raw))
        raw = mbox.without_from_line(raw)
        return self._one_of_many(name, raw, replace(after, mails=after.mails + 1))

    def _one_of_many(self, name: str, raw: bytes | None, after: Replay) -> Found:
        problem = self._problem(raw)
        if problem or raw is None:
            return self._found(name, after, problem=problem)
        if not self._wanted.everything and is_ordinary(raw):
            return self._found(
                name,
                replace(after, passed_over=after.passed_over + 1),
                passed_over=PassedOver.ORDINARY,
            )
        return self._found(name, after, raw)

    def _problem(self, raw: bytes | None) -> str:
        if raw is None or len(raw) > self._wanted.max_size:
            return too_big(self._wanted.max_size)
        return problem_of(raw)

    def _found(
        self,
        name: str,
        after: Replay,
        raw: bytes = b"",
        problem: str = "",
        passed_over: PassedOver | None = None,
    ) -> Found:
        self._at = after
        mark = after if self._size is not None else None
        return Found(name, raw, problem, passed_over, self._read(after), mark)

    def _read(self, at: Replay) -> int:
        """Give how many octets of the file were read since the last time."""
        if self._size is None:
            return 0
        position = at.offset if self._plain else self._stream.tell()
        read = max(0, (self._size if at.done else position) - self._told)
        self._told += read
        return read


def _skip(stream: io.BufferedReader, octets: int) -> None:
    while octets > 0 and (read := len(stream.read(min(octets, 1 << 20)))):
        octets -= read


def _seam(octets: bytes) -> str:
    return f"{len(octets)}:{hashlib.blake2b(octets, digest_size=16).hexdigest()}"
