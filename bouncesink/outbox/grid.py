"""PURE. What the Google Sheets API is asked about a grid, and what it answers.

Columns and rows count from 0 here, and from 1 in A1 notation and in `Row.number`.
Reference: https://developers.google.com/sheets/api/reference/rest
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise, zip_longest
from typing import Any, cast

from bouncesink.outbox.lead_details import Cell, Cells, Layout, Row

MAX_CELL = 50_000
"""Characters; one longer cell fails the whole batch."""

PART_ROWS = 5000
PART_SIZE = 1_000_000
"""Rows, and characters of text, in one request: Google advises 2 MB at the most."""

Columns = Mapping[int, Sequence[Cell]]
"""By column, the cells below the header."""

_ERRORS = re.compile(r"#(?:NULL!|DIV/0!|VALUE!|REF!|NAME\?|NUM!|N/A|ERROR!)\Z")


def header_range(tab: str) -> str:
    return f"{_quoted(tab)}!1:1"


def column_range(tab: str, column: int, first: int = 2, last: int | None = None) -> str:
    """Name the cells of a column from row number `first` to `last`, or to the end."""
    return f"{_quoted(tab)}!{letters(column)}{first}:{letters(column)}{last or ''}"


def letters(column: int) -> str:
    name = ""
    column += 1
    while column:
        column, digit = divmod(column - 1, 26)
        name = chr(ord("A") + digit) + name
    return name


def needed(layout: Layout) -> list[int]:
    """List the columns to read for a layout."""
    columns = [layout.key, layout.email, *layout.cells]
    return sorted({column for column in columns if column is not None})


def from_values(answer: Mapping[str, Any]) -> list[list[Cell]]:
    """Read the answer of values.batchGet, of major dimension COLUMNS: one list a range.

    A range is one column, or one row of columns that hold one cell or, when empty, none.
    """
    return [
        [_plain(cell) for line in one.get("values", []) for cell in line or [""]]
        for one in answer.get("valueRanges", [])
    ]


def from_grid(answer: Mapping[str, Any]) -> tuple[list[Cell], dict[int, list[Cell]]]:
    """Read the grid data of batchUpdate's answer: the header, and what was asked of columns."""
    header: list[Cell] = []
    columns: dict[int, list[Cell]] = {}
    for sheet in answer.get("updatedSpreadsheet", {}).get("sheets", []):
        for grid in sheet.get("data", []):
            cells = grid_cells(grid)
            if grid.get("startRow", 0):
                columns[grid.get("startColumn", 0)] = cells
            else:
                header = cells
    return header, columns


def grid_cells(grid: Mapping[str, Any]) -> list[Cell]:
    """Give the cells of one column, or of one row."""
    return [_effective(cell) for row in grid.get("rowData", []) for cell in row.get("values", [{}])]


def rows_of(columns: Columns, layout: Layout) -> list[Row]:
    """Make rows of columns; those in which we see nothing are left out."""
    wanted = (layout.key, layout.email, *layout.cells)
    cells_of = [columns[column] if column is not None else () for column in wanted]
    return [
        Row(number, text(cells[0]).strip(), text(cells[1]), cast("Cells", cells[2:]))
        for number, cells in enumerate(zip_longest(*cells_of, fillvalue=""), 2)
        if any(cell != "" for cell in cells)
    ]


def text(cell: Cell) -> str:
    return str(cell).upper() if isinstance(cell, bool) else str(cell)


def parts(
    changes: Iterable[tuple[int, Mapping[int, Cell]]],
) -> Iterator[dict[int, Mapping[int, Cell]]]:
    """Cut changes (row number, cells by column) into what one request may hold."""
    part: dict[int, Mapping[int, Cell]] = {}
    size = 0
    for number, cells in changes:
        weight = sum(len(str(cell)) for cell in cells.values())
        if part and (size + weight > PART_SIZE or len(part) >= PART_ROWS):
            yield part
            part, size = {}, 0
        part[number] = cells
        size += weight
    if part:
        yield part


def update_requests(
    sheet_id: int, changes: Mapping[int, Mapping[int, Cell]]
) -> list[dict[str, Any]]:
    """Make updateCells requests: one for each block of cells that touch each other."""
    blocks: dict[tuple[int, int], list[tuple[int, list[Cell]]]] = {}
    for number, cells in sorted(changes.items()):
        for columns in _runs(sorted(cells)):
            span = (columns[0], columns[-1])
            blocks.setdefault(span, []).append((number - 1, [cells[c] for c in columns]))
    return [
        update_request(sheet_id, block[0][0], first, [cells for _, cells in block])
        for (first, _), rows in blocks.items()
        for block in _adjacent(rows)
    ]


def update_request(
    sheet_id: int, row: int, column: int, rows: Sequence[Sequence[Cell]]
) -> dict[str, Any]:
    return {
        "updateCells": {
            "start": {"sheetId": sheet_id, "rowIndex": row, "columnIndex": column},
            "rows": [{"values": [_entered(cell) for cell in cells]} for cells in rows],
            "fields": "userEnteredValue",
        }
    }


def _quoted(tab: str) -> str:
    return "'" + tab.replace("'", "''") + "'"


def _plain(value: object) -> Cell:
    if isinstance(value, float):
        return int(value) if value.is_integer() else str(value)
    if isinstance(value, str):
        return "#ERROR" if _ERRORS.match(value) else value
    return value if isinstance(value, int) else ""


def _effective(cell: Mapping[str, Any]) -> Cell:
    for kind, value in cell.get("effectiveValue", {}).items():
        return "#ERROR" if kind == "errorValue" else _plain(value)
    return ""


def _entered(cell: Cell) -> dict[str, Any]:
    """Enter a value as what it is: a text stays a text, whatever it begins with."""
    if cell == "":
        return {}
    if isinstance(cell, bool):
        return {"userEnteredValue": {"boolValue": cell}}
    if isinstance(cell, int):
        return {"userEnteredValue": {"numberValue": cell}}
    return {"userEnteredValue": {"stringValue": cell[:MAX_CELL]}}


def _runs(columns: Sequence[int]) -> Iterator[list[int]]:
    run = [columns[0]]
    for one, other in pairwise(columns):
        if other != one + 1:
            yield run
            run = []
        run.append(other)
    yield run


def _adjacent(
    rows: Sequence[tuple[int, list[Cell]]],
) -> Iterator[list[tuple[int, list[Cell]]]]:
    block = [rows[0]]
    for one, other in pairwise(rows):
        if other[0] != one[0] + 1:
            yield block
            block = []
        block.append(other)
    yield block
