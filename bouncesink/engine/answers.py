"""The gate's whole answer: may it be mailed, why not, since when, and on what evidence."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bouncesink.config import Config
from bouncesink.engine.gate import reasons_among
from bouncesink.fold import closed_since
from bouncesink.ledger import Ledger
from bouncesink.model import Contact, Evidence, Reason, Severity, TrustLevel
from bouncesink.shape import time_as_json

MAX_EVIDENCE = 20
"""Bounces that an answer lists, the latest."""

_MAX_WORDS = 500

_OWN = frozenset({Reason.COMPLAINT, Reason.UNSUBSCRIBE, Reason.MANUAL})
"""Reasons of which only the events tell since when."""


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


def answers(ledger: Ledger, addresses: Iterable[str], config: Config) -> dict[str, Answer]:
    """Answer for normalised addresses; only of those that are blocked more is read."""
    wanted = list(dict.fromkeys(addresses))
    contacts = ledger.contacts(wanted)
    reasons = reasons_among(ledger, contacts, wanted, config.policy)
    closed = _closed(ledger, [each for each in wanted if reasons[each] & _OWN], config)
    hard = [
        contact.hard_event
        for address, contact in contacts.items()
        if reasons[address] and contact.hard_event is not None
    ]
    said = ledger.said(hard, _MAX_WORDS) if hard else {}
    return {
        address: _answer(
            contacts.get(address) or Contact(address),
            reasons[address],
            closed.get(address, {}),
            said,
        )
        for address in wanted
    }


def _closed(
    ledger: Ledger, addresses: Sequence[str], config: Config
) -> dict[str, dict[Reason, datetime]]:
    if not addresses:
        return {}
    require = TrustLevel(config.trust.require)
    events = ledger.gate_events(addresses)
    return {address: closed_since(some, require) for address, some in events.items()}


def _answer(
    contact: Contact,
    reasons: frozenset[Reason],
    closed: Mapping[Reason, datetime],
    said: Mapping[str, str],
) -> Answer:
    times = [at for reason, at in closed.items() if reason in reasons]
    if reasons & {Reason.HARD, Reason.STRIKES} and contact.hard_since is not None:
        times.append(contact.hard_since)
    return Answer(
        address=contact.address,
        reasons=tuple(sorted(reasons)),
        since=min(times, default=None),
        bounce_type=contact.bounce_type,
        bounce_count=contact.bounce_count,
        evidence=contact.evidence[-MAX_EVIDENCE:],
        said=said.get(contact.hard_event or ""),
    )
