"""The operator's page: rendered here, from templates, and usable without JavaScript.

Each module of this package is one part of it: it reads what it shows from the ledger, and hands
plain values to a template of its own in `bouncesink/web/templates`. Nothing of the world's text is
markup: Jinja escapes all of it, and the policy of the page lets nothing but our own files run.
"""

from collections.abc import Awaitable, Callable
from functools import wraps
from pathlib import Path

import structlog
from aiohttp import web

from bouncesink.errors import InputError, LedgerError
from bouncesink.web.access.guard import Guard
from bouncesink.web.context import AppContext
from bouncesink.web.pages import (
    addresses,
    arrivals,
    bounces,
    login,
    overview,
    queues,
    review,
    settings,
    suppressed,
    trends,
)
from bouncesink.web.pages.render import page
from bouncesink.web.pages.site import Site
from bouncesink.web.protection import template

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_PARTS = (overview, review, queues, bounces, addresses, arrivals, trends, suppressed, settings)
_STATIC = Path(__file__).parent.parent / "static"

log = structlog.get_logger(__name__)


def routes(context: AppContext) -> list[web.RouteDef]:
    """Give the routes of all parts; a page without a session leads to the login."""
    guard = Guard(context.config.web, context.people)
    site = Site(context, guard)
    made = [*login.routes(guard), *(route for part in _PARTS for route in part.routes(site))]
    return [*(_for_people(route, guard) for route in made), *_static()]


def _for_people(route: web.RouteDef, guard: Guard) -> web.RouteDef:
    """Have a person told in a page, too, what goes wrong."""
    return web.RouteDef(route.method, route.path, _told(route.handler, guard), route.kwargs)


def _told(handler: Handler, guard: Guard) -> Handler:
    @wraps(handler)
    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as error:
            if error.status < 400:
                raise
            status, words = error.status, error.reason
        except InputError as error:
            status, words = 400, str(error)
        except LedgerError as error:
            log.warning("web.ledger", route=template(request), error=str(error))
            status, words = 503, "The ledger cannot be used now. Try again in a while."
        return page("problem.html", guard.session(request), status=status, code=status, words=words)

    return answer


def _static() -> list[web.RouteDef]:
    """Serve our own files, each by its name: there is no path to go astray on."""
    files = {path.name: path for path in _STATIC.iterdir() if path.is_file()}

    async def serve(request: web.Request) -> web.StreamResponse:
        path = files.get(request.match_info["name"])
        if path is None:
            raise web.HTTPNotFound
        return web.FileResponse(path, headers={"Cache-Control": "max-age=3600"})

    return [web.get("/static/{name}", serve)]
