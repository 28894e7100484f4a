"""Amazon SES notifications that SNS sends by e-mail: one JSON object, then a footer.

https://docs.aws.amazon.com/ses/latest/dg/notification-contents.html. bouncedRecipients,
complainedRecipients and delivery.recipients are read; `destination` tells nothing of a fate.
"""

import json
from collections.abc import Mapping
from typing import Any

from bouncesink.model import DsnAction, Kind, Report
from bouncesink.parse.message import Found, Message
from bouncesink.parse.reports import make_report

NAME = "amazon-sns"
HINTS = ("notificationtype", "eventtype", '"message"')

MAX_RECIPIENTS = 1000


def recognize(message: Message) -> Found | None:
    text = message.text.lstrip()
    if not text.startswith("{") or not _from_sns(message):
        return None
    try:
        body, _ = json.JSONDecoder(strict=False).raw_decode(text.replace("!\n ", ""))
        if isinstance(body, dict) and isinstance(body.get("Message"), str):
            body = json.loads(body["Message"])
    except (ValueError, RecursionError):
        return None
    if not isinstance(body, dict):
        return None
    return _read(body)


def _from_sns(message: Message) -> bool:
    return "x-amz-sns-message-id" in message.headers or "sns.amazonaws.com" in message.from_


def _read(body: Mapping[str, Any]) -> Found | None:
    what = str(body.get("notificationType") or body.get("eventType") or "").lower()
    part = body.get(what)
    if not isinstance(part, dict):
        return None
    mail = body.get("mail") if isinstance(body.get("mail"), dict) else {}
    returned = _headers(mail or {})
    if what == "bounce":
        return Found(_bounced(part), kind=Kind.FAILURE, returned_text=returned)
    if what == "complaint":
        made = _named(part.get("complainedRecipients"), DsnAction.DELIVERED)
        kind = part.get("complaintFeedbackType")
        return Found(
            made,
            kind=Kind.FEEDBACK,
            feedback_type=kind if isinstance(kind, str) else "abuse",
            returned_text=returned,
        )
    if what == "delivery":
        recipients = part.get("recipients")
        made = _named(recipients, DsnAction.DELIVERED, str(part.get("smtpResponse") or ""))
        return Found(made, kind=Kind.DELIVERED, returned_text=returned)
    return None


def _bounced(part: Mapping[str, Any]) -> tuple[Report, ...]:
    made: list[Report] = []
    words = f"{part.get('bounceType')} {part.get('bounceSubType')}"
    reporting = str(part.get("reportingMTA") or "").partition(";")[2].strip() or None
    for each in _list(part.get("bouncedRecipients")):
        if isinstance(each, dict) and isinstance(each.get("emailAddress"), str):
            said = str(each.get("diagnosticCode") or "").removeprefix("smtp;").strip()
            status = each.get("status")
            made.append(
                make_report(
                    each["emailAddress"],
                    NAME,
                    diagnostic=said or words,
                    status=status if isinstance(status, str) else None,
                    reporting_mta=reporting,
                )
            )
    return tuple(made)


def _named(values: object, action: DsnAction, said: str = "") -> tuple[Report, ...]:
    addresses = (v.get("emailAddress") if isinstance(v, dict) else v for v in _list(values))
    return tuple(
        make_report(address, NAME, action=action, diagnostic=said)
        for address in addresses
        if isinstance(address, str) and "@" in address
    )


def _list(values: object) -> list[Any]:
    return values[:MAX_RECIPIENTS] if isinstance(values, list) else []


def _headers(mail: Mapping[str, Any]) -> str:
    """Give the header fields of the message as a mail has them; SES's own id stands in."""
    lines = [
        f"{each.get('name')}: {each.get('value')}".replace("\n", " ")
        for each in _list(mail.get("headers"))
        if isinstance(each, dict)
    ]
    if not any(line.lower().startswith("message-id:") for line in lines) and mail.get("messageId"):
        lines.append(f"Message-ID: <{mail['messageId']}@email.amazonses.com>")
    return "\n".join(lines)
