"""Lead Details in Google Sheets.

Others sort the tab and insert rows while we write, and a write goes to row numbers. So each write
returns, in the same atomic call, the key and e-mail of every row as it was right then: when a row
was not the one we meant, we say so and are asked to put things right.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import structlog

from bouncesink.config import Config
from bouncesink.errors import SinkError, TemporarySinkError
from bouncesink.outbox import grid
from bouncesink.outbox.lead_details import (
    Cell,
    Cells,
    Layout,
    Reading,
    Row,
    Sheet,
    Written,
    locate,
    notes,
    same,
)
from bouncesink.outbox.sheets import Refused, SheetsApi, Tab, Unanswered

ECHO_ROWS = 20_000
"""Up to so many rows a write returns all that we read, which saves the next reading."""

_TRIES = 5
_WITNESSES = (2, 4)
"""BOUNCE COUNT and BOUNCE EVIDENCE go with every row that we write: should the write go astray and
we be killed, `bouncesink.outbox.own` knows our cells by them."""

_Held = tuple[Sequence[Cell], grid.Columns]
"""The header, and columns below it."""

log = structlog.get_logger(__name__)


class GoogleSheet(Sheet):
    """See `Sheet`. Keep it from flush to flush: it knows where its columns are."""

    def __init__(
        self,
        config: Config,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        self._config = config
        self._api = SheetsApi(config.sheets, self.name, clock, pause)
        self._tab: Tab | None = None
        self._layout: Layout | None = None
        self._rows: Mapping[int, Row] = {}
        self._echo: _Held | None = None

    @property
    def name(self) -> str:
        return f"Google sheet {self._config.sheets.tab!r}"

    def read(self) -> Reading:
        for _ in range(_TRIES):
            known = None if self._is_bare() else self._layout
            layout = known or self._discover()
            try:
                header, columns = self._echo or self._fetch(layout)
            except Refused:  # as when columns that we know of are no more
                self._layout = None
                if known:
                    continue
                raise
            self._echo = None
            self._layout = self._locate(header)
            if self._layout == layout:
                rows = grid.rows_of(columns, layout)
                self._rows = {row.number: row for row in rows}
                return Reading(rows, layout.missing, tuple(notes(layout, self._config.sheet)))
        raise TemporarySinkError(f"{self.name}: its columns move each time that we read it.")

    def write(self, changes: Mapping[int, Cells]) -> Written:
        layout = self._layout
        requests: list[dict[str, object]] = []
        assert layout, "read before you write"
        if layout.missing:
            added = self._add_columns(layout)
            if added is None:
                return Written.UNTOUCHED
            layout, requests = added
        cells = ((number, self._cells(number, changes[number], layout)) for number in changes)
        for part in list(grid.parts(cells)) or [{}]:
            written = self._write(part, requests, layout)
            if written is not Written.SETTLED:
                return written
            requests = []
        return Written.SETTLED

    def _is_bare(self) -> bool:
        """Whether the grid ends at its header: Google refuses to speak of rows that are not."""
        return self._tab is not None and self._tab.height < 2

    def _discover(self) -> Layout:
        self._tab = self._api.tab()
        return self._locate(self._tab.header)

    def _locate(self, header: Sequence[Cell]) -> Layout:
        try:
            return locate([grid.text(cell) for cell in header], self._config.sheet, self.name)
        except SinkError:
            self._layout = None
            raise

    def _fetch(self, layout: Layout) -> _Held:
        wanted, tab = grid.needed(layout), self._config.sheets.tab
        if self._is_bare():
            return self._tab.header if self._tab else (), dict.fromkeys(wanted, ())
        ranges = [grid.header_range(tab), *(grid.column_range(tab, column) for column in wanted)]
        header, *columns = grid.from_values(self._api.values(ranges))
        return header, dict(zip(wanted, columns, strict=True))

    def _cells(self, number: int, wanted: Cells, layout: Layout) -> Mapping[int, Cell]:
        """Give the cells to write in a row, by column."""
        return {
            column: cell
            for at, (column, cell) in enumerate(zip(layout.cells, wanted, strict=True))
            if column is not None
            and (at in _WITNESSES or not same(cell, self._rows[number].cells[at]))
        }

    def _write(
        self,
        part: Mapping[int, Mapping[int, Cell]],
        requests: Sequence[Mapping[str, object]],
        layout: Layout,
    ) -> Written:
        """Write one part, and look where it went."""
        assert self._tab
        changes = [*requests, *grid.update_requests(self._tab.id, part)]
        whole = len(self._rows) <= ECHO_ROWS
        columns = grid.needed(layout if whole else replace(layout, cells=()))
        first, last = (2, None) if whole else (min(part, default=2), max(part, default=2))
        tab = self._config.sheets.tab
        ranges = [
            grid.column_range(tab, column, first, last) for column in columns if not self._is_bare()
        ]
        try:
            answer = self._api.update(changes, [grid.header_range(tab), *ranges])
        except Unanswered as error:
            log.warning("sheet.unanswered", sheet=self.name, error=str(error))
            return Written.ASTRAY
        except Refused as error:
            return self._refused(error)
        header, found = grid.from_grid(answer)
        if not header:
            log.warning("sheet.unanswered", sheet=self.name, error="the answer shows no header")
            return Written.ASTRAY
        if self._locate(header) != layout:
            raise self._columns_moved(part)
        self._layout = layout
        if all(_identity(found, layout, n - first) == self._identity(n) for n in part):
            return Written.SETTLED
        self._echo = (header, found) if whole else None
        return Written.ASTRAY

    def _identity(self, number: int) -> tuple[str, str]:
        row = self._rows[number]
        return row.key, row.email

    def _refused(self, error: Refused) -> Written:
        """Tell a grid that has shrunk, or a tab that was made anew, from what will not do."""
        self._layout = None
        if any(words in error.words for words in ("No grid with id", "grid limits", "beyond the")):
            return Written.UNTOUCHED
        raise error

    def _columns_moved(self, part: Mapping[int, Mapping[int, Cell]]) -> SinkError:
        self._layout = None
        written = sorted({column for cells in part.values() for column in cells})
        names = ", ".join(grid.letters(column) for column in written)
        return TemporarySinkError(
            f"{self.name}: a column was moved in the very moment that we wrote to columns {names}, "
            f"rows {min(part, default=1)} to {max(part, default=1)}. The next flush writes to the "
            "right ones; what stood in those cells is in the sheet's version history."
        )

    def _add_columns(self, layout: Layout) -> tuple[Layout, list[dict[str, object]]] | None:
        """Find room for the missing columns, right of all that is in use.

        None when the header has changed since it was read.
        """
        if self._discover() != layout:
            self._layout = None
            return None
        assert self._tab
        tab, need = self._tab, len(layout.missing)
        start = len(tab.header)
        while start and tab.header[start - 1] == "":
            start -= 1
        if start < tab.width and not self._is_empty(start, min(start + need, tab.width)):
            start = tab.width
        requests: list[dict[str, object]] = []
        if start + need > tab.width:
            length = start + need - tab.width
            requests.append(
                {
                    "appendDimension": {
                        "sheetId": tab.id,
                        "dimension": "COLUMNS",
                        "length": length,
                    }
                }
            )
        requests.append(grid.update_request(tab.id, 0, start, [list(layout.missing)]))
        free = iter(range(start, start + need))
        cells = tuple(next(free) if column is None else column for column in layout.cells)
        return replace(layout, cells=cells), requests

    def _is_empty(self, first: int, end: int) -> bool:
        if self._is_bare():
            return True
        tab = self._config.sheets.tab
        ranges = [grid.column_range(tab, column) for column in range(first, end)]
        return not any(
            cell != "" for cells in grid.from_values(self._api.values(ranges)) for cell in cells
        )


def _identity(columns: grid.Columns, layout: Layout, row: int) -> tuple[str, str]:
    """Give the key and the e-mail that stand in a row of these columns."""

    def at(column: int | None) -> str:
        cells = columns.get(column, ()) if column is not None else ()
        return grid.text(cells[row]) if row < len(cells) else ""

    return at(layout.key).strip(), at(layout.email)
