"""PURE. Complaints: the Abuse Reporting Format (RFC 5965), and those that leave its fields out.

Providers strip what would name the person who complained. In order: Original-Rcpt-To and
Removal-Recipient, X-HmXmrOriginalRecipient of the returned message (Outlook.com's JMRP), its one
recipient. An address that was made unreadable is no address.
"""

import re

from bouncesink.model import DsnAction, Kind, Report
from bouncesink.parse.message import Found, Message
from bouncesink.parse.mime import Headers
from bouncesink.parse.reports import ADDRESS, address_in, make_report

NAME = "arf"

MAX_RECIPIENTS = 100

_NAMING_FIELDS = ("original-rcpt-to", "removal-recipient", "original-recipient")
_NAMING_HEADERS = ("x-hmxmroriginalrecipient", "x-original-to", "x-rcpt-to", "to")
_HIDDEN = re.compile(
    r"redact|hashed|undisclosed|removed|anonym|^[x*]{3,}@|@[x*]{3,}|@redacted", re.IGNORECASE
)
_COMPLAINT_SUBJECT = re.compile(
    r"\s*complaint about message from|\s*(?:email )?(?:abuse|feedback|complaint|spam) report\b",
    re.IGNORECASE,
)
_LOOP_SENDER = re.compile(
    r"staff@hotmail|feedback-?loop|\bfbl\b|fbl@|abuse-?report|complaints?@|scomp@", re.IGNORECASE
)


def recognize(message: Message) -> Found | None:
    part = message.part("message/feedback-report")
    if part is not None:
        return _report(message, Headers(part.content.lstrip("\n").rstrip("\n") + "\n"))
    root = message.root
    if root.params.get("report-type", "").lower() == "feedback-report":
        return _report(message, Headers(""))
    if (
        message.returned_part is not None
        and _COMPLAINT_SUBJECT.match(message.subject)
        and _LOOP_SENDER.search(message.from_)
    ):
        return _report(message, Headers(""))
    return None


def _report(message: Message, fields: Headers) -> Found:
    reporting = fields.get("reporting-mta") or fields.get("user-agent")
    made = tuple(
        make_report(
            address,
            NAME,
            action=DsnAction.DELIVERED,  # a message that was never delivered is not complained of
            reporting_mta=reporting,
        )
        for address in _complained(message, fields)
    )
    kind = fields.get("feedback-type") or "abuse"
    return Found(_once(made), kind=Kind.FEEDBACK, feedback_type=kind.strip().lower())


def _complained(message: Message, fields: Headers) -> list[str]:
    for name in _NAMING_FIELDS:
        found = [address_in(value[:1000]) for value in fields.all(name)[:MAX_RECIPIENTS]]
        named = [address for address in found if address and not _HIDDEN.search(address)]
        if named:
            return named
    returned = message.returned
    if returned is None:
        return []
    for name in _NAMING_HEADERS:
        named = ADDRESS.findall(",".join(returned.all(name))[:4000])
        if len(set(map(str.lower, named))) == 1 and not _HIDDEN.search(named[0]):
            return named[:1]
    return []


def _once(reports: tuple[Report, ...]) -> tuple[Report, ...]:
    return tuple({report.recipient.lower(): report for report in reports}.values())
