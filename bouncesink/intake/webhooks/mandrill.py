"""Mandrill's webhooks: HMAC-SHA1 over the URL as it is set there, and the form's fields.

https://mailchimp.com/developer/transactional/guides/track-respond-activity-webhooks/. No time of
sending is signed; what repeats an event has the same bytes, and is one arrival.
"""

import base64
import hashlib
import hmac
import re
from binascii import a2b_qp

from bouncesink.config import ProviderConfig
from bouncesink.intake.webhooks.request import (
    Means,
    Request,
    Secrets,
    Told,
    any_of,
    check_signature,
    events_of,
    json_of,
    octets,
    refuse_body,
)
from bouncesink.parse.jsonfields import text_of

_IGNORED = {"send", "open", "click"}
_MAX_FIELDS = 20
_FORM = re.compile(rb"[!-~]*")
_TEST_KEY = b"test-webhook"
"""Signs the empty list that comes while a webhook is made, and has no key yet."""


class Mandrill:
    """See `Provider`."""

    content_types = ("application/x-www-form-urlencoded",)
    max_body = 10_000_000
    is_probed = True

    def __init__(self, config: ProviderConfig, _: Means) -> None:
        self._secrets = Secrets(config.secret_file)
        self._url = config.url.encode()

    async def told(self, request: Request) -> Told:
        form = form_of(request.body)
        given = octets(request.headers, "x-mandrill-signature")
        events = form.get(b"mandrill_events", b"")
        keys = [*self._secrets.lines(), *([_TEST_KEY] if events.strip() == b"[]" else [])]
        signed = self._url + b"".join(name + form[name] for name in sorted(form))
        check_signature(
            is_right=any_of(hmac.compare_digest(_sign(key, signed), given) for key in keys)
        )
        return events_of(json_of(events), lambda event: text_of(event.get("event")) in _IGNORED)


def form_of(body: bytes) -> dict[bytes, bytes]:
    """Read application/x-www-form-urlencoded, each field once. Raises Refused.

    Anyone can send one, and urllib would take seconds and a gigabyte for ten megabytes of it.
    """
    if body.count(b"&") >= _MAX_FIELDS or not _FORM.fullmatch(body):
        refuse_body("this is no form")
    pairs = [each.partition(b"=") for each in body.split(b"&")]
    form = {_plain(name): _plain(value) for name, _, value in pairs}
    return form if len(form) == len(pairs) else refuse_body("a field is there twice")


def _plain(escaped: bytes) -> bytes:
    """Undo the escapes: as quoted-printable, which are the same but for their sign."""
    return a2b_qp(escaped.replace(b"=", b"=3D").replace(b"+", b" ").replace(b"%", b"="))


def _sign(key: bytes, signed: bytes) -> bytes:
    return base64.b64encode(hmac.digest(key, signed, hashlib.sha1))
