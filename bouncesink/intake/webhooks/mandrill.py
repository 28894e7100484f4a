"""Mandrill's webhooks: HMAC-SHA1 over the URL as it is set there, and the form's fields.

https://mailchimp.com/developer/transactional/guides/track-respond-activity-webhooks/. No time of
sending is signed; what repeats an event has the same bytes, and is one arrival.
"""

import base64
import hashlib
import hmac
from urllib.parse import parse_qsl

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
_TEST_KEY = b"test-webhook"
"""Signs the empty list that comes while a webhook is made, and has no key yet."""


class Mandrill:
    """See `Provider`."""

    content_types = ("application/x-www-form-urlencoded",)
    max_body = 10_000_000
    is_probed = True

    def __init__(self, config: ProviderConfig, _: Means) -> None:
        self._secrets = Secrets(config.secret_file)
        self._url = config.url

    async def told(self, request: Request) -> Told:
        form = _form(request.body)
        given = octets(request.headers, "x-mandrill-signature")
        is_test = form.get("mandrill_events", "").strip() == "[]"
        keys = [*self._secrets.lines(), *([_TEST_KEY] if is_test else [])]
        signed = self._url + "".join(f"{name}{form[name]}" for name in sorted(form))
        octets_signed = signed.encode("utf-8", "surrogateescape")
        check_signature(
            is_right=any_of(hmac.compare_digest(_sign(key, octets_signed), given) for key in keys)
        )
        events = json_of(form.get("mandrill_events", "").encode("utf-8", "surrogateescape"))
        return events_of(events, lambda event: text_of(event.get("event")) in _IGNORED)


def _form(body: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="surrogateescape",
            max_num_fields=_MAX_FIELDS,
        )
    except ValueError:
        refuse_body("this is no form")
    form = dict(pairs)
    return form if len(form) == len(pairs) else refuse_body("a field is there twice")


def _sign(key: bytes, signed: bytes) -> bytes:
    return base64.b64encode(hmac.digest(key, signed, hashlib.sha1))
