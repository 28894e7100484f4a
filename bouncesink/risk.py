"""PURE. How likely a message to an address bounces or harms us, from what is known before it goes.

No model: a rate where there is one, else a plain statement with a weight. 0 is nothing known
against it, 100 is that it must not be mailed or cannot be.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from bouncesink.model import Contact, Reason
from bouncesink.watch import wilson

SURE = 100

ROLES = frozenset(
    {
        *("abuse", "admin", "billing", "bounces", "contact", "devnull", "help", "hostmaster"),
        *("info", "jobs", "list", "mail", "mailer-daemon", "marketing", "no-reply", "noc"),
        *("noreply", "office", "postmaster", "privacy", "root", "sales", "security", "spam"),
        *("subscribe", "support", "team", "unsubscribe", "webmaster"),
    }
)
"""Local parts that stand for a function (RFC 2142 and custom): many read them, or nobody."""


class Mx(StrEnum):
    """What the DNS says of a domain's mail."""

    ACCEPTS = "accepts"
    ADDRESS_ONLY = "address only"
    NULL_MX = "null MX"
    NO_MAIL = "no mail"
    NO_DOMAIN = "no domain"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class DomainRecord:
    """Of a domain: how many of its addresses were mailed, as far as we know, and how many are HARD.

    `gone` is whether a bounce that we believe said that there is no such domain.
    """

    mailed: int = 0
    hard: int = 0
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Ground:
    """One reason, and its weight in points."""

    points: int
    words: str


@dataclass(frozen=True, slots=True)
class Risk:
    score: int
    grounds: tuple[Ground, ...]

    @property
    def level(self) -> str:
        """Give low, medium, high or blocked."""
        if self.score >= SURE:
            return "blocked"
        return "high" if self.score >= 50 else "medium" if self.score >= 20 else "low"


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a normalised address; `strikes` are those that stand now."""

    address: str
    reasons: frozenset[Reason] = frozenset()
    contact: Contact | None = None
    strikes: int = 0
    domain: DomainRecord = field(default_factory=DomainRecord)
    mx: Mx = Mx.UNKNOWN


def assess(known: Known) -> Risk:
    """Weigh it. Points add up, to 99 at the most where nothing alone is sure."""
    grounds = sorted(
        [
            *(Ground(SURE, f"must not be mailed: {reason}") for reason in sorted(known.reasons)),
            *_of_address(known),
            *_of_domain(known.domain),
            *_of_dns(known.mx),
        ],
        key=lambda ground: -ground.points,
    )
    total = sum(ground.points for ground in grounds)
    sure = any(ground.points >= SURE for ground in grounds)
    return Risk(SURE if sure else min(total, SURE - 1), tuple(grounds))


def _of_address(known: Known) -> Iterator[Ground]:
    local = known.address.rpartition("@")[0]
    if len(local.encode()) > 64:
        yield Ground(50, "the part before the @ is longer than SMTP allows (RFC 5321, 4.5.3.1.1)")
    if local.startswith(('"', ".")) or ".." in local or local.endswith("."):
        yield Ground(20, "its spelling is unusual, and few servers take it")
    if local.partition("+")[0] in ROLES:
        yield Ground(10, f"{local} is a function, not a person")
    if known.strikes:
        bounces = "a soft bounce" if known.strikes == 1 else f"{known.strikes} soft bounces"
        yield Ground(20 * known.strikes, f"{bounces} lately")
    if known.contact is not None and known.contact.reinstated:
        yield Ground(15, "it was blocked before, and was reinstated")


def _of_domain(domain: DomainRecord) -> Iterator[Ground]:
    if domain.gone:
        yield Ground(80, "another address of the domain bounced because there is no such domain")
    if not domain.hard:
        return
    if domain.mailed >= domain.hard:
        low, _ = wilson(domain.hard, domain.mailed)
        share = f"{domain.hard:,} of {domain.mailed:,} addresses of the domain that were mailed"
        yield Ground(round(low * 100), f"{share} are HARD")
    else:
        one = domain.hard == 1
        which = "another address" if one else f"{domain.hard:,} addresses"
        words = f"{which} of the domain {'is' if one else 'are'} HARD, of how many is not known"
        yield Ground(min(5 * domain.hard, 25), words)


def _of_dns(mx: Mx) -> Iterator[Ground]:
    if mx is Mx.NO_DOMAIN:
        yield Ground(SURE, "the DNS knows no such domain")
    elif mx is Mx.NULL_MX:
        yield Ground(SURE, "the domain says that it takes no mail (null MX, RFC 7505)")
    elif mx is Mx.NO_MAIL:
        yield Ground(SURE, "the domain has neither an MX nor an address in the DNS")
    elif mx is Mx.ADDRESS_ONLY:
        yield Ground(15, "the domain has no MX, only an address")
