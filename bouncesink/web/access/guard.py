"""The guard: who asks for a page, whether they may, and whether a form is really theirs."""

import asyncio
import hmac
import ipaddress
import time
from urllib.parse import parse_qsl, quote, urlsplit

import structlog
from aiohttp import web
from multidict import MultiDict

from bouncesink.config import WebConfig
from bouncesink.errors import ConfigError
from bouncesink.web.access.people import People
from bouncesink.web.access.sessions import Session
from bouncesink.web.access.users import Entry, Role, User, load, matches

COOKIE = "bouncesink"
LOGIN = "/login"
FORM_TOKEN = "form_token"  # noqa: S105 - the name of a field

RECHECK = 1.0
"""Seconds after which the file of users is looked at again."""

AT_ONCE = 2
"""Passwords that are checked at the same time: each takes memory and a fifth of a second."""

MOST_FORM = 64 * 1024
MOST_FIELDS = 200
"""Octets and fields of a form: it is read before it is known who sends it."""

_FORM = web.RequestKey("form", MultiDict[str])

log = structlog.get_logger(__name__)


class Guard:
    """Belongs to the web server's event loop.

    Without `web.users` and `web.proxy_user` nobody is let in, and `closed` says what to do.
    """

    def __init__(self, config: WebConfig, people: People | None = None) -> None:
        people = people or People()
        self._config = config
        self._sessions = people.sessions
        self._proxied = people.proxied
        self._attempts = people.attempts
        self._entries: dict[str, Entry] = {}
        self._next = 0.0
        self._turn = asyncio.Semaphore(AT_ONCE)
        if config.users is not None:
            self._entries = load(config.users)

    @property
    def closed(self) -> bool:
        return self._config.users is None and not self._config.proxy_user

    def session(self, request: web.Request) -> Session | None:
        """Give the session of who asks, or None: they have to log in."""
        if self._config.proxy_user and _is_near(request):
            name = request.headers.get(self._config.proxy_user, "")
            if name or self._config.users is None:
                return self._of_proxy(name) if name else None
        cookie = request.cookies.get(self._cookie(request), "")
        # A page that brings itself up to date does not show that anybody is there.
        session = self._sessions.of(cookie, idle=request.method == "GET" and is_by_script(request))
        if session is None:
            return None
        entry = self._users().get(session.user.name)
        if entry is None:  # taken off the list since
            return None
        session.user = entry.user
        return session

    def require(self, request: web.Request) -> Session:
        """Give the session, or raise what sends a person to the login."""
        if self.closed:
            raise web.HTTPForbidden(
                reason="nobody may see the page yet: `bouncesink user add` makes a user"
            )
        session = self.session(request)
        if session is None:
            if self._config.users is None:
                raise web.HTTPForbidden(reason="the web server in front named nobody")
            back = request.path_qs if request.method in ("GET", "HEAD") else "/"
            raise web.HTTPSeeOther(f"{LOGIN}?next={quote(back, safe='')}")
        return session

    async def require_act(self, request: web.Request) -> Session:
        """Give the session of who may act and has sent one of our own forms; else raise."""
        session = self.require(request)
        await self.check_form(request, session)
        if not session.user.may_act:
            raise web.HTTPForbidden(reason=f"{session.user.name} may look, but not act")
        return session

    async def check_form(self, request: web.Request, session: Session) -> None:
        """Raise HTTPForbidden unless the form carries this session's token and comes from us."""
        given = (await form_of(request)).get(FORM_TOKEN, "")
        right = hmac.compare_digest(given.encode(), session.form_token.encode())
        if not right or not self.is_from_us(request):
            log.warning("access.foreign_form", user=session.user.name)
            raise web.HTTPForbidden(reason="this form is not of this session: reload the page")

    def is_from_us(self, request: web.Request) -> bool:
        """Whether the browser says that a form came from a page of ours, or says nothing."""
        site = request.headers.get("Sec-Fetch-Site", "same-origin")
        origin = request.headers.get("Origin")
        return site in ("same-origin", "none") and (
            origin is None or urlsplit(origin).netloc == request.headers.get("Host")
        )

    def wait(self, request: web.Request, name: str) -> int:
        """Give the seconds until this name and this peer may try a password."""
        return self._attempts.wait(*_who(request, name))

    async def log_in(self, request: web.Request, name: str, password: str) -> str | None:
        """Check a password; give the new session's cookie, or None where it is wrong.

        Also None, unchecked, for those who have to wait by the time that it is their turn: many
        guesses at once are not better than one after the other.
        """
        entry = self._users().get(name)
        who = _who(request, name)
        async with self._turn:
            if self._attempts.wait(*who):
                return None
            right = await asyncio.to_thread(matches, password, entry.hash if entry else None)
            if entry is None or not right:
                self._attempts.failed(*who)
                log.warning("access.refused", peer=_peer(request))
                return None
        self._attempts.succeeded(*who)
        self._sessions.end(request.cookies.get(self._cookie(request), ""))
        cookie, _ = self._sessions.begin(entry.user)
        log.info("access.login", user=name, peer=_peer(request))
        return cookie

    def log_out(self, request: web.Request, response: web.StreamResponse) -> None:
        self._sessions.end(request.cookies.get(self._cookie(request), ""))
        response.del_cookie(self._cookie(request), path="/")

    def set_cookie(self, request: web.Request, response: web.StreamResponse, cookie: str) -> None:
        response.set_cookie(
            self._cookie(request),
            cookie,
            path="/",
            httponly=True,
            samesite="Lax",
            secure=_is_secure(request),
        )

    def _cookie(self, request: web.Request) -> str:
        # With the prefix a browser takes it only from HTTPS and from this very host (RFC 6265bis).
        return f"__Host-{COOKIE}" if _is_secure(request) else COOKIE

    def _users(self) -> dict[str, Entry]:
        if self._config.users is not None and time.monotonic() >= self._next:
            self._next = time.monotonic() + RECHECK
            try:
                self._change(load(self._config.users))
            except ConfigError as error:
                log.warning("access.users", error=str(error))
        return self._entries

    def _change(self, entries: dict[str, Entry]) -> None:
        for name, entry in self._entries.items():
            if name not in entries or entries[name].hash != entry.hash:
                self._sessions.end_all_of(name)
        self._entries = entries

    def _of_proxy(self, name: str) -> Session:
        entry = self._users().get(name)
        default = Role.ACT if name in self._config.proxy_actors else Role.READ
        user = entry.user if entry else User(name[:64], default)
        now = time.monotonic()
        session = self._proxied.setdefault(user.name, Session(user, now, now, proxied=True))
        session.user = user
        return session


