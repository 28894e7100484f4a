"""Campaigns, mailboxes, providers, categories and rules, with what changed and their rates."""

import asyncio
import time
from datetime import UTC, datetime

from aiohttp import web

from bouncesink.engine.trends import SURE, Trends, trends
from bouncesink.engine.watch import View, look
from bouncesink.ledger import Ledger
from bouncesink.web.pages.charts import SEVERITIES, Series
from bouncesink.web.pages.site import Site, number

CHOICES = (7, 30, 90, 365)
KEPT = 60.0
"""Seconds for which a report is good enough: it reads every event of its span, and of one more."""

_ROWS = 50
_BARS = 15


def routes(site: Site) -> list[web.RouteDef]:
    config = site.context.config
    kept: dict[int, tuple[float, Trends, View]] = {}
    turn = asyncio.Lock()

    async def show(request: web.Request) -> web.Response:
        session = site.guard.require(request)
        days = number(request.query.get("days"))
        span = days if days in CHOICES else 30

        def read(ledger: Ledger) -> tuple[Trends, View]:
            now = datetime.now(UTC)
            return trends(ledger, config, now, span), look(ledger, config.watch, now)

        async with turn:  # who comes meanwhile has the same one
            if span not in kept or time.monotonic() - kept[span][0] > KEPT:
                found = await site.context.ledgers.read(read)
                kept[span] = (time.monotonic(), *found)
        _, report, view = kept[span]
        return site.show(
            request,
            session,
            "trends.html",
            report=report,
            view=view,
            days=span,
            choices=CHOICES,
            charts=_charts(report),
            severities=SEVERITIES[:3],
            rows=_ROWS,
            sure=SURE,
            warn=config.watch.warn_percent,
            act=config.watch.act_percent,
        )

    return [web.get("/trends", show)]


def _charts(report: Trends) -> dict[str, Series]:
    """Give the days, and the biggest of each, as bars."""
    severities = SEVERITIES[:3]
    charts = {
        "day": Series(
            "Failures a day, by severity",
            "day",
            severities,
            [(day, [n.get(s, 0) for s in severities]) for day, n in report.days.items()],
        )
    }
    for title in ("category", "provider"):
        biggest = sorted(report.changes[title], key=lambda each: -each.counts[1])[:_BARS]
        charts[title] = Series(
            f"Failures, by {title}",
            title,
            severities,
            [(each.name, [each.now.get(s, 0) for s in severities]) for each in biggest],
        )
    return charts
