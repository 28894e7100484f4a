"""Amazon SES: notifications and events, by SNS's webhook or as SNS mails them.

https://docs.aws.amazon.com/ses/latest/dg/notification-contents.html and
https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html.
bouncedRecipients, complainedRecipients, delayedRecipients and delivery.recipients are read;
`destination` tells nothing of a fate.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from bouncesink.model import DsnAction, Kind, Notice, Original, Report
from bouncesink.parse.jsonfields import Json, list_of, table_of, text_of, time_of
from bouncesink.parse.providers.telling import (
    HARD,
    SOFT,
    campaign_of,
    identify,
    make_failure,
    make_notice,
    original_in,
    unreadable,
)
from bouncesink.parse.reports import make_report

NAME = "amazon-sns"

_ECHOES = {"suppressed", "onaccountsuppressionlist"}
"""SES did not try: the address is on its suppression list, or on the account's."""
_SUB_TYPES = {"noemail": "5.1.1", "mailboxfull": "5.2.2", "messagetoolarge": "5.3.4"}
_TYPES = {"permanent": HARD, "transient": SOFT}


@dataclass(frozen=True, slots=True)
class Told:
    """What SES says of some recipients of one message. `headers` is that message's, a line each."""

    kind: Kind
    reports: tuple[Report, ...]
    headers: str
    id: str = ""
    at: datetime | None = None
    feedback_type: str | None = None


def read(envelope: Json, campaign_headers: Iterable[str] = ()) -> Notice:
    """Read what SNS delivered; what is in it may be of any kind."""
    what = text_of(envelope.get("Type"))
    if what != "Notification":
        return unreadable(NAME, f"SNS {what}", identify("sns", envelope.get("MessageId")))
    message = envelope.get("Message")
    try:
        body = json.loads(message) if isinstance(message, str) else None
    except (ValueError, RecursionError):
        body = None
    told = told_of(body) if isinstance(body, dict) else None
    if told is None:
        name = text_of(table_of(body).get("notificationType") or table_of(body).get("eventType"))
        what = name or "a message that is not of SES"
        return unreadable(NAME, what, identify("sns", envelope.get("MessageId")))
    assert isinstance(body, dict)
    return make_notice(
        NAME,
        told.kind,
        told.reports,
        _original(body, told.headers, campaign_headers),
        identity=told.id or identify("sns", envelope.get("MessageId")),
        at=told.at or time_of(envelope.get("Timestamp")),
        feedback_type=told.feedback_type,
    )


def told_of(body: Json) -> Told | None:
    """Read a notification of SES itself; None where it is none that we know."""
    what = text_of(body.get("notificationType") or body.get("eventType")).lower()
    part = body.get("deliveryDelay" if what == "deliverydelay" else what)
    if not isinstance(part, dict):
        return None
    headers = _headers(table_of(body.get("mail")))
    told = Told(
        Kind.FAILURE, (), headers, identify("ses", part.get("feedbackId")), _time(part, what)
    )
    match what:
        case "bounce":
            kind = Kind.DROPPED if _is_echo(part, "bounceSubType") else Kind.FAILURE
            return replace(told, kind=kind, reports=_bounced(part, told.at))
        case "complaint":
            return _complaint(told, part)
        case "delivery":
            said = text_of(part.get("smtpResponse"))
            recipients = part.get("recipients")
            made = _named(recipients, DsnAction.DELIVERED, told.at, said)
            return replace(told, kind=Kind.DELIVERED, reports=made)
        case "deliverydelay":
            made = _named(part.get("delayedRecipients"), DsnAction.DELAYED, told.at)
            return replace(told, kind=Kind.DELAYED, reports=made)
    return None


def _complaint(told: Told, part: Json) -> Told:
    made = _named(part.get("complainedRecipients"), DsnAction.DELIVERED, told.at)
    if _is_echo(part, "complaintSubType"):
        return replace(told, kind=Kind.DROPPED, reports=made)
    feedback_type = text_of(part.get("complaintFeedbackType")) or "abuse"
    return replace(told, kind=Kind.FEEDBACK, reports=made, feedback_type=feedback_type)


def _is_echo(part: Json, key: str) -> bool:
    return text_of(part.get(key)).lower() in _ECHOES


def _time(part: Json, what: str) -> datetime | None:
    arrived = part.get("arrivalDate") if what == "complaint" else None
    return time_of(arrived) or time_of(part.get("timestamp"))


def _bounced(part: Json, at: datetime | None) -> tuple[Report, ...]:
    sub_type = text_of(part.get("bounceSubType")).lower()
    hint = _SUB_TYPES.get(sub_type) or _TYPES.get(text_of(part.get("bounceType")).lower())
    reporting = text_of(part.get("reportingMTA")).partition(";")[2].strip() or None
    return tuple(
        make_failure(
            each["emailAddress"],
            NAME,
            said=_said(each),
            hint=hint,
            at=at,
            status=text_of(each.get("status")) or None,
            reporting_mta=reporting,
        )
        for each in list_of(part.get("bouncedRecipients"))
        if isinstance(each, dict) and isinstance(each.get("emailAddress"), str)
    )


def _said(recipient: Json) -> str:
    return text_of(recipient.get("diagnosticCode")).removeprefix("smtp;").strip()


def _named(
    values: object, action: DsnAction, at: datetime | None, said: str = ""
) -> tuple[Report, ...]:
    recipients = (v if isinstance(v, dict) else {"emailAddress": v} for v in list_of(values))
    return tuple(
        make_report(
            address,
            NAME,
            action=action,
            diagnostic=said or _said(each),
            status=text_of(each.get("status")) or None,
            last_attempt=at,
        )
        for each in recipients
        if isinstance(address := each.get("emailAddress"), str) and "@" in address
    )


def _headers(mail: Json) -> str:
    """Give the header fields of the message as a mail has them.

    What they lack is taken from commonHeaders; SES's own id stands in for the Message-ID.
    """
    fields = [
        (text_of(each.get("name")), text_of(each.get("value")))
        for each in list_of(mail.get("headers"))
        if isinstance(each, dict)
    ]
    common = table_of(mail.get("commonHeaders"))
    fields += [
        ("From", ", ".join(map(text_of, list_of(common.get("from"))))),
        ("To", ", ".join(map(text_of, list_of(common.get("to"))))),
        ("Subject", text_of(common.get("subject"))),
        ("Message-ID", text_of(common.get("messageId")) or _own_message_id(mail)),
    ]
    first: dict[str, str] = {}
    for name, value in fields:
        if name and value:
            first.setdefault(name.lower(), f"{name}: {value}".replace("\r", " ").replace("\n", " "))
    return "\n".join(first.values())


def _own_message_id(mail: Json) -> str:
    """Give the Message-ID that SES puts in: of its region, where that is told."""
    if not (id_ := text_of(mail.get("messageId"))):
        return ""
    region = [*text_of(mail.get("sourceArn")).split(":"), "", "", "", ""][3]
    return f"<{id_}@{region if region and region != 'us-east-1' else 'email'}.amazonses.com>"


def _original(body: Json, headers: str, campaign_headers: Iterable[str]) -> Original:
    original = original_in(headers, campaign_headers)
    tags = table_of(table_of(body.get("mail")).get("tags"))
    own = [value for name, value in tags.items() if not name.startswith("ses:")]
    campaign = campaign_of(tags.get("campaign"), *own)
    if not campaign or "campaign" in original.campaign:
        return original
    # Headers that a person named in the config come first; then the tags.
    asked = {n: v for n, v in original.campaign.items() if n in {*campaign_headers}}
    return replace(original, campaign={**asked, **campaign, **original.campaign})
