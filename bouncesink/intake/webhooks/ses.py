"""Amazon SES, by way of an SNS topic.

https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html. A right signature
alone proves nothing, as anyone can point a topic of theirs at us: only pinned topics are heard, and
only their subscriptions are confirmed. What SNS tries again for hours has the time at which it was
published, so that its age is bounded by a day. Raw message delivery is not signed, so not taken.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

from bouncesink.config import ProviderConfig
from bouncesink.intake.webhooks.certificates import HOST, Certificates
from bouncesink.intake.webhooks.request import (
    Means,
    NotFetched,
    Refused,
    Request,
    Told,
    bytes_of,
    check_age,
    object_of,
    refuse_body,
    refuse_signature,
)
from bouncesink.parse.jsonfields import time_of

MAX_AGE = 86_400.0

_CONFIRMATIONS = ("SubscriptionConfirmation", "UnsubscribeConfirmation")
_SIGNED: Mapping[str, Sequence[str]] = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    **dict.fromkeys(
        _CONFIRMATIONS,
        ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    ),
}
_OPTIONAL = {"Subject"}
_SUBSCRIBE = re.compile(rf"https://{HOST}/\?[A-Za-z0-9%&=._~:+-]{{1,4000}}")
_IGNORED = {"send", "open", "click"}
_GREETING = "Successfully validated SNS topic for Amazon SES event publishing."


class Ses:
    """See `Provider`."""

    content_types = ("text/plain", "application/json")
    max_body = 1_000_000
    is_probed = False

    def __init__(self, config: ProviderConfig, means: Means) -> None:
        self._topics = frozenset(config.topics)
        self._max_age = config.max_age or MAX_AGE
        self._certificates = Certificates(means.fetch)
        self._fetch = means.fetch

    async def told(self, request: Request) -> Told:
        envelope = object_of(request.body)
        signed = signed_text(envelope)
        if envelope["TopicArn"] not in self._topics:
            raise Refused(403, "topic", "this topic is not one of `topics`")
        url = envelope.get("SigningCertURL")
        key = await self._certificates.key(url if isinstance(url, str) else "", request.now)
        _verify(key, envelope, signed)
        published = time_of(envelope["Timestamp"])
        check_age(published.timestamp() if published else 0.0, request.now, self._max_age)
        if envelope["Type"] == "SubscriptionConfirmation":
            await self._confirm(envelope["SubscribeURL"], envelope["TopicArn"])
            return Told(ignored=1)
        return Told(ignored=1) if _is_ignored(envelope) else Told((bytes_of(envelope),))

    async def _confirm(self, url: str, topic: str) -> None:
        """Confirm a subscription of a pinned topic: at SNS and nowhere else, for this topic."""
        if not _SUBSCRIBE.fullmatch(url):
            raise Refused(403, "url", "SubscribeURL is not at a host of Amazon SNS")
        asked = parse_qs(urlsplit(url).query, max_num_fields=10)
        if asked.get("Action") != ["ConfirmSubscription"] or asked.get("TopicArn") != [topic]:
            raise Refused(403, "url", "SubscribeURL does not confirm this topic")
        try:
            await self._fetch(url)
        except NotFetched as error:
            said = f"the subscription cannot be confirmed: {error}"
            raise Refused(403 if error.final else 503, "url", said) from None


def signed_text(envelope: Mapping[str, Any]) -> bytes:
    """Give what is signed: each name and value on a line, in order. Raises Refused."""
    type_ = envelope.get("Type")
    if not isinstance(type_, str) or type_ not in _SIGNED:
        refuse_body("this is not of Amazon SNS, or raw message delivery is on")
    lines = []
    for name in _SIGNED[type_]:
        value = envelope.get(name)
        if value is None and name in _OPTIONAL:
            continue
        if not isinstance(value, str):
            refuse_body(f"{name} is missing")
        lines.append(f"{name}\n{value}\n")
    return "".join(lines).encode("utf-8", "surrogatepass")


def _verify(key: Any, envelope: Mapping[str, Any], signed: bytes) -> None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA1, SHA256

    version, given = envelope.get("SignatureVersion"), envelope.get("Signature")
    if version not in ("1", "2") or not isinstance(given, str):
        refuse_signature()
    algorithm = SHA256() if version == "2" else SHA1()  # noqa: S303 - version 1 is SHA-1
    try:
        key.verify(base64.b64decode(given, validate=True), signed, PKCS1v15(), algorithm)
    except (InvalidSignature, binascii.Error, ValueError):
        refuse_signature()


def _is_ignored(envelope: Mapping[str, Any]) -> bool:
    message = envelope["Message"].strip()
    if message == _GREETING:
        return True
    try:
        body = json.loads(message)
    except (ValueError, RecursionError):
        return False
    what = body.get("eventType") if isinstance(body, dict) else None
    return isinstance(what, str) and what.lower() in _IGNORED
