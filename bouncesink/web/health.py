"""Whether the service is alive, and whether it is ready, for whoever starts it and watches it."""

from aiohttp import web

from bouncesink.web.context import AppContext


def routes(context: AppContext) -> list[web.RouteDef]:
    health = context.health

    async def alive(_: web.Request) -> web.Response:
        """503 when a part is stuck that only a new start can help."""
        well = health.alive()
        return web.json_response(
            {"alive": well, "parts": _parts(context)}, status=200 if well else 503
        )

    async def ready(_: web.Request) -> web.Response:
        """503, with the reasons in words, when mail is not taken in and read now."""
        reasons = health.why_not_ready()
        return web.json_response(
            {"ready": not reasons, "reasons": reasons, "parts": _parts(context)},
            status=503 if reasons else 200,
        )

    return [web.get("/healthz", alive), web.get("/readyz", ready)]


def _parts(context: AppContext) -> list[dict[str, object]]:
    return [
        {"part": each.name, "ok": each.ok, "since": each.since.isoformat(), "text": each.text}
        for each in context.health.parts()
    ]
