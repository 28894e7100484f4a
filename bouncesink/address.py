"""PURE. One spelling for each e-mail address, so that a bounce finds its lead."""

import re
import unicodedata

import idna

MAX_LENGTH = 320
"""Longest address that is kept, in characters: 64 + "@" + 255 of RFC 5321, section 4.5.3.1."""

_UNWANTED = re.compile(r"[\x00-\x20\x7f-\x9f]")
_DOT_ATOM = re.compile(r"[^\s()<>\[\]:;@\\,\"]+\Z")


def normalise(address: str) -> str | None:
    """Give the one spelling of an address, or None where the text is no address.

    Lower case throughout, plus-tags kept, the local part in NFC and without needless quotes
    (RFC 5321, section 4.1.2), the domain in A-labels (RFC 5890) without a final dot. A domain
    that IDNA refuses is kept in lower case: real mail has underscores in it.
    """
    text = address.strip()
    if text.startswith("<") and text.endswith(">"):
        text = text[1:-1].strip()
    local, at, domain = text.rpartition("@")
    if not at or not local or not domain or len(text) > MAX_LENGTH:
        return None
    local = unicodedata.normalize("NFC", local).lower()
    if local.startswith('"') and local.endswith('"') and len(local) > 2:
        bare = local[1:-1].replace("\\", "")
        local = bare if _DOT_ATOM.match(bare) else local
        if _UNWANTED.search(local.replace(" ", "")):
            return None
    elif _UNWANTED.search(local):
        return None
    domain = _normalise_domain(domain)
    return f"{local}@{domain}" if domain else None


def domain_of(address: str) -> str:
    """Give the part after the last "@" of a normalised address."""
    return address.rpartition("@")[2]


def bare(field: str) -> str:
    """Give the address of a From field, without the name."""
    return field[field.rfind("<") :].strip() if "<" in field else field


def _normalise_domain(domain: str) -> str:
    domain = domain.strip().rstrip(".").lower()
    if _UNWANTED.search(domain):
        return ""
    if domain.isascii():
        return domain
    try:
        return idna.encode(domain, uts46=True).decode("ascii")
    except idna.IDNAError:
        return unicodedata.normalize("NFC", domain)
