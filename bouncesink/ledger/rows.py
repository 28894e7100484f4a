"""Nouns to rows and back.

Text is cleaned on its way in: a NUL or a lone surrogate, which no database agrees to keep, becomes
U+FFFD. Times become UTC text with milliseconds, `2026-01-31T12:00:00.000Z`, which sorts as time.
"""

import contextlib
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any

from bouncesink.address import domain_of
from bouncesink.ledger import ArrivalState, SendCount, Settlement, Totals
from bouncesink.model import (
    Act,
    Action,
    ActionKind,
    ActionState,
    Arrival,
    Category,
    Contact,
    DsnAction,
    Event,
    Evidence,
    Kind,
    Lead,
    Reason,
    Report,
    Send,
    Severity,
    Trust,
    TrustLevel,
    Verdict,
)

Row = tuple[Any, ...]

ARRIVAL = "id, source, media_type, envelope_from, envelope_to, received_at"
SETTLEMENT = (
    "state, kind, recognizer, identity, subject, note, damage, "
    "confirmation_code, confirmation_link, id"
)
EVENT = (
    "id, kind, address, domain, occurred_at, recorded_at, source, arrival_id, recipient, "
    "original_recipient, action, status, reply_code, diagnostic, remote_mta, reporting_mta, "
    "recognizer, last_attempt, category, severity, fault, rule, evidence, trust, signals, "
    "message_id, sender, subject, campaign, lead_id, actor, reason, target"
)
CONTACT = (
    "address, domain, mailable, suppressed, bounce_type, bounce_count, last_bounce_at, strikes, "
    "last_strike_at, hard_since, hard_event, reinstated, evidence"
)
LEAD = "id, email, address"
NEW_ACTION = (
    "key, kind, state, address, lead_id, event_id, arrival_id, payload, created_at, priority"
)
ACTION = f"{NEW_ACTION}, actor, moved_at, reason, attempts, next_attempt_at, last_error"
SEND = "message_id, recipient, sent_at, campaign, mailbox"

_EVENT_KINDS: Mapping[str, Kind | Act] = {each.value: each for each in (*Kind, *Act)}
_MAX_INTEGER = 2**31 - 1
_PRIORITIES = {"1": 1, "2": 2, "3": 3}


def clean(text: str) -> str:
    if text.isascii():
        return text if "\0" not in text else text.replace("\0", "\ufffd")
    return (
        text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", "\ufffd")
    )


def maybe(text: str | None) -> str | None:
    return None if text is None else clean(text)


def time_text(time: datetime) -> str:
    with contextlib.suppress(OverflowError):  # within a day of the first or last year there is
        time = time.astimezone(UTC)
    return time.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def maybe_time_text(time: datetime | None) -> str | None:
    return None if time is None else time_text(time)


def time_of(text: str) -> datetime:
    return datetime.fromisoformat(text)


def maybe_time(text: str | None) -> datetime | None:
    return None if text is None else time_of(text)


def json_text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def json_list(texts: Iterable[str]) -> str:
    return json_text([clean(text) for text in texts])


def arrival_row(arrival: Arrival) -> Row:
    return (
        arrival.id,
        arrival.source,
        arrival.media_type,
        clean(arrival.envelope_from),
        clean(arrival.envelope_to),
        time_text(arrival.received_at),
    )


def arrival_of(row: Row) -> Arrival:
    """Take `ARRIVAL`, the bytes, and the identity where these were cut."""
    id_, source, media_type, envelope_from, envelope_to, received_at, raw, identity = row
    return Arrival(
        id_,
        source,
        envelope_from,
        envelope_to,
        time_of(received_at),
        bytes(raw),
        media_type,
        identity,
    )


def settlement_row(settlement: Settlement) -> Row:
    return (
        settlement.state.value,
        settlement.kind.value,
        settlement.recognizer,
        clean(settlement.identity),
        maybe(settlement.subject),
        clean(settlement.note),
        json_list(settlement.damage),
        maybe(settlement.confirmation_code),
        maybe(settlement.confirmation_link),
        settlement.arrival_id,
    )


