"""SendGrid's Signed Event Webhook: ECDSA on P-256 over the timestamp and the body as they came.

https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features.
The secret is the verification key that SendGrid shows: base64 of its SubjectPublicKeyInfo.
"""

import base64
import binascii
from typing import Any

from bouncesink.config import ProviderConfig
from bouncesink.errors import ConfigError
from bouncesink.intake.webhooks.request import (
    Means,
    Request,
    Secrets,
    Told,
    check_age,
    events_of,
    json_of,
    octets,
    refuse_signature,
    seconds_of,
)
from bouncesink.parse.jsonfields import text_of

MAX_AGE = 600.0

_IGNORED = {"processed", "open", "click", "group_resubscribe"}
_SIGNATURE = "x-twilio-email-event-webhook-signature"
_TIMESTAMP = "x-twilio-email-event-webhook-timestamp"


class SendGrid:
    """See `Provider`."""

    content_types = ("application/json",)
    max_body = 5_000_000
    is_probed = False

    def __init__(self, config: ProviderConfig, _: Means) -> None:
        self._keys = Secrets(config.secret_file)
        self._max_age = config.max_age or MAX_AGE
        self._public_keys()

    async def told(self, request: Request) -> Told:
        stamp = request.headers.get(_TIMESTAMP, "")
        self._verify(octets(request.headers, _SIGNATURE), stamp.encode("utf-8", "replace"), request)
        check_age(seconds_of(stamp), request.now, self._max_age)
        return events_of(
            json_of(request.body), lambda event: text_of(event.get("event")) in _IGNORED
        )

    def _verify(self, given: bytes, stamp: bytes, request: Request) -> None:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.hashes import SHA256

        try:
            signature = base64.b64decode(given, validate=True)
        except binascii.Error:
            refuse_signature()
        for key in self._public_keys():
            try:
                key.verify(signature, stamp + request.body, ec.ECDSA(SHA256()))
            except InvalidSignature:
                continue
            return
        refuse_signature()

    def _public_keys(self) -> list[Any]:
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.serialization import load_der_public_key

        found = []
        for line in self._keys.lines():
            try:
                key = load_der_public_key(base64.b64decode(line, validate=True))
            except (ValueError, TypeError):
                key = None
            if not isinstance(key, ec.EllipticCurvePublicKey):
                raise ConfigError(
                    f"{self._keys.path}: the verification key of SendGrid is wanted, one line of "
                    "base64 as its page shows it"
                )
            found.append(key)
        return found
