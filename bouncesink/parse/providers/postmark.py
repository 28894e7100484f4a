"""Postmark's webhooks: one record.

https://postmarkapp.com/developer/webhooks/bounce-webhook, spam-complaint-webhook and
subscription-change-webhook; the types: https://postmarkapp.com/developer/api/bounce-api#bounce-types.
Keyed on the names of the types. `Description` says of every bounce of a type the same, so only
`Details` is evidence.
"""

from collections.abc import Iterable

from bouncesink.model import Kind, Notice, Original, Report
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

NAME = "postmark"

_TEST = "00000000-0000-0000-0000-000000000000"
"""The MessageID of what its own "send a test" sends."""

_FAILURES = {
    "HardBounce": HARD,
    "Transient": SOFT,
    "SoftBounce": SOFT,
    "DnsError": SOFT,
    "BadEmailAddress": "5.1.3",
    "SpamNotification": REFUSED,
    "VirusNotification": REFUSED,
    "Blocked": REFUSED,
    "DMARCPolicy": "5.7.26",
}
_WORDS = {
    "SpamComplaint": Kind.FEEDBACK,
    "Unsubscribe": Kind.UNSUBSCRIBE,
    "AutoResponder": Kind.AUTO_REPLY,
    "AddressChange": Kind.AUTO_REPLY,
    "ChallengeVerification": Kind.CHALLENGE,
    "ManuallyDeactivated": Kind.DROPPED,
}
_TIMES = ("BouncedAt", "ChangedAt", "DeliveredAt")


def read(record: Json, _: Iterable[str] = ()) -> Notice:
    what = first_text(record, "RecordType")
    at = next((when for key in _TIMES if (when := time_of(record.get(key)))), None)
    email = first_text(record, "Email", "Recipient")
    details = text_of(record.get("Details"))
    identity = _identity(record, what)
    if what == "Bounce":
        what = text_of(record.get("Type"))
    report: Report = make_word(email, NAME, at, details)
    if text_of(record.get("MessageID")) == _TEST:
        return make_notice(NAME, Kind.TEST_EVENT, (), Original(), identity=identity, at=at)
    if what == "SubscriptionChange":
        kind = _change(record)
    elif what in _FAILURES:
        kind = Kind.FAILURE
        report = make_failure(email, NAME, said=details, hint=_FAILURES[what], at=at)
    else:
        kind = Kind.DELIVERED if what == "Delivery" else _WORDS.get(what)
    if kind is None:
        return unreadable(NAME, what, identity)
    return make_notice(NAME, kind, (report,), _original(record), identity=identity, at=at)


def _identity(record: Json, what: str) -> str:
    if record.get("ID"):
        return identify(NAME, record.get("ID"))
    time = first_text(record, *_TIMES)
    return identify(NAME, what, record.get("MessageID"), record.get("Recipient"), time)


def _change(record: Json) -> Kind | None:
    """Say what it is that Postmark sends no more; to send again is for a person to read."""
    if record.get("SuppressSending") is not True:
        return None
    reason, origin = text_of(record.get("SuppressionReason")), text_of(record.get("Origin"))
    if reason == "SpamComplaint":
        return Kind.FEEDBACK
    if reason == "ManualSuppression" and origin == "Recipient":
        return Kind.UNSUBSCRIBE
    return Kind.DROPPED


def _original(record: Json) -> Original:
    own = text_of(record.get("MessageID"))
    metadata = table_of(record.get("Metadata"))
    return Original(
        # As Postmark writes it, unless it was told to keep the sender's.
        message_id=message_id(f"<{own}@mtasv.net>") if own else None,
        from_=text_of(record.get("From")) or None,
        subject=text_of(record.get("Subject")) or None,
        campaign=campaign_of(
            metadata.get("campaign"), metadata.get("campaign_id"), record.get("Tag")
        ),
    )
