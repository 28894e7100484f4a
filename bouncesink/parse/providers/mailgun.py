"""Mailgun's webhooks: the `event-data` of one.

https://documentation.mailgun.com/docs/mailgun/user-manual/events/events. A temporary failure will
be tried again and is a delay; the end is another event.
"""

from collections.abc import Iterable
from datetime import datetime

from bouncesink.model import DsnAction, Kind, Notice, Original, Report
from bouncesink.parse.jsonfields import Json, first_text, table_of, text_of, time_of
from bouncesink.parse.original import message_id
from bouncesink.parse.providers.telling import (
    HARD,
    REFUSED,
    SOFT,
    campaign_of,
    identify,
    make_failure,
    make_notice,
    make_word,
    unreadable,
)
from bouncesink.parse.reports import make_report, reply_code_in

NAME = "mailgun"

_ECHO_CODES = {"605", "606", "607"}
"""Codes of Mailgun's own: bounced, unsubscribed or complained before, so it did not try."""
_HINTS = {"old": SOFT, "espblock": REFUSED}
_WORDS = {"complained": Kind.FEEDBACK, "unsubscribed": Kind.UNSUBSCRIBE}


def read(wrapped: Json, _: Iterable[str] = ()) -> Notice:
    event = table_of(wrapped.get("event-data"))
    what, recipient = text_of(event.get("event")), text_of(event.get("recipient"))
    identity = identify(NAME, event.get("id"))
    at = time_of(event.get("timestamp"))
    if what == "failed":
        kind, report = _failed(event, recipient, at)
    elif what == "delivered":
        said = _said(event)
        kind = Kind.DELIVERED
        report = make_report(
            recipient, NAME, action=DsnAction.DELIVERED, diagnostic=said, last_attempt=at
        )
    elif what in _WORDS:
        kind, report = _WORDS[what], make_word(recipient, NAME, at)
    else:
        return unreadable(NAME, what, identity)
    return make_notice(NAME, kind, (report,), _original(event), identity=identity, at=at)


def _failed(event: Json, recipient: str, at: datetime | None) -> tuple[Kind, Report]:
    status = table_of(event.get("delivery-status"))
    code, said, reason = text_of(status.get("code")), _said(event), text_of(event.get("reason"))
    if reason.startswith("suppress-") or code in _ECHO_CODES:
        return Kind.DROPPED, make_word(recipient, NAME, at, said)
    reply = reply_code_in(code)
    enhanced = text_of(status.get("enhanced-code")) or None
    if text_of(event.get("severity")) == "temporary":
        return Kind.DELAYED, make_report(
            recipient,
            NAME,
            action=DsnAction.DELAYED,
            diagnostic=said,
            status=enhanced,
            reply_code=reply,
            last_attempt=at,
        )
    return Kind.FAILURE, make_failure(
        recipient,
        NAME,
        said=said,
        hint=_HINTS.get(reason, HARD),
        at=at,
        status=enhanced,
        reply_code=reply,
        remote_mta=text_of(status.get("mx-host")) or None,
    )


def _said(event: Json) -> str:
    return first_text(table_of(event.get("delivery-status")), "message", "description")


def _original(event: Json) -> Original:
    headers = table_of(table_of(event.get("message")).get("headers"))
    variables = table_of(event.get("user-variables"))
    campaigns = event.get("campaigns")
    first = table_of(campaigns[0]) if isinstance(campaigns, list) and campaigns else {}
    return Original(
        message_id=message_id(text_of(headers.get("message-id"))),
        from_=text_of(headers.get("from")) or None,
        to=text_of(headers.get("to")) or None,
        subject=text_of(headers.get("subject")) or None,
        campaign=campaign_of(
            variables.get("campaign"),
            variables.get("campaign_id"),
            first.get("name"),
            event.get("tags"),
        ),
    )
