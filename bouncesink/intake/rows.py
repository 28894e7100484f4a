"""Rows of a file that another program wrote: CSV with a header, JSON lines, or a JSON array.

Read as a stream, but for an array. A row that is not right is given with what is wrong with it, so
that the others can go in.
"""

import csv
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import IO

from bouncesink.errors import InputError

MAX_LINE = 1_000_000
"""Characters of one line."""
MAX_ARRAY = 200_000_000
MAX_FIELD = 100_000
"""Characters of a JSON array, which is read at once."""

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a spreadsheet takes for the beginning of a formula, or may drop before one."""

_DELIMITERS = ",;\t"


@dataclass(frozen=True, slots=True)
class Row:
    """One row, by lower-case column name; `number` is its line, or the place in an array from 1."""

    number: int
    values: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""


def read_rows(text: IO[str], wanted: Collection[str]) -> Iterator[Row]:
    """Give the rows of a file that must have the columns `wanted`. Raises InputError.

    What is not UTF-8 is told by `surrogateescape`.
    """
    lines = _lines(text)
    first = next(lines, "")
    if first.lstrip().startswith("["):
        rows = _array(first + text.read(MAX_ARRAY + 1))
    elif first.lstrip().startswith("{"):
        rows = _json_lines(chain([first], lines))
    else:
        rows = _csv(first, lines, wanted)
    for row in rows:
        missing = [name for name in wanted if not row.values.get(name)]
        if row.problem:
            yield row
        elif any("\udc80" <= c <= "\udcff" for value in row.values.values() for c in value):
            yield Row(row.number, problem="not UTF-8")
        elif missing:
            yield Row(row.number, problem=f"`{missing[0]}` is missing")
        else:
            yield row


def defused(cell: str) -> str:
    """Give a cell that no spreadsheet takes for a formula; `read_rows` takes the sign off again."""
    return f"'{cell}" if cell.startswith(FORMULA) else cell


def _lines(text: IO[str]) -> Iterator[str]:
    number = 0
    while line := text.readline(MAX_LINE):
        number += 1
        if len(line) == MAX_LINE:
            raise InputError(f"line {number} is longer than {MAX_LINE:,} characters")
        if line.strip() or number > 1:
            yield line


def _array(text: str) -> Iterator[Row]:
    if len(text) > MAX_ARRAY:
        raise InputError(f"a JSON array of over {MAX_ARRAY:,} characters; write one object a line")
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"not valid JSON: {error}") from None
    for number, value in enumerate(values, 1):
        yield _object(number, value)


def _json_lines(lines: Iterator[str]) -> Iterator[Row]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield Row(number, problem=f"not valid JSON: {error}")
        else:
            yield _object(number, value)


def _object(number: int, value: object) -> Row:
    if not isinstance(value, dict):
        return Row(number, problem="not an object")
    values = {str(key).lower(): item for key, item in value.items() if item is not None}
    return Row(
        number,
        {
            key: str(item).strip()
            for key, item in values.items()
            if isinstance(item, str | int | float)
        },
    )


def _csv(first: str, lines: Iterator[str], wanted: Collection[str]) -> Iterator[Row]:
    headers = [(d, _header(first, d)) for d in _DELIMITERS]
    delimiter, header = next(
        ((d, names) for d, names in headers if set(wanted) <= set(names)), ("", [])
    )
    if not delimiter:
        raise InputError(
            f"the first line must name the columns, {', '.join(wanted)} among them; "
            "or let each line be a JSON object"
        )
    # csv has a limit of its own, but it belongs to the process: anyone may have changed it.
    reader = csv.reader(lines, delimiter=delimiter)
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield Row(reader.line_num + 1, problem=str(error))
            continue
        if cells is None:
            return
        if any(len(cell) > MAX_FIELD for cell in cells):
            yield Row(reader.line_num + 1, problem=f"a field of over {MAX_FIELD:,} characters")
        elif any(cells):
            bare = (c[1:] if c.startswith("'") and c[1:].startswith(FORMULA) else c for c in cells)
            values = dict(zip(header, (cell.strip() for cell in bare), strict=False))
            yield Row(reader.line_num + 1, values)


def _header(line: str, delimiter: str) -> list[str]:
    cells = next(csv.reader([line], delimiter=delimiter), [])
    return [cell.strip().lower().replace(" ", "_").replace("-", "_") for cell in cells]
