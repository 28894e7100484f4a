"""PURE. What was read of an arrival -> the events and the settlement that it makes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from bouncesink.address import bare, normalise
from bouncesink.identity import event_id
from bouncesink.ledger import ArrivalState, Settlement
from bouncesink.model import (
    EVENTS,
    Arrival,
    DsnAction,
    Event,
    Kind,
    Lead,
    Original,
    Report,
    Send,
    Severity,
    Verdict,
)
from bouncesink.reader import Reading
from bouncesink.trust import Knowledge, assess

_KIND_OF = {
    DsnAction.FAILED: Kind.FAILURE,
    DsnAction.DELAYED: Kind.DELAYED,
    DsnAction.DELIVERED: Kind.DELIVERED,
    DsnAction.RELAYED: Kind.RELAYED,
    DsnAction.EXPANDED: Kind.EXPANDED,
}

_FROM_THE_ADDRESS = {Kind.AUTO_REPLY, Kind.CHALLENGE, Kind.DISPOSITION, Kind.UNSUBSCRIBE}
"""Kinds that the person at the address sends: without a report, they are about their sender."""

_MUST_NAME = {Kind.FEEDBACK, Kind.UNSUBSCRIBE, Kind.DROPPED, *_KIND_OF.values()}
"""Kinds that mean something for an address, and nothing if we cannot tell which."""


_WORST_FIRST = (Severity.HARD, Severity.SOFT, Severity.BLOCK, Severity.UNKNOWN, Severity.NONE)

_OF_ONE_MESSAGE = {"list-unsubscribe", "verp"}


@dataclass(frozen=True, slots=True)
class Known:
    """What the ledger knew, before these events, of all that they speak of."""

    knowledge: Knowledge
    leads: Mapping[str, Sequence[Lead]]
    sends: Mapping[str, Sequence[Send]]

    def send(self, message_id: str | None, address: str) -> Send | None:
        """Give what was sent under a Message-ID: to this address if it was, else to another."""
        sends = self.sends.get(message_id, ()) if message_id else ()
        return next((s for s in sends if s.recipient == address), sends[0] if sends else None)


@dataclass(frozen=True, slots=True)
class Subject:
    """An address that an arrival speaks of, and what it says."""

    address: str
    report: Report | None
    verdict: Verdict


def subjects(arrival: Arrival, reading: Reading) -> Iterator[Subject]:
    """Give each address that an arrival speaks of, once for each action.

    Of an alias that failed for several of its targets, the worst verdict is its own.
    """
    notice = reading.notice
    worst: dict[tuple[str, DsnAction], Subject] = {}
    for report, verdict in zip(notice.reports, reading.verdicts, strict=True):
        address = normalise(report.mailed) or normalise(report.recipient)
        if address:
            told = Subject(address, report, verdict)
            known = worst.setdefault((address, report.action), told)
            if _badness(told) < _badness(known):
                worst[address, report.action] = told
    yield from worst.values()
    if not notice.reports and notice.kind in _FROM_THE_ADDRESS:
        address = normalise(bare(notice.from_ or "") or arrival.envelope_from)
        if address:
            yield Subject(address, None, reading.verdict)


def _badness(subject: Subject) -> int:
    return _WORST_FIRST.index(subject.verdict.severity)


def make_events(arrival: Arrival, reading: Reading, known: Known) -> tuple[Event, ...]:
    """Make the events of one arrival, as of when it was received: `rebuild` gets the same."""
    return tuple(_event(arrival, reading, subject, known) for subject in subjects(arrival, reading))


def settle(arrival: Arrival, reading: Reading) -> Settlement:
    """Say what came of an arrival: done, or a matter for a person."""
    notice = reading.notice
    note = ""
    if notice.kind is Kind.UNREADABLE:
        note = "cannot be read: " + (", ".join(notice.damage) or "no known form")
    elif notice.kind in _MUST_NAME and not any(subjects(arrival, reading)):
        note = "names no address that we could act on"
    return Settlement(
        arrival_id=arrival.id,
        state=ArrivalState.REVIEW if note else ArrivalState.DONE,
        kind=notice.kind,
        recognizer=notice.recognizer,
        identity=notice.identity,
        subject=notice.subject,
        note=note,
        confirmation_code=notice.confirmation_code,
        confirmation_link=notice.confirmation_link,
        damage=notice.damage,
    )


def _event(arrival: Arrival, reading: Reading, subject: Subject, known: Known) -> Event:
    notice, report, address = reading.notice, subject.report, subject.address
    original = notice.original
    leads = known.leads.get(address, ())
    send = known.send(original.message_id, address)
    knowledge = replace(
        known.knowledge,
        is_lead=bool(leads),
        vouched=arrival.source == EVENTS,
        told_by=arrival.told_by or "",
        known_send=send is not None,
        sent_to=send.recipient if send else None,
        sent_at=send.sent_at if send else None,
        dkim=reading.signature,
        now=arrival.received_at,
    )
    by_action = report is not None and notice.kind in _KIND_OF.values()
    when = (report and report.last_attempt) or notice.sent_at or arrival.received_at
    return Event(
        id=event_id(notice.identity, address, report.action if report else notice.kind),
        kind=_KIND_OF[report.action] if report and by_action else notice.kind,
        address=address,
        occurred_at=min(when, arrival.received_at),
        recorded_at=arrival.received_at,
        source=arrival.source,
        arrival_id=arrival.id,
        report=report,
        verdict=subject.verdict,
        trust=assess(notice, report, arrival.envelope_to, knowledge),
        message_id=original.message_id,
        sender=original.from_,
        subject=original.subject,
        campaign=_campaign(original) or (send.campaign if send else None),
        lead_id=leads[0].id if leads else None,
    )


def _campaign(original: Original) -> str | None:
    """Name the campaign: the first header that is one, not those that name a single message."""
    names = (name for name in original.campaign if name not in _OF_ONE_MESSAGE)
    return next((original.campaign[name] for name in names), None)