def settlement_of(row: Row) -> Settlement:
    state, kind, recognizer, identity, subject, note, damage, code, link, arrival_id = row
    return Settlement(
        arrival_id=arrival_id,
        state=ArrivalState(state),
        kind=Kind(kind),
        recognizer=recognizer,
        identity=identity,
        subject=subject,
        note=note,
        confirmation_code=code,
        confirmation_link=link,
        damage=tuple(json.loads(damage)),
    )


def event_row(event: Event) -> Row:
    address = clean(event.address)
    return (
        event.id,
        event.kind.value,
        address,
        domain_of(address),
        time_text(event.occurred_at),
        time_text(event.recorded_at),
        event.source,
        event.arrival_id,
        *_report_cells(event.report),
        *_verdict_cells(event.verdict),
        event.trust.level.value if event.trust else None,
        json_list(event.trust.signals) if event.trust else None,
        maybe(event.message_id),
        maybe(event.sender),
        maybe(event.subject),
        maybe(event.campaign),
        maybe(event.lead_id),
        maybe(event.actor),
        maybe(event.reason),
        maybe(event.target),
    )


def _report_cells(report: Report | None) -> Row:
    if report is None:
        return (None,) * 10
    reply = report.reply_code
    return (
        clean(report.recipient),
        maybe(report.original_recipient),
        report.action.value,
        maybe(report.status),
        reply if reply is not None and abs(reply) <= _MAX_INTEGER else None,
        maybe(report.diagnostic),
        maybe(report.remote_mta),
        maybe(report.reporting_mta),
        report.recognizer,
        maybe_time_text(report.last_attempt),
    )


def _verdict_cells(verdict: Verdict | None) -> Row:
    if verdict is None:
        return (None,) * 5
    return (
        verdict.category.value,
        verdict.severity.value,
        verdict.fault.value,
        verdict.rule,
        clean(verdict.evidence),
    )


def event_of(row: Row) -> Event:
    (id_, kind, address, _, occurred_at, recorded_at, source, arrival_id) = row[:8]
    (category, _, _, rule, evidence, trust, signals) = row[18:25]
    (message_id, sender, subject, campaign, lead_id, actor, reason, target) = row[25:]
    return Event(
        id=id_,
        kind=_EVENT_KINDS[kind],
        address=address,
        occurred_at=time_of(occurred_at),
        recorded_at=time_of(recorded_at),
        source=source,
        arrival_id=arrival_id,
        report=_report_of(row[8:18]),
        verdict=None if category is None else Verdict(Category(category), rule, evidence),
        trust=None if trust is None else Trust(TrustLevel(trust), tuple(json.loads(signals))),
        message_id=message_id,
        sender=sender,
        subject=subject,
        campaign=campaign,
        lead_id=lead_id,
        actor=actor,
        reason=reason,
        target=target,
    )


def _report_of(cells: Row) -> Report | None:
    (recipient, original, action, status, reply, diagnostic, remote, reporting) = cells[:8]
    recognizer, last_attempt = cells[8:]
    if action is None:
        return None
    return Report(
        recipient=recipient,
        action=DsnAction(action),
        recognizer=recognizer,
        original_recipient=original,
        status=status,
        reply_code=reply,
        diagnostic=diagnostic,
        remote_mta=remote,
        reporting_mta=reporting,
        last_attempt=maybe_time(last_attempt),
    )


def contact_row(contact: Contact) -> Row:
    address = clean(contact.address)
    return (
        address,
        domain_of(address),
        int(contact.mailable),
        ", ".join(sorted(contact.suppressed)),
        contact.bounce_type.value if contact.bounce_type else None,
        contact.bounce_count,
        maybe_time_text(contact.last_bounce_at),
        contact.strikes,
        maybe_time_text(contact.last_strike_at),
        maybe_time_text(contact.hard_since),
        contact.hard_event,
        contact.reinstated,
        json_text(
            [
                [time_text(each.occurred_at), clean(each.code), clean(each.message_id)]
                for each in contact.evidence
            ]
        ),
    )


