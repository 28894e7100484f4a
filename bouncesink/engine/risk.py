"""What the ledger knows for or against an address that is to be mailed."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from bouncesink import mx
from bouncesink.address import domain_of
from bouncesink.config import Config
from bouncesink.engine.gate import reasons_of
from bouncesink.fold import strikes_at
from bouncesink.ledger import Ledger
from bouncesink.risk import DomainRecord, Known, Mx, Risk, assess


@dataclass(frozen=True, slots=True)
class Assessor:
    """Assesses normalised addresses as of `now`; asks the DNS only if it may."""

    ledger: Ledger
    config: Config
    now: datetime
    ask_dns: bool = False

    def assess(self, addresses: Iterable[str]) -> dict[str, Risk]:
        wanted = list(addresses)
        blocked = reasons_of(self.ledger, wanted, self.config.policy)
        contacts = self.ledger.contacts(wanted)
        domains = {domain_of(address) for address in wanted}
        gone = self.ledger.unknown_domains(domains)
        counts = self.ledger.domain_counts(domains)
        records = {
            domain: DomainRecord(*counts.get(domain, (0, 0)), gone=domain in gone)
            for domain in domains
        }
        answers = {domain: mx.lookup(domain) if self.ask_dns else Mx.UNKNOWN for domain in domains}
        found = {}
        for address in wanted:
            contact, domain = contacts.get(address), domain_of(address)
            strikes = strikes_at(contact, self.now, self.config.policy) if contact else 0
            found[address] = assess(
                Known(
                    address,
                    blocked[address],
                    contact,
                    strikes,
                    records[domain],
                    answers[domain],
                )
            )
        return found
