"""The operator's page: rendered here, from templates, and usable without JavaScript.

Each module of this package is one part of it: it reads what it shows from the ledger, and hands
plain values to a template of its own in `bouncesink/web/templates`. Nothing of the world's text is
markup: Jinja escapes all of it, and the policy of the page lets nothing but our own files run.
"""

from collections.abc import Awaitable, Callable
from functools import wraps

import structlog
from aiohttp import web

from bouncesink.errors import InputError, LedgerError
from bouncesink.web.access.guard import LOGIN, Guard, is_by_script
from bouncesink.web.access.sessions import Session
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
from bouncesink.web.pages.render import STATIC, page, versions
from bouncesink.web.pages.site import BEGUN, Site
from bouncesink.web.protection import template

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_PARTS = (overview, review, queues, bounces, addresses, arrivals, trends, suppressed, settings)

_WANTED = "max-age=31536000, immutable"
"""How long a browser keeps a file of ours that it asked for with its version."""

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
        retry = ""
        try:
            return await handler(request)
        except web.HTTPException as error:
            if error.status < 400:
                return _elsewhere(request, error)
            status, words = error.status, error.reason
        except InputError as error:
            status, words = 400, str(error)
        except LedgerError as error:
            if request.get(BEGUN):
                raise
            log.warning("web.ledger", route=template(request), error=str(error))
            status, words, retry = 503, "The ledger cannot be used now. Try again later.", "30"
        except Exception:
            if request.get(BEGUN):
                raise
            log.exception("web.failed", route=template(request))
            status, words = 500, "This is an error of bouncesink's own; its log tells more."
        response = _problem(request, guard.session(request), status, words)
        if status == 413:  # rather than read what else would come
            response.force_close()
        if retry:
            response.headers["Retry-After"] = retry
        return response

    return answer


def _problem(
    request: web.Request, session: Session | None, status: int, words: str
) -> web.Response:
    if not is_by_script(request):
        return page("problem.html", session, status=status, code=status, words=words)
    response = page("said.html", session, status=status, said=(words, False))
    # What brings itself up to date stays as it was; what a person sent stays to be sent again.
    response.headers["HX-Reswap"] = "beforebegin" if request.method == "POST" else "none"
    return response


def _elsewhere(request: web.Request, error: web.HTTPException) -> web.StreamResponse:
    """Lead on; a script would follow by itself, and put the login where a piece was to go."""
    if not is_by_script(request) or not error.headers["Location"].startswith(LOGIN):
        raise error
    return web.Response(status=401, headers={"HX-Redirect": LOGIN})


@web.middleware
async def lost(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Tell a person in a page that there is nothing where they went."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        unknown = request.match_info.http_exception is error
        if not unknown or "text/html" not in request.headers.get("Accept", ""):
            raise
        words = "There is nothing here." if error.status == 404 else error.reason
        response = page("problem.html", None, status=error.status, code=error.status, words=words)
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
        return response


def _static() -> list[web.RouteDef]:
    """Serve our own files, each by its name: there is no path to go astray on."""
    known = versions()

    async def serve(request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        if name not in known:
            raise web.HTTPNotFound
        kept = _WANTED if request.query.get("v") == known[name] else "no-cache"
        return web.FileResponse(STATIC / name, headers={"Cache-Control": kept})

    return [web.get("/static/{name}", serve)]
