"""Postmark's webhooks, which are not signed: a login in the URL, or a header field with a secret.

https://postmarkapp.com/developer/webhooks/webhooks-overview. The secret is `USER:PASSWORD`, or with
`header` what that field has to be. What repeats a request has the same bytes, and is one arrival.
"""

import base64
import binascii
import hmac

from bouncesink.config import ProviderConfig
from bouncesink.errors import ConfigError
from bouncesink.intake.webhooks.request import (
    Means,
    Refused,
    Request,
    Secrets,
    Told,
    any_of,
    events_of,
    object_of,
    octets,
)
from bouncesink.parse.jsonfields import text_of

_IGNORED = {"Open", "Click"}


class Postmark:
    """See `Provider`."""

    content_types = ("application/json",)
    max_body = 5_000_000
    is_probed = False

    def __init__(self, config: ProviderConfig, _: Means) -> None:
        self._secrets = Secrets(config.secret_file)
        self._header = config.header.lower()
        if not self._header and not all(b":" in line for line in self._secrets.lines()):
            raise ConfigError(
                f"{self._secrets.path}: USER:PASSWORD is wanted, as in the URL that Postmark has"
            )

    async def told(self, request: Request) -> Told:
        given = self._given(request)
        if not any_of(hmac.compare_digest(given, line) for line in self._secrets.lines()):
            raise Refused(401, "credentials", "the login or the secret is missing or wrong")
        record = object_of(request.body)
        return events_of([record], lambda each: text_of(each.get("RecordType")) in _IGNORED)

    def _given(self, request: Request) -> bytes:
        if self._header:
            return octets(request.headers, self._header)
        scheme, _, login = octets(request.headers, "authorization").partition(b" ")
        try:
            return base64.b64decode(login, validate=True) if scheme.lower() == b"basic" else b""
        except binascii.Error:
            return b""
