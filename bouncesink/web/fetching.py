"""GET over HTTPS for what a provider's request names: see `bouncesink.intake.webhooks.request`."""

import ssl

import aiohttp
from aiohttp.abc import AbstractResolver

from bouncesink.intake.webhooks.request import NotFetched

TIMEOUT = 5.0
"""Seconds, for all of it."""
MAX_SIZE = 65_536


class Fetcher:
    """Follows no redirect, no proxy of the environment, keeps no cookies.

    That the host is who it says is for TLS to prove, whatever the DNS says. `tls` and `resolver`
    are aiohttp's own unless they are given.
    """

    def __init__(
        self, tls: ssl.SSLContext | None = None, resolver: AbstractResolver | None = None
    ) -> None:
        self._tls = tls
        self._resolver = resolver

    async def __call__(self, url: str) -> bytes:
        """See `Fetch`."""
        connector = aiohttp.TCPConnector(ssl=self._tls or True, resolver=self._resolver)
        try:
            async with (
                aiohttp.ClientSession(
                    connector=connector,
                    cookie_jar=aiohttp.DummyCookieJar(),
                    timeout=aiohttp.ClientTimeout(total=TIMEOUT),
                    auto_decompress=False,
                ) as session,
                session.get(url, allow_redirects=False) as answer,
            ):
                if answer.status != 200:
                    said = f"it was answered with {answer.status}"
                    raise NotFetched(said, final=300 <= answer.status < 500)
                body = b""
                while chunk := await answer.content.read(MAX_SIZE + 1 - len(body)):
                    body += chunk
                    if len(body) > MAX_SIZE:
                        raise NotFetched("it is too large", final=True)
                return body
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise NotFetched(str(error) or type(error).__name__) from None
