"""The report as a page of HTML that needs nothing else: it may be mailed, or kept."""

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING

from bouncesink.cli.report import SEVERITIES, counts, rate_cells
from bouncesink.cli.show import plural, safe, when

if TYPE_CHECKING:
    from bouncesink.engine.trends import Trends

_MOST = 50
_HEIGHT = 120
"""Pixels of the highest bar."""

_COLOURS = {"HARD": "#b3261e", "SOFT": "#b26a00", "BLOCK": "#3f51b5"}
_STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0 2rem; }
th, td { text-align: left; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid #8884; }
td + td { font-variant-numeric: tabular-nums; }
figure { margin: 1rem 0 2rem; overflow-x: auto; }
"""


def page(found: "Trends") -> str:
    days = plural((found.until - found.since).days, "day")
    title = f"Bounces: {days} to {when(found.until)}"
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width">',
            f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>",
            f"<h1>{escape(title)}</h1>",
            f"<p>Beside the {days} before.</p>",
            *_body(found),
            "</body></html>",
        ]
    )


def _body(found: "Trends") -> Iterator[str]:
    yield _table(["", *SEVERITIES, ""], [["all failures", *counts(found.total)]])
    yield _chart(found)
    for title, changes in found.changes.items():
        if changes:
            yield f"<h2>By {escape(title)}</h2>"
            yield _table(
                [title, *SEVERITIES, ""],
                ([safe(each.name, 100), *counts(each)] for each in changes[:_MOST]),
            )
    if found.rates:
        yield "<h2>Rates of hard bounces</h2>"
        headers = ["", "", "hard of sent", "rate", "95 % interval"]
        yield _table(headers, (rate_cells(rate) for rate in found.rates[:_MOST]))
    yield f"<h2>{plural(len(found.at_risk), 'address', 'addresses')} at risk</h2>"
    rows = ([c.address, str(c.strikes), when(c.last_strike_at)] for c in found.at_risk)
    yield _table(["address", "strikes", "the last"], rows)


def _chart(found: "Trends") -> str:
    """Draw a bar for each day, stacked by severity."""
    most = max((sum(each.values()) for each in found.days.values()), default=0)
    if not most:
        return ""
    wide = 900 / len(found.days)
    bars = []
    for place, (day, counted) in enumerate(sorted(found.days.items())):
        top = float(_HEIGHT)
        for severity, colour in _COLOURS.items():
            count = counted.get(severity, 0)
            high = count / most * _HEIGHT
            top -= high
            bars.append(
                f'<rect x="{place * wide:.1f}" y="{top:.1f}" width="{wide * 0.8:.1f}" '
                f'height="{high:.1f}" fill="{colour}">'
                f"<title>{escape(day)}: {count:,} {severity}</title></rect>"
            )
    legend = ", ".join(
        f'<span style="color:{colour}">&#9632;</span> {name}' for name, colour in _COLOURS.items()
    )
    return (
        f'<figure><svg viewBox="0 0 900 {_HEIGHT}" width="100%" role="img" '
        f'aria-label="Failures a day, {most:,} at the most">{"".join(bars)}</svg>'
        f"<figcaption>Failures a day: {legend}</figcaption></figure>"
    )


def _table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in headers)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(safe(cell))}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
