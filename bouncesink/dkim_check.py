"""Our own DKIM signature on the header section that a bounce returned: the one importer of dkimpy.

A bounce seldom returns the body, and need not: the signature is over the signed header fields and
the DKIM-Signature field itself (RFC 6376, section 3.7), so the body hash is left alone. So is the
expiry: what counts is that we signed, a bounce may come late, and `rebuild` must find the same.

`dkim_dns` asks for keys that are not in the config. Who writes a bounce chooses the selector, and
so what is asked: what is found and what is not is remembered, and failures are limited.
"""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Self

import structlog

from bouncesink.address import domain_of, normalise
from bouncesink.config import Config
from bouncesink.errors import ConfigError

MAX_BLOCK = 64 * 1024
MAX_FIELD = 4096
"""Octets of a DKIM-Signature; a 4096-bit one that covers 40 fields has half of that."""
MAX_SIGNATURES = 10
MAX_SIGNED = 100
KEEP = 3600.0
"""Seconds that an answer of the DNS, or none, is remembered."""
MAX_MISSES = 20
MAX_KEPT = 100
LOOKUP_TIMEOUT = 2.0
LEAST_BITS = 1024
"""Of an RSA key: RFC 8301, section 3.2."""

_ALGORITHMS = {b"rsa-sha256", b"ed25519-sha256"}
"""Not rsa-sha1: RFC 8301, section 3.1."""
_MANDATORY = [b"v", b"a", b"b", b"d", b"h", b"s"]
_NAME = re.compile(r"(?!.{254})(?:[a-z0-9_-]{1,63}\.)+_domainkey(?:\.[a-z0-9_-]{1,63})+")
# dkimpy's patterns take quadratic time over blanks, which no signer writes in such numbers.
_BLANKS = re.compile(rb"\s{100}")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature of ours, and what it covers if it verifies: From, and To with Cc, unfolded.

    All fields of a name that it covers are in one, separated by commas; what stands in a field that
    it does not cover is not there.
    """

    verifies: bool
    from_: str = ""
    to: str = ""


@dataclass(slots=True)
class DnsKeys:
    """Key records from the DNS; None stands for none, no answer, and not asked any more."""

    lookup: Callable[[str], bytes | None]
    clock: Callable[[], float] = time.monotonic
    _found: dict[str, tuple[float, bytes]] = field(default_factory=dict)
    _missed: dict[str, float] = field(default_factory=dict)

    def get(self, name: str) -> bytes | None:
        now = self.clock()
        if name in self._found:
            until, record = self._found[name]
            if now < until:
                return record
        else:
            self._missed = {each: until for each, until in self._missed.items() if now < until}
            if name in self._missed or len(self._missed) >= MAX_MISSES:
                return None
        return self._ask(name, now + KEEP)

    def _ask(self, name: str, until: float) -> bytes | None:
        try:
            record = self.lookup(name)
        except Exception as error:
            log.warning("dkim.dns_failed", name=name, error=type(error).__name__)
            record = None
        if record is None:
            self._found.pop(name, None)
            self._missed[name] = until
        else:
            if len(self._found) >= MAX_KEPT:
                self._found.clear()
            self._found[name] = (until, record)
        return record


@dataclass(frozen=True, slots=True)
class Signatures:
    """Looks for signatures of ours. `keys` is by name, as in `selector._domainkey.example.org`."""

    domains: frozenset[str]
    keys: Mapping[str, bytes]
    dns: DnsKeys | None
    _dkim: ModuleType

    @classmethod
    def of(cls, config: Config) -> Self | None:
        """Make it if a key, or the DNS, is configured. Raises ConfigError."""
        trust = config.trust
        if not trust.dkim_keys and not trust.dkim_dns:
            return None
        dkim = _import()
        keys = {name.lower(): record.encode() for name, record in trust.dkim_keys.items()}
        for name, record in keys.items():
            _check_record(dkim, name, record)
        ours = [domain_of(normalise(box.address) or "") for box in config.mailboxes]
        ours += [domain.lower() for domain in trust.dkim_domains]
        ours += [name.partition("._domainkey.")[2] for name in keys]

        def lookup(name: str) -> bytes | None:
            record: bytes | None = dkim.get_txt(name.encode() + b".", timeout=LOOKUP_TIMEOUT)
            return record

        return cls(frozenset(ours), keys, DnsKeys(lookup) if trust.dkim_dns else None, dkim)

    def check(self, block: bytes) -> Signature | None:
        """Give the best signature of ours on a header section; None: there is none, or no key."""
        if b"signature" not in block.lower() or len(block) > MAX_BLOCK:
            return None
        best: Signature | None = None
        try:
            message = self._dkim.DKIM(block)
        except Exception:
            return None  # no header section: dkimpy has several ways to say so, some of them bugs
        fields = [each for each in message.headers if each[0].lower() == b"dkim-signature"]
        for each in fields[:MAX_SIGNATURES]:
            found = self._verify(message, each)
            if found and found.verifies:
                return found
            best = best or found
        return best

    def _verify(self, message: Any, signature: tuple[bytes, bytes]) -> Signature | None:
        try:
            if len(signature[1]) > MAX_FIELD or _BLANKS.search(signature[1]):
                return None
            tags = self._dkim.util.parse_tag_value(signature[1])
            domain = tags[b"d"].decode("ascii").lower()
            name = f"{tags[b's'].decode('ascii').lower()}._domainkey.{domain}"
            key = self._key(name) if domain in self.domains else None
        except Exception:
            return None  # what is not even well formed is none of ours
        if key is None:
            return None
        try:
            return self._verify_by(key, message, signature, tags)
        except self._dkim.NaClNotFoundError:
            return None  # an Ed25519 key in the DNS; the RSA signature beside it will do
        except Exception as error:
            # Hostile octets, in a package that indexes and asserts as it reads them.
            log.info("dkim.not_verified", name=name, error=type(error).__name__)
            return Signature(verifies=False)

    def _key(self, name: str) -> bytes | None:
        if name in self.keys:
            return self.keys[name]
        return self.dns.get(name) if self.dns and _NAME.fullmatch(name) else None

    def _verify_by(
        self, key: bytes, message: Any, signature: tuple[bytes, bytes], tags: Mapping[bytes, bytes]
    ) -> Signature:
        signed = [name.strip().lower() for name in tags[b"h"].split(b":")]
        if tags[b"a"] not in _ALGORITHMS or len(signed) > MAX_SIGNED:
            return Signature(verifies=False)
        told = {tag: value for tag, value in tags.items() if tag not in (b"bh", b"t", b"x")}
        self._dkim.validate_signature_fields(told, _MANDATORY)
        # Without `bh` it leaves the body out, as it does for an ARC-Seal.
        if not message.verify_sig(told, signed, signature, lambda _name, **_: key):
            return Signature(verifies=False)
        return Signature(
            verifies=True,
            from_=_joined(message.signed_headers, b"from"),
            to=_joined(message.signed_headers, b"to", b"cc"),
        )


def _joined(fields: list[tuple[bytes, bytes]], *names: bytes) -> str:
    values = [value for name, value in fields if name.lower() in names]
    return re.sub(r"[\r\n]+", "", ", ".join(value.decode("latin-1").strip() for value in values))


def _import() -> ModuleType:
    try:
        import dkim
    except ImportError as error:
        raise ConfigError(
            f"[trust] dkim_keys and dkim_dns need a package that is not installed ({error.name}): "
            "pip install 'bouncesink[auth]'"
        ) from None
    module: ModuleType = dkim
    return module


def _check_record(dkim: ModuleType, name: str, record: bytes) -> None:
    """Refuse what is no public key (RFC 6376, section 3.6.1). Raises ConfigError."""
    try:
        key, bits, kind, _ = dkim.evaluate_pk(name, record)
        what = "" if key and (kind != b"rsa" or bits >= LEAST_BITS) else "it is not strong enough"
    except Exception as error:
        what = str(error)[:200] or type(error).__name__
    if what:
        raise ConfigError(
            f'[trust] dkim_keys: {name}: the DNS record is wanted, as in "v=DKIM1; k=rsa; p=...": '
            f"{what}"
        )
