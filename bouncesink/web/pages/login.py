"""Logging in and out."""

from urllib.parse import urlsplit

from aiohttp import web

from bouncesink.web.access.guard import LOGIN, Guard, form_of
from bouncesink.web.pages.render import page, see_other


def routes(guard: Guard) -> list[web.RouteDef]:
    async def form(request: web.Request) -> web.StreamResponse:
        if guard.closed or guard.session(request) is not None:
            raise web.HTTPSeeOther("/")
        return _page(_next(request.query.get("next", "/")))

    async def log_in(request: web.Request) -> web.StreamResponse:
        given = await form_of(request)
        name, password = given.get("name", "").strip(), given.get("password", "")
        back = _next(given.get("next", "/"))
        if guard.closed or not guard.is_from_us(request):
            raise web.HTTPForbidden(reason="this form is not of ours: reload the page")
        if wait := guard.wait(request, name):
            return _page(back, name, f"Too many attempts. Try again in {wait} s.", 429, wait)
        cookie = await guard.log_in(request, name, password)
        if cookie is None:
            return _page(back, name, "The name or the password is wrong.", 401)
        response = see_other(back)
        guard.set_cookie(request, response, cookie)
        return response

    async def log_out(request: web.Request) -> web.StreamResponse:
        session = guard.session(request)
        if session is not None:
            await guard.check_form(request, session)
        response = see_other(LOGIN)
        guard.log_out(request, response)
        return response

    return [web.get(LOGIN, form), web.post(LOGIN, log_in), web.post("/logout", log_out)]


def _page(
    back: str, name: str = "", problem: str = "", status: int = 200, wait: int = 0
) -> web.Response:
    response = page("login.html", None, status=status, next=back, name=name, problem=problem)
    if wait:
        response.headers["Retry-After"] = str(wait)
    return response


def _next(given: str) -> str:
    """Give a path of ours to go on to; whatever leads elsewhere becomes the first page."""
    parts = urlsplit(given)
    ours = given.startswith("/") and not given.startswith(("//", "/\\"))
    if not ours or parts.netloc or parts.scheme or not given.isprintable() or "\\" in given:
        return "/"
    return given
