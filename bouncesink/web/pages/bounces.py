"""Every event, the latest first, and by what they have in common."""

from urllib.parse import urlencode

from aiohttp import web

from bouncesink.ledger import EventFilter
from bouncesink.model import Category, Severity
from bouncesink.web.pages.site import PAGE, Site, number

_FILTERS = ("severity", "category", "campaign", "domain", "rule")
_MOST = 300
"""Characters of a value that is asked for."""


def routes(site: Site) -> list[web.RouteDef]:
    async def list_(request: web.Request) -> web.Response:
        session = site.guard.require(request)
        given = {name: request.query.get(name, "")[:_MOST] for name in _FILTERS}
        given = {name: value for name, value in given.items() if value}
        wanted, before = EventFilter(**given), number(request.query.get("before"))
        found = await site.context.ledgers.read(
            lambda ledger: ledger.events_page(wanted, before, PAGE + 1)
        )
        more = None
        if len(found) > PAGE:
            more = f"?{urlencode(given | {'before': str(found[PAGE - 1][0])})}"
        return site.show(
            request,
            session,
            "bounces.html",
            list=[event for _, event in found[:PAGE]],
            given=given,
            more=more,
            severities=list(Severity),
            categories=list(Category),
        )

    return [web.get("/bounces", list_)]