async def form_of(request: web.Request) -> MultiDict[str]:
    """Read a form, once. Raises HTTPUnsupportedMediaType and HTTPRequestEntityTooLarge."""
    if _FORM in request:
        return request[_FORM]
    if request.content_type != "application/x-www-form-urlencoded":
        raise web.HTTPUnsupportedMediaType(reason="a form of the page is wanted")
    body = b""
    async for piece in request.content.iter_any():
        body += piece
        if len(body) > MOST_FORM:
            raise web.HTTPRequestEntityTooLarge(MOST_FORM, len(body))
    try:
        pairs = parse_qsl(
            body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=MOST_FIELDS
        )
    except ValueError:
        raise web.HTTPRequestEntityTooLarge(
            MOST_FORM, len(body), reason="the form has too many fields"
        ) from None
    form = request[_FORM] = MultiDict(pairs)
    return form


def is_by_script(request: web.Request) -> bool:
    """Whether htmx asks, for a piece of a page."""
    return request.headers.get("HX-Request") == "true"


def _who(request: web.Request, name: str) -> tuple[str, str]:
    return f"name {name[:64]}", f"peer {_peer(request)}"


def _is_near(request: web.Request) -> bool:
    """Whether the peer is on this machine: only there may a web server in front be believed."""
    try:
        return not request.remote or ipaddress.ip_address(request.remote).is_loopback
    except ValueError:
        return True  # a unix socket


def _peer(request: web.Request) -> str:
    """Give who asks: of a web server in front on this machine, whom it named last."""
    if _is_near(request) and (named := request.headers.get("X-Forwarded-For")):
        return named.rpartition(",")[2].strip()[:64]
    return request.remote or "unix"


def _is_secure(request: web.Request) -> bool:
    return _is_near(request) and request.headers.get("X-Forwarded-Proto") == "https"
