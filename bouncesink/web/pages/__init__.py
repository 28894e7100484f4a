"""The operator's page: rendered here, from templates, and usable without JavaScript.

Each module of this package is one part of it: it reads what it shows from the ledger, and hands
plain values to a template of its own in `bouncesink/web/templates`. Nothing of the world's text is
markup: Jinja escapes all of it, and the policy of the page lets nothing but our own files run.
"""

from pathlib import Path

from aiohttp import web

from bouncesink.web.access.guard import Guard
from bouncesink.web.context import AppContext
from bouncesink.web.pages import login

_STATIC = Path(__file__).parent.parent / "static"


def routes(context: AppContext) -> list[web.RouteDef]:
    """Give the routes of all parts; a page without a session leads to the login."""
    guard = Guard(context.config.web)
    return [*login.routes(guard), *_static()]


def _static() -> list[web.RouteDef]:
    """Serve our own files, each by its name: there is no path to go astray on."""
    files = {path.name: path for path in _STATIC.iterdir() if path.is_file()}

    async def serve(request: web.Request) -> web.StreamResponse:
        path = files.get(request.match_info["name"])
        if path is None:
            raise web.HTTPNotFound
        return web.FileResponse(path, headers={"Cache-Control": "max-age=3600"})

    return [web.get("/static/{name}", serve)]
