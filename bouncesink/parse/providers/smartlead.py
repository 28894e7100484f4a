"""SmartLead's webhooks, in both of their shapes: flat with `event_type`, nested with `event`.

https://api.smartlead.ai/reference/webhooks. It gives no class of a bounce: the text of the mail
that came back is the evidence.
"""

from collections.abc import Iterable

from bouncesink.model import Kind, Notice, Original
from bouncesink.parse.formats.reading import cut, cut_headers, flat
from bouncesink.parse.jsonfields import Json, first_text, table_of, text_of, time_of
from bouncesink.parse.message import strip_html
from bouncesink.parse.original import message_id
from bouncesink.parse.providers.telling import (
    campaign_of,
    identify,
    make_failure,
    make_notice,
    make_word,
    unreadable,
)

NAME = "smartlead"

_BOUNCES = {"EMAIL_BOUNCE", "EMAIL_BOUNCED"}
_TESTS = {"TEST", "TEST_EVENT", "WEBHOOK_TEST"}
"""What comes when a webhook is saved, under names that vary."""
_UNSUBSCRIBES = {"LEAD_UNSUBSCRIBED", "EMAIL_UNSUBSCRIBED"}


def read(event: Json, _: Iterable[str] = ()) -> Notice:
    what = first_text(event, "event_type", "event")
    lead, campaign = table_of(event.get("lead")), table_of(event.get("campaign"))
    email = first_text(event, "to_email", "lead_email", "email") or first_text(lead, "email")
    stamp = first_text(event, "event_timestamp", "timestamp")
    identity = identify(NAME, what, event.get("stats_id"), stamp)
    bounced = table_of(event.get("bounce_message"))
    at = time_of(stamp) or time_of(bounced.get("time"))
    if what in _TESTS:
        return make_notice(NAME, Kind.TEST_EVENT, (), Original(), identity=identity, at=at)
    if what in _BOUNCES:
        kind = Kind.FAILURE
        report = make_failure(email, NAME, said=_said(bounced), hint=None, at=at)
    elif what in _UNSUBSCRIBES:
        kind, report = Kind.UNSUBSCRIBE, make_word(email, NAME, at)
    else:
        return unreadable(NAME, what, identity)
    sent = table_of(event.get("sent_message"))
    original = Original(
        message_id=message_id(first_text(sent, "message_id")),
        from_=first_text(event, "from_email") or None,
        subject=first_text(event, "subject") or None,
        date=time_of(sent.get("time")),
        campaign=campaign_of(
            *map(event.get, ("campaign_name", "campaign_id")), *map(campaign.get, ("name", "id"))
        ),
    )
    return make_notice(NAME, kind, (report,), original, identity=identity, at=at)


def _said(bounced: Json) -> str:
    """Give what the mail system said, without the message that it returned."""
    said = text_of(bounced.get("text")) or strip_html(text_of(bounced.get("html")))
    return flat(cut_headers(cut(said)[0])[0])
