"""`bouncesink report`: what changed, over a span of days."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from bouncesink.cli.options import config_options, json_option, print_json, read_ledger
from bouncesink.cli.show import plural, safe, table, when
from bouncesink.config import Config
from bouncesink.errors import InputError
from bouncesink.shape import time_as_json

if TYPE_CHECKING:  # the real imports are slow, and help needs none of them
    from bouncesink.engine.trends import Change, Trends
    from bouncesink.watch import Rate

SEVERITIES = ("HARD", "SOFT", "BLOCK")
_MOST = 10
"""Rows of each table."""


@click.command()
@click.option("--days", default=30, show_default=True, type=click.IntRange(1, 3650))
@click.option("--html", "as_html", is_flag=True, help="Print a page of HTML, whole in itself.")
@config_options
@json_option
def command(config: Config, days: int, *, as_html: bool, as_json: bool) -> None:
    """Compare the failures of the last DAYS days with those of as many days before.

    By category, rule, provider, campaign, mailbox and subject, which stands for the template: what
    changed most comes first, and what chance alone may explain is not marked. Then the rates of
    hard bounces, where it is known what was sent, and the addresses at risk.
    """
    from bouncesink.engine import utcnow
    from bouncesink.engine.trends import trends

    if as_html and as_json:
        raise InputError("--html or --json, not both")
    with read_ledger(config) as ledger:
        found = trends(ledger, config, utcnow(), days)
    if as_json:
        print_json(trends_as_json(found))
    elif as_html:
        from bouncesink.cli.report_html import page

        click.echo(page(found))
    else:
        for line in _lines(found):
            click.echo(line)


def counts(change: "Change") -> list[str]:
    """Give each severity before and now, and a mark where chance alone does not explain it."""
    cells = [
        f"{change.before.get(name, 0):,} -> {change.now.get(name, 0):,}" for name in SEVERITIES
    ]
    return [*cells, mark(change)]


def mark(change: "Change") -> str:
    from bouncesink.engine.trends import SURE

    if abs(change.deviations) < SURE:
        return ""
    return "more" if change.deviations > 0 else "less"


def rate_cells(rate: "Rate") -> list[str]:
    if not rate.known:
        return [rate.scope.value, rate.name, f"{rate.hard:,} of ?", "", ""]
    low, high = rate.interval
    share = f"{rate.hard:,} of {rate.sent:,}"
    return [rate.scope.value, rate.name, share, f"{rate.rate:.2%}", f"{low:.2%} to {high:.2%}"]


def _lines(found: "Trends") -> Iterator[str]:
    days = (found.until - found.since).days
    yield f"{plural(days, 'day')} to {when(found.until)}, beside the {plural(days, 'day')} before"
    yield ""
    yield table(["", *SEVERITIES, ""], [["all failures", *counts(found.total)]])
    for title, changes in found.changes.items():
        if changes:
            yield ""
            rows = [[safe(c.name, 60), *counts(c)] for c in changes[:_MOST]]
            yield table([title, *SEVERITIES, ""], rows)
            if len(changes) > _MOST:
                yield f"... and {len(changes) - _MOST:,} more (--json has all)"
    if found.rates:
        yield ""
        headers = ["rate of hard bounces", "", "", "rate", "95 % interval"]
        yield table(headers, [rate_cells(rate) for rate in found.rates[:_MOST]])
    yield ""
    yield f"{plural(len(found.at_risk), 'address', 'addresses')} at risk: one more strike counts"
    for contact in found.at_risk[:_MOST]:
        last = when(contact.last_strike_at)
        yield f"  {safe(contact.address)}  {plural(contact.strikes, 'strike')}, the last {last}"


def trends_as_json(found: "Trends") -> Mapping[str, Any]:
    return {
        "since": time_as_json(found.since),
        "until": time_as_json(found.until),
        "total": {"before": found.total.before, "now": found.total.now},
        "days": found.days,
        "changes": {
            title: [
                {
                    "name": each.name,
                    "before": each.before,
                    "now": each.now,
                    "deviations": round(each.deviations, 2),
                }
                for each in changes
            ]
            for title, changes in found.changes.items()
        },
        "rates": [
            {
                "scope": each.scope,
                "name": each.name,
                "sent": each.sent,
                "hard": each.hard,
                "rate": round(each.rate, 6) if each.known else None,
                "interval": [round(end, 6) for end in each.interval],
            }
            for each in found.rates
        ],
        "at_risk": [
            {
                "address": each.address,
                "strikes": each.strikes,
                "last_strike_at": time_as_json(each.last_strike_at),
            }
            for each in found.at_risk
        ],
    }
