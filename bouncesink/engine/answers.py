"""The gate's whole answer: may it be mailed, why not, since when, and on what evidence."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bouncesink.config import Policy
from bouncesink.engine.gate import reasons_of
from bouncesink.fold.judgement import gate_reason, when
from bouncesink.ledger import Ledger
from bouncesink.model import Act, Contact, Event, Evidence, Reason, Severity
from bouncesink.shape import time_as_json

MAX_EVIDENCE = 20
"""Bounces that an answer lists, the latest."""

_MAX_WORDS = 500


@dataclass(frozen=True, slots=True)
class Answer:
    """`since` is when the first of the reasons began to hold, where that is known.

    `said` is the sentence of the bounce that made the address HARD.
    """

    address: str
    reasons: tuple[Reason, ...] = ()
    since: datetime | None = None
    bounce_type: Severity | None = None
    bounce_count: int = 0
    evidence: tuple[Evidence, ...] = ()
    said: str | None = None

    @property
    def mailable(self) -> bool:
        return not self.reasons

    def as_json(self) -> dict[str, Any]:
        """Give the answer as `check --json` and the gate over HTTP tell it: an interface."""
        return {
            "address": self.address,
            "mailable": self.mailable,
            "reasons": [reason.value for reason in self.reasons],
            "since": time_as_json(self.since),
            "bounce_type": self.bounce_type.value if self.bounce_type else None,
            "bounce_count": self.bounce_count,
            "evidence": [
                {
                    "occurred_at": time_as_json(each.occurred_at),
                    "code": each.code,
                    "message_id": each.message_id,
                }
                for each in self.evidence
            ],
            "said": self.said,
        }


def answers(ledger: Ledger, addresses: Iterable[str], policy: Policy) -> dict[str, Answer]:
    """Answer for normalised addresses; only of those that are blocked are the events read."""
    wanted = list(dict.fromkeys(addresses))
    reasons = reasons_of(ledger, wanted, policy)
    contacts = ledger.contacts(wanted)
    events = ledger.events_of(address for address in wanted if reasons[address])
    return {
        address: _answer(
            contacts.get(address) or Contact(address), reasons[address], events.get(address, ())
        )
        for address in wanted
    }


def _answer(contact: Contact, reasons: frozenset[Reason], events: Sequence[Event]) -> Answer:
    hard = next((event for event in events if event.id == contact.hard_event), None)
    said = hard.report.diagnostic if hard is not None and hard.report is not None else None
    return Answer(
        address=contact.address,
        reasons=tuple(sorted(reasons)),
        since=min(_beginnings(contact, reasons, events), default=None),
        bounce_type=contact.bounce_type,
        bounce_count=contact.bounce_count,
        evidence=contact.evidence[-MAX_EVIDENCE:],
        said=said[:_MAX_WORDS] if said else None,
    )


def _beginnings(
    contact: Contact, reasons: frozenset[Reason], events: Sequence[Event]
) -> Iterator[datetime]:
    if reasons & {Reason.HARD, Reason.STRIKES} and contact.hard_since is not None:
        yield contact.hard_since
    for reason in reasons:
        times = [when(event) for event in events if _begins(event, reason)]
        if times:
            yield times[-1]


def _begins(event: Event, reason: Reason) -> bool:
    if reason is Reason.MANUAL:
        return event.kind is Act.SUPPRESS
    return gate_reason(event) is reason
