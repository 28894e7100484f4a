"""PURE. Dates as mail writes them (RFC 5322, section 3.3)."""

import re
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime

_MONTHS = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1
    )
}
_USUAL = re.compile(
    r"\s*(?:[A-Za-z]{3},)?\s*(\d{1,2}) ([A-Za-z]{3}) (\d{4}) (\d\d):(\d\d)(?::(\d\d))?"
    r" ([+-])(\d\d)(\d\d)\b"
)


def parse_date(text: str | None) -> datetime | None:
    """Read a date in UTC; None where it is none, or no date that mail could have."""
    if not text:
        return None
    try:
        usual = _USUAL.match(text)
        if usual:
            day, month, year, hour, minute, second, sign, off_hour, off_minute = usual.groups()
            offset = timedelta(hours=int(off_hour), minutes=int(off_minute))
            when = datetime(
                int(year),
                _MONTHS[month.lower()],
                int(day),
                int(hour),
                int(minute),
                min(int(second or 0), 59),
                tzinfo=timezone(-offset if sign == "-" else offset),
            )
        else:
            when = parsedate_to_datetime(text[:100])
            when = when if when.tzinfo else when.replace(tzinfo=UTC)
        when = when.astimezone(UTC)
    except (ValueError, TypeError, KeyError, IndexError, OverflowError):
        return None
    return when if 1980 <= when.year < 2200 else None
