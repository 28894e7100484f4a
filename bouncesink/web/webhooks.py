"""What providers tell by webhook, at /hooks/NAME: see `bouncesink.intake.webhooks`.

Nothing is kept of a request that is refused; all that it tells is committed before it gets its 200.
"""

from collections.abc import Sequence
from datetime import datetime

import structlog
from aiohttp import web

from bouncesink.engine import utcnow
from bouncesink.errors import ConfigError
from bouncesink.intake.webhooks import Account, Means, Refused, Request, Told, open_accounts
from bouncesink.intake.webhooks.request import Fetch
from bouncesink.web.context import AppContext
from bouncesink.web.protection import say

MAX_AT_ONCE = 128
"""Requests that are verified and committed at the same time."""
MAX_HELD = 64_000_000
"""Octets of the bodies of all of them, and of those that are on their way in."""
MAX_REMEMBERED = 100_000

AGAIN = 5
"""Seconds after which a provider that we cannot hear now may try again."""

log = structlog.get_logger(__name__)


def routes(context: AppContext, fetch: Fetch | None = None) -> list[web.RouteDef]:
    """Raise ConfigError where a provider's secret cannot be used."""
    if not context.config.providers:
        return []
    if fetch is None:
        from bouncesink.web.fetching import Fetcher

        fetch = Fetcher()
    return [web.route("*", "/hooks/{name}", _Door(context, fetch).handle)]


class _Door:
    """Lets in what the accounts vouch for. Belongs to the web's event loop."""

    def __init__(self, context: AppContext, fetch: Fetch) -> None:
        async def stored(source: str, since: datetime) -> Sequence[bytes]:
            return await context.ledgers.read(
                lambda ledger: ledger.latest_of(source, since, MAX_REMEMBERED)
            )

        self._accounts = open_accounts(context.config.providers, Means(fetch, stored))
        self._context = context
        self._at_once = 0
        self._held = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        account = self._accounts.get(request.match_info["name"])
        if account is None:
            raise web.HTTPNotFound
        if request.method == "HEAD" and account.provider.is_probed:
            return web.Response()
        if request.method != "POST":
            raise web.HTTPMethodNotAllowed(request.method, ["POST"])
        try:
            return await self._take(request, account)
        except Refused as refused:
            return self._refuse(account, refused)
        except ConfigError as error:
            log.error("webhook.unusable", account=account.name, error=str(error))  # noqa: TRY400 - it is the user's mistake
            return say(503, "this account cannot be used now; its log tells more", later=AGAIN)

    async def _take(self, request: web.Request, account: Account) -> web.Response:
        if request.content_type not in account.provider.content_types:
            wanted = " or ".join(account.provider.content_types)
            raise Refused(415, "type", f"Content-Type: {wanted} is wanted")
        body = bytearray()
        try:
            await self._read(request, account.provider.max_body, body)
            told = await self._record(request, account, bytes(body))
        finally:
            self._held -= len(body)
        self._context.webhook(account.name, "taken", len(told.events))
        self._context.webhook(account.name, "ignored", told.ignored)
        log.info(
            "webhook.taken", account=account.name, events=len(told.events), ignored=told.ignored
        )
        return web.json_response({"taken": len(told.events), "ignored": told.ignored})

    async def _read(self, request: web.Request, most: int, body: bytearray) -> None:
        """Read a body as it comes, within what this one, and all of them, may have."""
        too_large = Refused(413, "size", f"at most {most:,} octets are taken")
        if (request.content_length or 0) > most:
            raise too_large
        async for chunk in request.content.iter_any():
            body += chunk
            self._held += len(chunk)
            if len(body) > most:
                raise too_large
            if self._held > MAX_HELD:
                raise Refused(503, "busy", "too much at once, try again later")

    async def _record(self, request: web.Request, account: Account, body: bytes) -> Told:
        """Verify a request, and return when all that it tells is committed."""
        if self._at_once >= MAX_AT_ONCE:
            raise Refused(503, "busy", "too much at once, try again later")
        self._at_once += 1
        try:
            now = utcnow()
            headers = {name.lower(): value for name, value in request.headers.items()}
            told = await account.provider.told(Request(headers, body, now))
            if told.events:
                await self._context.submit(list(account.arrivals(told, now)))
            return told
        finally:
            self._at_once -= 1

    def _refuse(self, account: Account, refused: Refused) -> web.Response:
        self._context.webhook(account.name, f"refused: {refused.why}", 1)
        log.warning(
            "webhook.refused",
            account=account.name,
            status=refused.status,
            why=refused.why,
            error=str(refused),
        )
        answer = say(
            refused.status,
            str(refused),
            close=refused.status in (413, 415),
            later=AGAIN if refused.status == 503 else 0,
        )
        if refused.status == 401:
            answer.headers["WWW-Authenticate"] = 'Basic realm="bouncesink"'
        return answer
