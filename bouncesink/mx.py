"""What the DNS says of a domain's mail: the one importer of dnspython."""

from typing import TYPE_CHECKING

from bouncesink.errors import ConfigError
from bouncesink.risk import Mx

if TYPE_CHECKING:
    import dns.resolver

TIMEOUT = 5.0
"""Seconds for all that is asked about one domain."""


def lookup(domain: str, nameservers: tuple[str, ...] = (), port: int = 53) -> Mx:
    """Ask as RFC 5321, section 5.1, has it: the MX, and where there is none, an address.

    Asks the system's name servers unless others are given. Trouble of any sort is UNKNOWN. Raises
    ConfigError when dnspython is not installed.
    """
    try:
        import dns.exception
        import dns.resolver
    except ImportError:
        raise ConfigError("asking the DNS needs dnspython: pip install 'bouncesink[dns]'") from None
    try:
        resolver = dns.resolver.Resolver(configure=not nameservers)
        if nameservers:
            resolver.nameservers, resolver.port = list(nameservers), port
        resolver.lifetime = TIMEOUT
        try:
            hosts = {str(answer.exchange) for answer in resolver.resolve(domain, "MX")}
            return Mx.NULL_MX if hosts == {"."} else Mx.ACCEPTS
        except dns.resolver.NoAnswer:
            return Mx.ADDRESS_ONLY if _has_address(resolver, domain) else Mx.NO_MAIL
    except dns.resolver.NXDOMAIN:
        return Mx.NO_DOMAIN
    except (dns.exception.DNSException, OSError, ValueError):
        return Mx.UNKNOWN


def _has_address(resolver: "dns.resolver.Resolver", domain: str) -> bool:
    import dns.resolver

    for kind in ("A", "AAAA"):
        try:
            resolver.resolve(domain, kind)
            return True
        except dns.resolver.NoAnswer:
            continue
    return False
