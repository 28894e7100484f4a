"""SendGrid's Event Webhook: one event of the array.

https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event. A custom argument is a
member like any other.
"""

from collections.abc import Iterable

from bouncesink.model import DsnAction, Kind, Notice, Original, Report
from bouncesink.parse.jsonfields import Json, first_text, text_of, time_of
from bouncesink.parse.original import message_id
from bouncesink.parse.providers.telling import (
    HARD,
    REFUSED,
    campaign_of,
    identify,
    make_failure,
    make_notice,
    make_word,
    unreadable,
)
from bouncesink.parse.reports import make_report

NAME = "sendgrid"

_WORDS = {
    "dropped": Kind.DROPPED,
    "spamreport": Kind.FEEDBACK,
    "unsubscribe": Kind.UNSUBSCRIBE,
    "group_unsubscribe": Kind.UNSUBSCRIBE,
}
_ATTEMPTS = {
    "deferred": (Kind.DELAYED, DsnAction.DELAYED),
    "delivered": (Kind.DELIVERED, DsnAction.DELIVERED),
}


def read(event: Json, _: Iterable[str] = ()) -> Notice:
    what, email = text_of(event.get("event")), text_of(event.get("email"))
    identity = identify(NAME, event.get("sg_event_id"))
    at = time_of(event.get("timestamp"))
    said = first_text(event, "reason", "response")
    if what == "bounce":
        kind, report = Kind.FAILURE, _bounce(event, email, said)
    elif what in _ATTEMPTS:
        kind, action = _ATTEMPTS[what]
        report = make_report(email, NAME, action=action, diagnostic=said, last_attempt=at)
    elif what in _WORDS:
        kind, report = _WORDS[what], make_word(email, NAME, at, said)
    else:
        return unreadable(NAME, what, identity)
    return make_notice(NAME, kind, (report,), _original(event), identity=identity, at=at)


def _bounce(event: Json, email: str, said: str) -> Report:
    blocked = text_of(event.get("type")) == "blocked"
    return make_failure(
        email,
        NAME,
        said=said,
        hint=REFUSED if blocked else HARD,
        at=time_of(event.get("timestamp")),
        status=text_of(event.get("status")) or None,
    )


def _original(event: Json) -> Original:
    # An id of SendGrid's: what stands before the first dot is the message's, for all recipients.
    own = text_of(event.get("sg_message_id")).partition(".")[0]
    return Original(
        message_id=message_id(text_of(event.get("smtp-id"))) or message_id(own),
        campaign=campaign_of(
            *map(
                event.get,
                ("campaign", "campaign_id", "marketing_campaign_name", "singlesend_name"),
            ),
            event.get("category"),
        ),
    )
