"""Mailgun's webhooks: HMAC-SHA256 over a timestamp and a token.

https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks. The event
itself is not signed: whoever saw a signature could put another event to it. So a token is good for
one event only, which may come again. The tokens of late are stored with their events, and read
from there after a start.
"""

import hashlib
import hmac
from collections import OrderedDict
from datetime import datetime, timedelta

from bouncesink.config import ProviderConfig
from bouncesink.intake.webhooks.request import (
    SKEW,
    Means,
    Refused,
    Request,
    Secrets,
    Told,
    any_of,
    bytes_of,
    check_age,
    check_signature,
    object_of,
    refuse_body,
    seconds_of,
)
from bouncesink.parse.jsonfields import table_of, text_of

MAX_AGE = 600.0
MAX_TOKENS = 200_000

_IGNORED = {"accepted", "opened", "clicked", "stored"}


class Mailgun:
    """See `Provider`."""

    content_types = ("application/json",)
    max_body = 1_000_000
    is_probed = False

    def __init__(self, config: ProviderConfig, means: Means) -> None:
        self._secrets = Secrets(config.secret_file)
        self._max_age = config.max_age or MAX_AGE
        self._stored = means.stored
        self._source = config.source
        self._tokens: Tokens | None = None

    async def told(self, request: Request) -> Told:
        body = object_of(request.body)
        signature, event = table_of(body.get("signature")), body.get("event-data")
        stamp, token = text_of(signature.get("timestamp")), text_of(signature.get("token"))
        signed = f"{stamp}{token}".encode("utf-8", "surrogatepass")
        given = text_of(signature.get("signature")).encode("utf-8", "surrogatepass")
        check_signature(
            is_right=bool(token)
            and any_of(
                hmac.compare_digest(
                    hmac.new(key, signed, hashlib.sha256).hexdigest().encode(), given
                )
                for key in self._secrets.lines()
            )
        )
        check_age(seconds_of(stamp), request.now, self._max_age)
        if not isinstance(event, dict):
            refuse_body("event-data is wanted")
        if self._tokens is None:
            found = await self._read_tokens(request.now)
            self._tokens = self._tokens or found  # another request may have been quicker
        raw = bytes_of({"event-data": event, "signature": {"timestamp": stamp, "token": token}})
        if not self._tokens.admit(token, digest_of(event), request.now):
            raise Refused(403, "replay", "this token came with another event before")
        return Told((), ignored=1) if text_of(event.get("event")) in _IGNORED else Told((raw,))

    async def _read_tokens(self, now: datetime) -> "Tokens":
        # A token may have come first when it was made, and be good until it is `max_age` old.
        reach = timedelta(seconds=self._max_age) + SKEW
        tokens = Tokens(reach)
        for raw in await self._stored(self._source, now - reach):
            try:
                known = object_of(raw)
            except Refused:  # something was erased from it
                continue
            token = text_of(table_of(known.get("signature")).get("token"))
            tokens.admit(token, digest_of(known.get("event-data")), now)
        return tokens


def digest_of(event: object) -> bytes:
    return hashlib.sha256(bytes_of(event)).digest()


class Tokens:
    """Tokens of late, each with the digest of the event that it came with."""

    def __init__(self, reach: timedelta) -> None:
        self._reach = reach
        self._known: OrderedDict[str, tuple[bytes, datetime]] = OrderedDict()

    def admit(self, token: str, digest: bytes, now: datetime) -> bool:
        """Whether a token is new, or comes again with the same event."""
        while self._known and self._oldest() < now - self._reach:
            self._known.popitem(last=False)
        known = self._known.get(token)
        if known:
            return hmac.compare_digest(known[0], digest)
        if len(self._known) >= MAX_TOKENS:
            raise Refused(503, "replay", "too many requests to remember")
        self._known[token] = (digest, now)
        return True

    def _oldest(self) -> datetime:
        return next(iter(self._known.values()))[1]
