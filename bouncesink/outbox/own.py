"""Tell whether cells beside an address of which nothing counts came from us."""

import re
from dataclasses import dataclass, field
from datetime import tzinfo

from bouncesink.ledger import Ledger
from bouncesink.outbox.lead_details import Cells, cells_of, same

_ENTRY = re.compile(r"\d{4}-\d\d-\d\d:(?P<bounce>[^ ]+)")
_BATCH = 5000


@dataclass(slots=True)
class OwnTraces:
    """What the ledger's contacts have put into sheets; gathered once it is asked for."""

    ledger: Ledger
    zone: tzinfo
    _bounces: set[str] | None = None
    _gates: bool = field(default=False)

    def holds(self, cells: Cells, address: str | None) -> bool:
        """Say whether these cells are ours; `address` is the row's, if it has one.

        They are when their last bounce is one of the ledger's, or of an event of this address that
        counts no more. Without bounces, a count of 0 beside FALSE is how we write a closed gate.
        """
        evidence = str(cells[4])
        if not evidence:
            return same(cells[2], 0) and same(cells[3], False) and self._closed_gate(address)
        last = _ENTRY.fullmatch(evidence.rpartition(" | ")[2])
        return last is not None and (
            self._of_events(evidence, address) or last["bounce"] in self._all_bounces()
        )

    def _closed_gate(self, address: str | None) -> bool:
        if address and self.ledger.events_of([address]).get(address):
            return True
        self._all_bounces()
        return self._gates

    def _of_events(self, evidence: str, address: str | None) -> bool:
        events = self.ledger.events_of([address]).get(address, []) if address else []
        ids = [(event.message_id or event.id).strip("<> ") for event in events]
        return any(f":{id_}" in evidence for id_ in ids)

    def _all_bounces(self) -> set[str]:
        if self._bounces is None:
            self._bounces = set()
            for contacts in self.ledger.all_contacts(_BATCH):
                for contact in contacts:
                    self._gates |= not contact.mailable and not contact.bounce_count
                    shown = str(cells_of(contact, self.zone)[4])
                    self._bounces.update(found["bounce"] for found in _ENTRY.finditer(shown))
        return self._bounces
