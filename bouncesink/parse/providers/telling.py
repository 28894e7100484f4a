"""PURE. Making the Notice of an event: what the providers share."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from bouncesink.model import DsnAction, Kind, Notice, Original, Report
from bouncesink.parse.charset import clean
from bouncesink.parse.jsonfields import text_of
from bouncesink.parse.message import header_section
from bouncesink.parse.original import MAX_VALUE, original_of
from bouncesink.parse.reports import is_generic, make_report

HARD, SOFT, REFUSED = "5.0.0", "4.0.0", "5.7.1"
"""A provider's class of a bounce as a status (RFC 3463), for `make_failure`'s `hint`."""

MAX_TEXT = 4000
MAX_IDENTITY = 400


def make_notice(  # noqa: PLR0913  a notice has these facts
    name: str,
    kind: Kind,
    reports: tuple[Report, ...],
    original: Original,
    *,
    identity: str,
    at: datetime | None,
    feedback_type: str | None = None,
    text: str = "",
) -> Notice:
    """Make a Notice; an `identity` of "" has its bytes for one."""
    return Notice(
        kind=kind,
        recognizer=name,
        identity=identity,
        reports=reports,
        original=original,
        sent_at=at,
        text=clean(text.strip(), MAX_TEXT),
        feedback_type=clean(feedback_type, 100) if feedback_type else None,
    )


def unreadable(name: str, what: str, identity: str = "") -> Notice:
    """Make the Notice of what is not known, for a person to read."""
    damage = f"unknown event: {clean(what.strip(), 100)}"
    return Notice(Kind.UNREADABLE, name, identity, damage=(damage,))


def identify(name: str, *parts: object) -> str:
    """Name an event as the provider does, each time that it tells it; "" if it does not."""
    texts = [clean(text_of(part).strip(), MAX_IDENTITY) for part in parts]
    return ":".join((name, *texts)) if all(texts) else ""


def make_failure(  # noqa: PLR0913  a report has these facts
    recipient: str,
    name: str,
    *,
    said: str,
    hint: str | None,
    at: datetime | None,
    status: str | None = None,
    reply_code: int | None = None,
    remote_mta: str | None = None,
    reporting_mta: str | None = None,
) -> Report:
    """Make a Report; `hint` is its status where nothing else speaks."""
    report = make_report(
        recipient,
        name,
        diagnostic=said,
        status=status,
        reply_code=reply_code,
        remote_mta=remote_mta,
        reporting_mta=reporting_mta,
        last_attempt=at,
    )
    speaks = report.diagnostic or report.reply_code
    if hint and not speaks and (report.status is None or is_generic(report.status)):
        return replace(report, status=hint)
    return report


def make_word(recipient: str, name: str, at: datetime | None, said: str = "") -> Report:
    """Make the Report of what is no failure of delivery: a complaint, a wish, an echo."""
    return make_report(
        recipient, name, action=DsnAction.DELIVERED, diagnostic=said, last_attempt=at
    )


def original_in(headers: str, campaign_headers: Iterable[str] = ()) -> Original:
    """Read the identity of the message out of its header fields, one a line."""
    section = header_section(headers.encode("utf-8", "replace").decode("latin-1"))
    return original_of(section, campaign_headers)


def campaign_of(*values: object) -> dict[str, str]:
    """Take the first of these that names something: a text, or the first text of a list."""
    for value in values:
        each = value[0] if isinstance(value, list) and value else value
        if name := clean(text_of(each).strip(), MAX_VALUE):
            return {"campaign": name}
    return {}
