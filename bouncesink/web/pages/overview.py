"""The first page: is it well, what needs me, what came last, and where it goes."""

from datetime import UTC, datetime, timedelta

from aiohttp import web

from bouncesink.ledger import EventFilter, Ledger, Settlement
from bouncesink.model import Event
from bouncesink.web.pages.charts import Series, by_day
from bouncesink.web.pages.site import Site, failed

DAYS = 30
_LAST = 15
_CONFIRMATIONS = 10


def routes(site: Site) -> list[web.RouteDef]:
    context = site.context

    async def overview(request: web.Request) -> web.Response:
        session = site.guard.require(request)
        last, confirmations, days = await context.ledgers.read(_read)
        totals = context.ledgers.quick.totals()
        return site.show(
            request,
            session,
            "overview.html",
            parts=context.health.parts(),
            reasons=context.health.why_not_ready(),
            troubles=context.ledgers.quick.troubles(),
            failed=failed(totals),
            last=last,
            confirmations=confirmations,
            days=days,
        )

    return [web.get("/", overview)]


def _read(ledger: Ledger) -> tuple[list[Event], list[Settlement], Series]:
    since = datetime.now(UTC).date() - timedelta(days=DAYS - 1)
    last = [event for _, event in ledger.events_page(EventFilter(), None, _LAST)]
    return last, ledger.confirmations(_CONFIRMATIONS), by_day(ledger.days(since), since, DAYS)
