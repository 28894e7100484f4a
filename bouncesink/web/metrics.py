"""Figures for Prometheus: what they are is in `bouncesink.service.metrics`.

They tell how much is sent and what comes of it: where programs need a token, this one does, too.
"""

from aiohttp import web

from bouncesink.errors import LedgerError
from bouncesink.web.context import AppContext
from bouncesink.web.tokens import Tokens

TEXT = "text/plain; version=0.0.4; charset=utf-8"


def routes(context: AppContext) -> list[web.RouteDef]:
    metrics = context.metrics
    if metrics is None:
        return []

    tokens = Tokens(context.config.web.tokens)

    async def show(request: web.Request) -> web.Response:
        tokens.holder(request)
        try:
            text = await context.ledgers.read(metrics)
        except LedgerError:  # the more reason to tell what is known without it
            text = metrics(None)
        return web.Response(body=text, headers={"Content-Type": TEXT})

    return [web.get("/metrics", show)]
