"""A notification as it came: what was read of it, and its bytes as text that does nothing."""

from aiohttp import web

from bouncesink.ledger import Ledger, Settlement
from bouncesink.model import Arrival, Event
from bouncesink.web.pages.site import Site

MOST = 256_000
"""Octets of a notification that are shown."""


def routes(site: Site) -> list[web.RouteDef]:
    async def one(request: web.Request) -> web.Response:
        session = site.guard.require(request)
        id_ = request.match_info["id"]

        def read(ledger: Ledger) -> tuple[Arrival | None, Settlement | None, list[Event]]:
            arrival = next(iter(ledger.arrivals([id_])), None)
            events = ledger.events_of_arrivals([id_]).get(id_, [])
            return arrival, ledger.settlements([id_]).get(id_), events

        arrival, settlement, events = await site.context.ledgers.read(read)
        if arrival is None and settlement is None:
            raise web.HTTPNotFound(reason="there is no such notification")
        raw = arrival.raw if arrival else b""
        return site.show(
            request,
            session,
            "arrival.html",
            id=id_,
            arrival=arrival,
            settlement=settlement,
            events=events,
            text=raw[:MOST].decode("utf-8", "replace"),
            cut=len(raw) > MOST,
        )

    return [web.get("/arrivals/{id}", one)]
