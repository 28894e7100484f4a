"""PURE. The nouns as JSON, as commands print and HTTP tells them: an interface."""

from datetime import datetime
from typing import Any

from bouncesink.model import Action, Contact, Event, Report, Verdict


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
