"""SmartLead's webhooks: HMAC-SHA256 over the body as it came, in X-Smartlead-Signature.

https://api.smartlead.ai/reference/webhooks. No time of sending is signed, nor is X-Request-Id; what
repeats an event has the same bytes, and is one arrival. Older ones have the webhook's own secret in
them, as `secret_key`: it is never kept.
"""

import hashlib
import hmac
from typing import Any

from bouncesink.config import ProviderConfig
from bouncesink.intake.webhooks.request import (
    Means,
    Request,
    Secrets,
    Told,
    any_of,
    check_signature,
    events_of,
    object_of,
    octets,
    refuse_body,
)
from bouncesink.parse.jsonfields import text_of

_IGNORED = {
    "EMAIL_SENT",
    "FIRST_EMAIL_SENT",
    "EMAIL_OPEN",
    "EMAIL_OPENED",
    "EMAIL_LINK_CLICK",
    "EMAIL_LINK_CLICKED",
    "EMAIL_CLICKED",
    "EMAIL_REPLY",
    "EMAIL_REPLIED",
    "LEAD_CATEGORY_UPDATED",
    "CAMPAIGN_STATUS_CHANGED",
}
_SECRET = "secret_key"  # noqa: S105 - the name of a field


class SmartLead:
    """See `Provider`."""

    content_types = ("application/json",)
    max_body = 5_000_000
    is_probed = False

    def __init__(self, config: ProviderConfig, _: Means) -> None:
        self._secrets = Secrets(config.secret_file)

    async def told(self, request: Request) -> Told:
        given = octets(request.headers, "x-smartlead-signature").removeprefix(b"sha256=")
        check_signature(
            is_right=any_of(
                hmac.compare_digest(
                    hmac.new(key, request.body, hashlib.sha256).hexdigest().encode(), given
                )
                for key in self._secrets.lines()
            )
        )
        event = object_of(request.body)
        try:
            event = without_secret(event)
        except RecursionError:
            refuse_body("this JSON is nested too deep")
        what = text_of(event.get("event_type")) or text_of(event.get("event"))
        return events_of([event], lambda _: what in _IGNORED)


def without_secret(value: Any) -> Any:
    """Give the same without any member that is a secret, however deep."""
    if isinstance(value, dict):
        return {k: without_secret(v) for k, v in value.items() if k.lower() != _SECRET}
    return [without_secret(each) for each in value] if isinstance(value, list) else value
