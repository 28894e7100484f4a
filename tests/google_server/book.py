"""A spreadsheet in memory, with the behaviour of Sheets v4 that clients trip over.

Values are as Sheets keeps them: "" is empty; True, 7 and "7" differ; a `Formula` shows its result.
"""

import re
from dataclasses import dataclass, field
from datetime import date

MAX_CELL = 50_000


class Refusal(Exception):
    """An error answer of the API."""

    def __init__(self, code, message, status="INVALID_ARGUMENT"):
        super().__init__(message)
        self.code = code
        self.status = status


@dataclass(frozen=True)
class Formula:
    text: str


@dataclass
class Tab:
    """One tab. `protected` lists columns that the service account may not edit."""

    title: str
    id: int
    width: int = 26
    rows: list = field(default_factory=list)
    protected: set = field(default_factory=set)
    _written: list = field(default_factory=list)
    _was: int = 0

    @classmethod
    def of(cls, title, rows, number=7, width=26, spare=20):
        made = cls(title, number, max(width, max(map(len, rows), default=0)))
        made.rows = [made.row(row) for row in rows] + [made.row() for _ in range(spare)]
        return made

    def row(self, cells=()):
        return [*cells, *[""] * (self.width - len(cells))]

    def sort(self, column, *, reverse=False):
        """Sort as a person does, below the header: whole rows move, empty cells go last."""
        below = self.rows[1:]
        full = [row for row in below if row[column] != ""]
        full.sort(key=lambda row: str(row[column]), reverse=reverse)
        self.rows[1:] = full + [row for row in below if row[column] == ""]

    def insert(self, at, *rows):
        self.rows[at:at] = [self.row(row) for row in rows]

    def insert_column(self, at, header=""):
        for row in self.rows:
            row.insert(at, "")
        self.rows[0][at] = header
        self.width += 1

    def write(self, row, column, value):
        if column in self.protected:
            raise Refusal(
                400,
                "You are trying to edit a protected cell or object. Please contact the "
                "spreadsheet owner to remove protection if you need to edit.",
            )
        if isinstance(value, str) and len(value) > MAX_CELL:
            raise Refusal(
                400,
                "Your input contains more than the maximum of 50000 characters in a single cell.",
            )
        if row >= len(self.rows) or column >= self.width:
            raise Refusal(
                400,
                f"Range ({self.title}!R{row + 1}C{column + 1}) exceeds grid limits. "
                f"Max rows: {len(self.rows)}, max columns: {self.width}",
            )
        self._written.append((row, column, self.rows[row][column]))
        self.rows[row][column] = value

    def begin(self):
        self._written.clear()
        self._was = self.width

    def undo(self):
        for row, column, value in reversed(self._written):
            self.rows[row][column] = value
        for row in self.rows:
            del row[self._was :]
        self.width = self._was

    def widen(self, columns):
        self.width += columns
        for row in self.rows:
            row.extend([""] * columns)


@dataclass
class Book:
    """A spreadsheet. `readers` are accounts that may read only."""

    id: str
    tabs: list
    editors: set = field(default_factory=set)
    readers: set = field(default_factory=set)

    def tab(self, title):
        return next(tab for tab in self.tabs if tab.title == title)

    def area(self, text):
        """Resolve A1 notation to (tab, first row, end row, first column, end column)."""
        found = re.fullmatch(r"(?:'(?P<q>(?:[^']|'')+)'|(?P<t>[^'!:]+))(?:!(?P<a>.+))?", text)
        title = found and (found["q"] or found["t"]).replace("''", "'")
        tab = next((tab for tab in self.tabs if tab.title == title), None)
        cells = re.fullmatch(r"([A-Z]*)(\d*)(?::([A-Z]*)(\d*))?", (found and found["a"]) or "")
        if tab is None or cells is None:
            raise Refusal(400, f"Unable to parse range: {text}")
        a, n, b, m = (cells[k] or "" for k in range(1, 5))
        if ":" not in (found["a"] or ":"):
            b, m = a, n
        first_row = int(n) - 1 if n else 0
        end_row = min(int(m), len(tab.rows)) if m else len(tab.rows)
        first_column = column_of(a) if a else 0
        end_column = min(column_of(b) + 1, tab.width) if b else tab.width
        if first_row >= len(tab.rows) or first_column >= tab.width:
            raise Refusal(
                400,
                f"Range ({text}) exceeds grid limits. Max rows: {len(tab.rows)}, "
                f"max columns: {tab.width}",
            )
        return tab, first_row, end_row, first_column, end_column


def column_of(letters):
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return number - 1


def typed(text):
    """Give what USER_ENTERED makes of a text: what a person gets who types it."""
    if not isinstance(text, str):
        return text
    if text.startswith("'"):
        return text[1:]
    if text[:1] in ("=", "+", "@") or (text[:1] == "-" and not re.fullmatch(r"-[\d.]+", text)):
        return Formula(text)
    if text.upper() in ("TRUE", "FALSE"):
        return text.upper() == "TRUE"
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        return (date.fromisoformat(text) - date(1899, 12, 30)).days
    if re.fullmatch(r"-?\d+(\.\d+)?(e\d+)?", text, re.IGNORECASE):
        return float(text)
    return text


def entered(value):
    """Read an ExtendedValue of updateCells."""
    if not value:
        return ""
    ((kind, content),) = value.items()
    wanted = {
        "boolValue": bool,
        "numberValue": (int, float),
        "stringValue": str,
        "formulaValue": str,
    }
    if kind not in wanted or not isinstance(content, wanted[kind]):
        raise Refusal(400, f"Invalid value at 'userEnteredValue' ({kind})")
    return Formula(content) if kind == "formulaValue" else content


def effective(value):
    """Make an ExtendedValue, as grid data has it."""
    if value == "" and not isinstance(value, bool):
        return None
    if isinstance(value, Formula):
        return {"errorValue": {"type": "NAME", "message": value.text}}
    if isinstance(value, bool):
        return {"boolValue": value}
    return {"numberValue": value} if isinstance(value, int | float) else {"stringValue": value}


def unformatted(value):
    return "#NAME?" if isinstance(value, Formula) else value
