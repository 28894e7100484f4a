"""What holds for every request: who is asked, how long it takes, what errors and logs tell."""

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from bouncesink.config import WebConfig
from bouncesink.errors import InputError, LedgerError
from bouncesink.web.connections import Connections
from bouncesink.web.context import Observe

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

QUIET = {"/healthz", "/readyz", "/metrics", "/v1/addresses", "/v1/addresses/{email}"}
"""Routes that programs ask all the time; a request that goes well is logged for debugging only."""

UNKNOWN = "(none)"
"""What stands for the template of a route that there is not."""

_KEPT = ("Allow", "Retry-After", "WWW-Authenticate")
"""Fields of an error that a handler raised that go into the answer."""

METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

log = structlog.get_logger(__name__)


def preparing(connections: Connections) -> Callable[[web.Request, Any], Awaitable[None]]:
    """Make what is called right before the head of each answer is sent."""

    async def prepare(request: web.Request, response: web.StreamResponse) -> None:
        connections.answer(request.protocol)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers["Server"] = "bouncesink"

    return prepare


def watching(connections: Connections, observe: Observe) -> Middleware:
    """Make the outermost middleware: it times, logs and counts."""

    @web.middleware
    async def watch(request: web.Request, handler: Handler) -> web.StreamResponse:
        began = perf_counter()
        status = 500
        connections.begin(request.protocol)
        try:
            response = await handler(request)
            status = response.status
            return response
        except web.HTTPException as found:
            status = found.status
            raise
        except asyncio.CancelledError:
            status = 499  # the peer has gone, or we have to
            raise
        finally:
            connections.end(request.protocol)
            took = perf_counter() - began
            route = template(request)
            method = request.method if request.method in METHODS else "other"
            observe(route, method, status, took)
            quiet = route in QUIET and status < 400
            (log.debug if quiet else log.info)(
                "web.request",
                route=route,
                method=method,
                status=status,
                ms=round(took * 1000, 1),
                peer=request.remote or "unix",
            )

    return watch


def protecting(config: WebConfig, connections: Connections) -> Middleware:
    """Make the inner middleware: it refuses, limits, and turns every error into an answer."""
    hosts = {"localhost", *(host.lower() for host in config.hosts)}

    @web.middleware
    async def protect(request: web.Request, handler: Handler) -> web.StreamResponse:
        if refused := _refusal(request, hosts, config.max_body_size):
            return refused
        try:
            async with asyncio.timeout(config.timeout):
                return await handler(request)
        except Exception as error:
            if isinstance(error, web.HTTPException) and error.status < 400:
                raise
            answer = _answer(request, error)
            if connections.answers(request.protocol):
                raise  # half of another answer is on its way: it is cut off
            return answer

    return protect


def template(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else UNKNOWN


def say(status: int, error: str, *, close: bool = False, later: int = 0) -> web.Response:
    """Answer that something went wrong; `later` is after how many seconds to try again."""
    response = web.json_response({"error": error}, status=status)
    if later:
        response.headers["Retry-After"] = str(later)
    if close:  # rather than read what else would come
        response.force_close()
    return response


def _refusal(request: web.Request, hosts: set[str], most: int) -> web.Response | None:
    if not _is_ours(request.headers.get("Host", "localhost"), hosts):  # every browser sends it
        # A page of another site that had its own name point here would come by that name.
        return say(421, "not asked for by a name of ours; web.hosts lists them")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        return say(415, "a body may not be compressed", close=True)
    if (request.content_length or 0) > most:
        return say(413, f"at most {most:,} octets are taken", close=True)
    return None


def _is_ours(host: str, hosts: set[str]) -> bool:
    name, colon, port = host.lower().rpartition(":")
    if not colon or not port.isdigit():
        name = host.lower()
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return name in hosts
    return True


def _answer(request: web.Request, error: Exception) -> web.Response:
    match error:
        case web.HTTPException():
            answer = say(error.status, error.reason.lower(), close=error.status == 413)
            kept = {name: error.headers[name] for name in _KEPT if name in error.headers}
            answer.headers.update(kept)
        case InputError():
            answer = say(400, str(error))
        case LedgerError():
            log.warning("web.ledger", route=template(request), error=str(error))
            answer = say(503, "the ledger cannot be used now, try again later", later=30)
        case TimeoutError() if not request.content.is_eof():
            answer = say(408, "the request did not come in time", close=True)
        case TimeoutError():
            answer = say(503, "it took too long, try again later", later=30)
        case _:
            log.error("web.failed", route=template(request), exc_info=error)
            answer = say(500, "an error of bouncesink's own; its log tells more")
    return answer
