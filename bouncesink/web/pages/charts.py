"""PURE. Counts to what a chart and the table under it show."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

SEVERITIES = ("HARD", "SOFT", "BLOCK", "UNKNOWN")


@dataclass(frozen=True, slots=True)
class Series:
    """A row for each label, a number for each column; `title` says what is counted."""

    title: str
    label: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[int]]]

    @property
    def total(self) -> int:
        return sum(sum(numbers) for _, numbers in self.rows)


def by_day(counts: Iterable[tuple[str, str, int]], since: date, days: int) -> Series:
    """Give a row for each day, also for one on which nothing came."""
    table: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for day, severity, count in counts:
        table[day][severity] += count
    labels = [(since + timedelta(days=n)).isoformat() for n in range(days)]
    return Series(
        "Bounces a day, by severity",
        "day",
        SEVERITIES,
        [(day, _numbers(table.get(day, {}))) for day in labels],
    )


def _numbers(counted: Mapping[str, int]) -> list[int]:
    return [counted.get(severity, 0) for severity in SEVERITIES]
