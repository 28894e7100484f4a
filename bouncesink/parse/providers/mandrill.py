"""Mandrill's webhooks: one event of `mandrill_events`.

https://mailchimp.com/developer/transactional/docs/webhooks/. A deferral will be tried again. A
reject is an echo of its own list of addresses that it does not mail.
"""

from collections.abc import Iterable

from bouncesink.model import DsnAction, Kind, Notice, Original, Report
from bouncesink.parse.jsonfields import Json, first_text, table_of, text_of, time_of
from bouncesink.parse.original import message_id
from bouncesink.parse.providers.telling import (
    HARD,
    SOFT,
    campaign_of,
    identify,
    make_failure,
    make_notice,
    make_word,
    unreadable,
)
from bouncesink.parse.reports import make_report

NAME = "mandrill"

_BOUNCES = {"hard_bounce": HARD, "soft_bounce": SOFT}
_DESCRIPTIONS = {"bad_mailbox": "5.1.1", "invalid_domain": "5.1.2", "mailbox_full": "5.2.2"}
_WORDS = {"reject": Kind.DROPPED, "spam": Kind.FEEDBACK, "unsub": Kind.UNSUBSCRIBE}


def read(event: Json, _: Iterable[str] = ()) -> Notice:
    what, message = text_of(event.get("event")), table_of(event.get("msg"))
    email = text_of(message.get("email"))
    id_ = first_text(event, "_id") or first_text(message, "_id")
    identity = identify(NAME, what, id_, event.get("ts"))
    at = time_of(event.get("ts"))
    if id_.startswith("example") and email.endswith("@mandrillapp.com"):
        return make_notice(NAME, Kind.TEST_EVENT, (), Original(), identity=identity, at=at)
    report: Report
    if what in _BOUNCES:
        description = text_of(message.get("bounce_description"))
        hint = _DESCRIPTIONS.get(description, _BOUNCES[what])
        kind = Kind.FAILURE
        report = make_failure(email, NAME, said=_said(message), hint=hint, at=at)
    elif what == "deferral":
        kind = Kind.DELAYED
        report = make_report(
            email, NAME, action=DsnAction.DELAYED, diagnostic=_said(message), last_attempt=at
        )
    elif what in _WORDS:
        kind, report = _WORDS[what], make_word(email, NAME, at)
    else:
        return unreadable(NAME, what or text_of(event.get("type")), identity)
    return make_notice(NAME, kind, (report,), _original(message), identity=identity, at=at)


def _said(message: Json) -> str:
    if diag := text_of(message.get("diag")).strip():
        return diag
    attempts = message.get("smtp_events")
    last = attempts[-1] if isinstance(attempts, list) and attempts else {}
    return text_of(table_of(last).get("diag")).strip()


def _original(message: Json) -> Original:
    metadata = table_of(message.get("metadata"))
    return Original(
        # Mandrill's id of the message: it does not tell the Message-ID.
        message_id=message_id(text_of(message.get("_id"))),
        from_=text_of(message.get("sender")) or None,
        subject=text_of(message.get("subject")) or None,
        campaign=campaign_of(
            metadata.get("campaign"), metadata.get("campaign_id"), message.get("tags")
        ),
    )
