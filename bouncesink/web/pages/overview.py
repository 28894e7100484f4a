"""The first page: is it well, what needs me, what came last, and where it goes."""

from datetime import UTC, datetime, timedelta

from aiohttp import web

from bouncesink.engine.problems import Problem, facts, problems
from bouncesink.ledger import EventFilter, Ledger, Settlement
from bouncesink.model import Event
from bouncesink.web.pages.charts import Series, by_day
from bouncesink.web.pages.site import Site, failed

DAYS = 30
_LAST = 15
_CONFIRMATIONS = 10


def routes(site: Site) -> list[web.RouteDef]:
    context = site.context

    def read(ledger: Ledger) -> tuple[list[Event], list[Settlement], Series, list[Problem]]:
        now = datetime.now(UTC)
        since = now.date() - timedelta(days=DAYS - 1)
        last = [event for _, event in ledger.events_page(EventFilter(), None, _LAST)]
        days = by_day(ledger.days(since), since, DAYS)
        found = problems(facts(ledger, context.config, now), context.config)
        return last, ledger.confirmations(_CONFIRMATIONS), days, found

    async def overview(request: web.Request) -> web.Response:
        session = site.guard.require(request)
        last, confirmations, days, found = await context.ledgers.read(read)
        totals = context.ledgers.quick.totals()
        known = {problem.what for problem in found}
        return site.show(
            request,
            session,
            "overview.html",
            parts=context.health.parts(),
            problems=found,
            reasons=[why for why in context.health.why_not_ready() if why not in known],
            failed=failed(totals),
            last=last,
            confirmations=confirmations,
            days=days,
        )

    return [web.get("/", overview)]
