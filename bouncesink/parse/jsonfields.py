"""PURE. Values out of JSON that others wrote: of the type that is wanted, bounded, or nothing."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from bouncesink.parse.dates import parse_date

Json = Mapping[str, Any]

MAX_TEXT = 10_000
MAX_ITEMS = 1000


def canonical(value: object) -> bytes:
    """Write JSON with sorted keys, so that the same value is the same bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")


def text_of(value: object) -> str:
    """Give a text, or a number as text; all else is ""."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    try:
        return str(value)[:MAX_TEXT]
    except ValueError:  # an integer of thousands of digits
        return ""


def table_of(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def list_of(value: object) -> list[Any]:
    return value[:MAX_ITEMS] if isinstance(value, list) else []


def first_text(values: Json, *keys: str) -> str:
    """Give the first of these members that is a text with something in it."""
    return next((text for key in keys if (text := text_of(values.get(key)).strip())), "")


def time_of(value: object) -> datetime | None:
    """Read ISO 8601, the date of a mail, or seconds or milliseconds since 1970; UTC."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            when = datetime.fromtimestamp(value / 1000 if value > 1e11 else value, UTC)
        except (ValueError, OverflowError, OSError):
            return None
    elif isinstance(value, str):
        try:
            when = datetime.fromisoformat(value.strip())
            when = (when if when.tzinfo else when.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError):
            return parse_date(value)
    else:
        return None
    return when if 1980 <= when.year < 2200 else None
