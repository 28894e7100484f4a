"""The JSON that commands print: an interface, described in README.md."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from bouncesink.model import Action, Contact, Event, Kind, Notice, Report, Verdict

if TYPE_CHECKING:  # the real import is slow, and only parse and replay need it
    from bouncesink.reader import Reading


def reading_as_json(file: str, reading: "Reading") -> dict[str, Any]:
    """Give the line of `bouncesink parse --json` for one file."""
    notice = reading.notice
    return {
        "file": file,
        "kind": notice.kind.value,
        "recognizer": notice.recognizer,
        "recipients": [
            report_as_json(report, verdict)
            for report, verdict in zip(notice.reports, reading.verdicts, strict=True)
        ],
        "original": {
            "message_id": notice.original.message_id,
            "from": notice.original.from_,
            "to": notice.original.to,
            "subject": notice.original.subject,
            "campaign": dict(notice.original.campaign),
        },
        "damage": list(notice.damage),
        **_facts(notice),
    }


def problem_as_json(file: str, problem: str) -> dict[str, Any]:
    """Give the line of `bouncesink parse --json` for a file that is no mail."""
    return {
        "file": file,
        "kind": Kind.UNREADABLE.value,
        "recognizer": "none",
        "recipients": [],
        "original": dict.fromkeys(("message_id", "from", "to", "subject")) | {"campaign": {}},
        "damage": [problem],
    }


def report_as_json(report: Report, verdict: Verdict) -> dict[str, Any]:
    return {
        "address": report.recipient,
        "original_recipient": report.original_recipient,
        "action": report.action.value,
        "status": report.status,
        "reply_code": report.reply_code,
        "diagnostic": report.diagnostic,
        "remote_mta": report.remote_mta,
        **verdict_as_json(verdict),
    }


def verdict_as_json(verdict: Verdict) -> dict[str, str]:
    return {
        "category": verdict.category.value,
        "severity": verdict.severity.value,
        "fault": verdict.fault.value,
        "rule": verdict.rule,
    }


def event_as_json(event: Event) -> dict[str, Any]:
    """Give one line of the ledger, for `report-bounces` and `explain`."""
    shape: dict[str, Any] = {
        "id": event.id,
        "kind": event.kind.value,
        "address": event.address,
        "occurred_at": time_as_json(event.occurred_at),
        "recorded_at": time_as_json(event.recorded_at),
        "source": event.source,
        "arrival_id": event.arrival_id,
        "message_id": event.message_id,
        "sender": event.sender,
        "subject": event.subject,
        "campaign": event.campaign,
        "lead_id": event.lead_id,
    }
    if event.report and event.verdict:
        shape["report"] = report_as_json(event.report, event.verdict)
    if event.trust:
        shape["trust"] = {"level": event.trust.level.value, "signals": list(event.trust.signals)}
    if event.actor:
        shape |= {"actor": event.actor, "reason": event.reason, "target": event.target}
    return shape


def action_as_json(action: Action) -> dict[str, Any]:
    """Give one intention, for `review` and other queues."""
    return {
        "key": action.key,
        "kind": action.kind.value,
        "state": action.state.value,
        "address": action.address,
        "lead_id": action.lead_id,
        "event_id": action.event_id,
        "arrival_id": action.arrival_id,
        "payload": dict(action.payload),
        "created_at": time_as_json(action.created_at),
        "actor": action.actor,
        "moved_at": time_as_json(action.moved_at),
        "reason": action.reason,
        "attempts": action.attempts,
        "next_attempt_at": time_as_json(action.next_attempt_at),
        "last_error": action.last_error,
    }


def contact_as_json(contact: Contact) -> dict[str, Any]:
    """Give the state of one address."""
    return {
        "address": contact.address,
        "mailable": contact.mailable,
        "reasons": sorted(contact.suppressed),
        "bounce_type": contact.bounce_type,
        "bounce_count": contact.bounce_count,
        "last_bounce_at": time_as_json(contact.last_bounce_at),
        "strikes": contact.strikes,
        "last_strike_at": time_as_json(contact.last_strike_at),
        "hard_since": time_as_json(contact.hard_since),
        "hard_event": contact.hard_event,
        "reinstated": contact.reinstated,
    }


def time_as_json(time: datetime | None) -> str | None:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z") if time else None


def _facts(notice: Notice) -> Mapping[str, str]:
    """Give what only some kinds have; a key that does not apply is left out."""
    facts = {
        "feedback_type": notice.feedback_type,
        "confirmation_code": notice.confirmation_code,
        "confirmation_link": notice.confirmation_link,
        "alternative": notice.alternative,
    }
    return {name: value for name, value in facts.items() if value}
