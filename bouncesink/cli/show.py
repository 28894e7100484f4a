"""Text for a person at a terminal, which nothing in a bounce may take over."""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from bouncesink.model import Event

_UNSAFE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode categories that move the cursor, hide or reorder text, or break a line."""


def safe(text: str | None, width: int = 0) -> str:
    """Give text without control and reordering characters, cut to `width` characters if given."""
    clean = "".join(
        " " if unicodedata.category(c) in _UNSAFE else c for c in (text or "")[: width * 4 or None]
    )
    clean = " ".join(clean.split())
    return clean[: width - 1] + "…" if width and len(clean) > width else clean


def table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    from tabulate import tabulate

    made: str = tabulate(
        [[safe(str(cell)) if cell is not None else "" for cell in row] for row in rows],
        headers=headers,
        tablefmt="simple",
        disable_numparse=True,
    )
    return made


def when(time: datetime | None) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC") if time else "never"


def event_lines(event: Event) -> Iterator[str]:
    """Tell one line of the ledger to a person, in several."""
    yield f"{when(event.occurred_at)}  {event.kind.value}, by {safe(event.source)}"
    if event.actor:
        yield f"  actor    {safe(event.actor)}: {safe(event.reason)}"
    report, verdict, trust = event.report, event.verdict, event.trust
    if report:
        codes = " ".join(str(code) for code in (report.reply_code, report.status) if code)
        yield f"  said     {codes or 'no code'}  {safe(report.diagnostic, 300)}"
        if report.recipient != report.mailed:
            yield f"  reached  {safe(report.recipient)}, by way of {safe(report.mailed)}"
    if event.message_id or event.subject:
        yield f"  about    {safe(event.message_id)}  {safe(event.subject, 80)}"
    if verdict:
        yield (
            f"  verdict  {verdict.severity.value} {verdict.category.value}, "
            f"the fault of: {verdict.fault.value}"
        )
        words = f", by the words: {safe(verdict.evidence, 120)}" if verdict.evidence else ""
        yield f"  rule     {verdict.rule}{words}"
    if trust:
        signals = f": {'; '.join(map(safe, trust.signals))}" if trust.signals else ""
        yield f"  trust    {trust.level.value}{signals}"


def plural(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"
