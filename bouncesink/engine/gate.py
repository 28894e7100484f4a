"""Give the gate's answer: may this address be mailed, and why not."""

from collections.abc import Iterable, Mapping

from bouncesink.address import domain_of
from bouncesink.config import Policy
from bouncesink.ledger import Ledger
from bouncesink.model import Contact, Reason


def reasons_of(
    ledger: Ledger, addresses: Iterable[str], policy: Policy
) -> dict[str, frozenset[Reason]]:
    """Give every reason against mailing each of these normalised addresses; none is free to go."""
    wanted = list(addresses)
    return reasons_among(ledger, ledger.contacts(wanted), wanted, policy)


def reasons_among(
    ledger: Ledger, contacts: Mapping[str, Contact], addresses: Iterable[str], policy: Policy
) -> dict[str, frozenset[Reason]]:
    """Do the same where the contacts have been read."""
    wanted = list(addresses)
    unknown: set[str] = set()
    if policy.suppress_domains:
        unknown = ledger.unknown_domains({domain_of(address) for address in wanted})
    return {
        address: frozenset(
            {
                *(contacts[address].suppressed if address in contacts else ()),
                *([Reason.DOMAIN] if domain_of(address) in unknown else ()),
            }
        )
        for address in wanted
    }
