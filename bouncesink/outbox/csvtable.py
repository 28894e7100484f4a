"""PURE. A CSV file of which only some cells change, and not a byte of the others.

RFC 4180 as spreadsheets write it: any of four delimiters, any line end, quoted fields that span
lines, rows of unequal length. Fields are kept as the file spells them.
"""

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from bouncesink.errors import PermanentSinkError

_DELIMITERS = ",;\t|"
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|\Z)")
_LINE_END = re.compile(r"[\r\n]*\Z")
_DANGEROUS = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula when it opens a CSV."""


@dataclass(frozen=True, slots=True)
class Table:
    """The text of a file, cut into records with their line ends; the header is one of them."""

    bom: bytes
    encoding: str
    delimiter: str
    header: int
    records: Sequence[str]

    def fields(self, record: int) -> list[str]:
        """Give the fields of a record as the file spells them, quotes and all."""
        body = _LINE_END.sub("", self.records[record])
        return _split(body, self.delimiter)

    def line_end(self, record: int) -> str:
        found = _LINE_END.search(self.records[record])
        return found[0] if found else ""

    def join(self, fields: Sequence[str], record: int) -> str:
        return self.delimiter.join(fields) + self.line_end(record)

    def quote(self, text: str, *, always: bool) -> str:
        """Spell a text as a field; one that would be taken for a formula is defused by a `'`."""
        if text.startswith(_DANGEROUS):
            text = "'" + text
        if always or any(c in text for c in (self.delimiter, '"', "\r", "\n")):
            return '"' + text.replace('"', '""') + '"'
        return text

    def encode(self, records: Sequence[str]) -> bytes:
        return self.bom + "".join(records).encode(self.encoding, "replace")


def read_table(data: bytes, column: str, where: str) -> Table:
    """Cut a file into records; the delimiter is the one that makes `column` a header.

    The header is the first row that is not blank. Raises PermanentSinkError, with the reason, for
    what no delimiter makes a table of.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise PermanentSinkError(f"{where}: is UTF-16. Save it as CSV in UTF-8.")
    bom = codecs.BOM_UTF8 if data.startswith(codecs.BOM_UTF8) else b""
    encoding = "utf-8"
    try:
        text = data[len(bom) :].decode(encoding)
    except UnicodeDecodeError:
        encoding = "latin-1"  # any byte is a character in it, and comes out as it came in
        text = data[len(bom) :].decode(encoding)
    start = re.search(r"[^\s,;|]", text)
    if start is None:
        raise PermanentSinkError(
            f"{where}: is empty. Its first row is to be a header with {column!r} in it."
        )
    delimiter = _sniff(text, start.start(), column)
    records = _cut(text, delimiter, where)
    header = next(n for n, record in enumerate(records) if re.search(r"[^\s,;|]", record))
    return Table(bom, encoding, delimiter, header, records)


def unquote(field: str) -> str:
    """Give the text of a field; a `'` that defuses a formula is no part of it."""
    if quoted := _WHOLE.match(field):
        field = quoted[1].replace('""', '"') + field[quoted.end() :]
    return field[1:] if field.startswith("'") and field[1:].startswith(_DANGEROUS) else field


# Possessive throughout, so that a quote without its fellow costs one pass and not many.
_QUOTED = '"[^"]*+(?:""[^"]*+)*+"'
_WHOLE = re.compile('"([^"]*+(?:""[^"]*+)*+)"')


@cache
def _field(delimiter: str) -> re.Pattern[str]:
    plain = f"[^{re.escape(delimiter)}\r\n]*+"
    return re.compile(f"{_QUOTED}{plain}|{plain}")


@cache
def _record(delimiter: str) -> re.Pattern[str]:
    mark = re.escape(delimiter)
    plain = f"[^{mark}\r\n]*+"
    field = f'(?:{_QUOTED}{plain}|(?!"){plain})'
    return re.compile(f"{field}(?:{mark}{field})*+(?P<end>\r\n|[\r\n]|\\Z)?")


def _split(text: str, delimiter: str) -> list[str]:
    if '"' not in text:
        return text.split(delimiter)
    fields, at, pattern = [], 0, _field(delimiter)
    while found := pattern.match(text, at):
        fields.append(found[0])
        at = found.end()
        if at >= len(text):
            break
        at += 1
    return fields


def _cut(text: str, delimiter: str, where: str) -> list[str]:
    records: list[str] = []
    at = 0
    while at < len(text) and (line := _LINE.match(text, at)):
        end = line.end()
        if '"' in line[0]:
            end = _record_end(text, at, delimiter)
            if end < 0:
                raise PermanentSinkError(
                    f"{where}: row {len(records) + 1} opens a quote that nothing closes. Mend "
                    "that row: as it stands nobody can tell where its fields end."
                )
        records.append(text[at:end])
        at = end
    return records


def _record_end(text: str, at: int, delimiter: str) -> int:
    """Find where the record ends that begins at `at`; -1 when a quote is never closed."""
    found = _record(delimiter).match(text, at)
    return found.end() if found and found["end"] is not None else -1


def _sniff(text: str, start: int, column: str) -> str:
    """Choose the delimiter that makes `column` a header, else the one that makes most headers."""
    start = max(text.rfind("\n", 0, start), text.rfind("\r", 0, start)) + 1

    def score(delimiter: str) -> tuple[bool, int]:
        end = _record_end(text, start, delimiter)
        if end < 0:
            return False, 0
        fields = [unquote(f).strip() for f in _split(text[start:end].rstrip("\r\n"), delimiter)]
        return column.casefold() in (" ".join(f.split()).casefold() for f in fields), len(fields)

    return max(_DELIMITERS, key=score)
