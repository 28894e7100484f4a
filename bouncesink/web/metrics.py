"""Figures for Prometheus: what they are is in `bouncesink.service.metrics`."""

from aiohttp import web

from bouncesink.errors import LedgerError
from bouncesink.web.context import AppContext

TEXT = "text/plain; version=0.0.4; charset=utf-8"


def routes(context: AppContext) -> list[web.RouteDef]:
    metrics = context.metrics
    if metrics is None:
        return []

    async def show(_: web.Request) -> web.Response:
        try:
            text = await context.ledgers.read(metrics)
        except LedgerError:  # the more reason to tell what is known without it
            text = metrics(None)
        return web.Response(body=text, headers={"Content-Type": TEXT})

    return [web.get("/metrics", show)]