def contact_of(row: Row) -> Contact:
    (address, _, _, suppressed, bounce_type, bounce_count, last_bounce_at) = row[:7]
    (strikes, last_strike_at, hard_since, hard_event, reinstated, evidence) = row[7:]
    return Contact(
        address=address,
        bounce_type=None if bounce_type is None else Severity(bounce_type),
        bounce_count=bounce_count,
        last_bounce_at=maybe_time(last_bounce_at),
        strikes=strikes,
        last_strike_at=maybe_time(last_strike_at),
        hard_since=maybe_time(hard_since),
        hard_event=hard_event,
        suppressed=frozenset(Reason(each) for each in suppressed.split(", ") if each),
        evidence=tuple(
            Evidence(time_of(time), code, message_id)
            for time, code, message_id in json.loads(evidence)
        ),
        reinstated=reinstated,
    )


def lead_row(lead: Lead) -> Row:
    return clean(lead.id), clean(lead.email), clean(lead.address)


def lead_of(row: Row) -> Lead:
    return Lead(*row)


def action_row(action: Action) -> Row:
    return (
        clean(action.key),
        action.kind.value,
        action.state.value,
        maybe(action.address),
        maybe(action.lead_id),
        action.event_id,
        action.arrival_id,
        json_text({clean(name): clean(value) for name, value in action.payload.items()}),
        time_text(action.created_at),
        _PRIORITIES.get(action.payload.get("priority", ""), 2),
    )


def action_of(row: Row) -> Action:
    key, kind, state, address, lead_id, event_id, arrival_id, payload, created_at, _ = row[:10]
    actor, moved_at, reason, attempts, next_attempt_at, last_error = row[10:]
    return Action(
        key=key,
        kind=ActionKind(kind),
        created_at=time_of(created_at),
        address=address,
        lead_id=lead_id,
        event_id=event_id,
        arrival_id=arrival_id,
        payload=json.loads(payload),
        state=ActionState(state),
        actor=actor,
        moved_at=maybe_time(moved_at),
        reason=reason,
        attempts=attempts,
        next_attempt_at=maybe_time(next_attempt_at),
        last_error=last_error,
    )


def send_row(send: Send) -> Row:
    return (
        clean(send.message_id),
        clean(send.recipient),
        maybe_time_text(send.sent_at),
        maybe(send.campaign),
        maybe(send.mailbox),
    )


def send_of(row: Row) -> Send:
    message_id, recipient, sent_at, campaign, mailbox = row
    return Send(message_id, recipient, maybe_time(sent_at), campaign, mailbox)


def totals_of(
    counters: Mapping[str, int], last_arrival_at: str | None, oldest_pending_at: str | None
) -> Totals:
    """Take the counters by name: `events`, `arrivals.pending`, `actions.review.done`, ..."""

    def within(group: str) -> dict[str, int]:
        found = ((name.partition("."), value) for name, value in counters.items())
        return {rest: value for (first, dot, rest), value in found if first == group and dot}

    return Totals(
        arrivals={ArrivalState(state): value for state, value in within("arrivals").items()},
        kinds=within("kinds"),
        events=counters.get("events", 0),
        severities=within("severities"),
        contacts=counters.get("contacts", 0),
        suppressed=counters.get("suppressed", 0),
        leads=counters.get("leads", 0),
        actions={
            (ActionKind(kind), ActionState(state)): value
            for name, value in within("actions").items()
            for kind, _, state in [name.partition(".")]
        },
        last_arrival_at=maybe_time(last_arrival_at),
        oldest_pending_at=maybe_time(oldest_pending_at),
    )


def send_count_of(row: Row) -> SendCount:
    day, campaign, mailbox, domain, sent = row
    return SendCount(date.fromisoformat(day), campaign, mailbox, domain, sent)
