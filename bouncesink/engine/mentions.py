"""PURE. Whether a mail names an address, however that is spelt and encoded there.

To be erased, and to be shown to whom it belongs, so it is found rather once too often: a VERP
address, an xtext or percent form and a longer plus-address count as the address.
"""

import base64
import binascii
import contextlib
import json
import quopri
import re
from dataclasses import fields, replace

import idna

from bouncesink.address import domain_of
from bouncesink.model import Event, Report, Verdict

_AT = rb"(?:@|=|=40|%40|\+40|&#64;|&commat;|=3d)"
_START, _END = r"(?<![A-Za-z0-9._-])", r"(?![A-Za-z0-9]|\.[A-Za-z0-9])"
"""Not the end of a longer name, nor the start of a longer domain."""

_BASE64 = re.compile(rb"[A-Za-z0-9+/]{4,}(?:\r?\n[A-Za-z0-9+/]+)*={0,2}")
"""A run of it; an empty line ends one, so that each begins where its encoding does."""
_LEAST_BASE64 = 12


def spellings(address: str) -> tuple[str, ...]:
    """Give the ways in which text of ours has a normalised address, in lower case."""
    local, domain = address.rpartition("@")[0], domain_of(address)
    found = {address: None}
    with contextlib.suppress(idna.IDNAError, UnicodeError):
        found[f"{local}@{idna.decode(domain)}"] = None
    for each in [*found, f"{local}={domain}"]:
        found[each] = found[json.dumps(each)[1:-1]] = None
    return tuple(found)


def in_text(address: str) -> re.Pattern[str]:
    """Match a normalised address in text of ours, however it is spelt."""
    spelt = "|".join(map(re.escape, spellings(address)))
    return re.compile(f"{_START}(?:{spelt}){_END}", re.IGNORECASE)


def nameless(event: Event, pattern: re.Pattern[str], name: str) -> Event:
    """Put a name in the place of what matches in the texts of an event about somebody else."""

    def texts(of: Event | Report | Verdict) -> dict[str, str]:
        each = ((field.name, getattr(of, field.name)) for field in fields(of))
        return {
            field: pattern.sub(name, value)
            for field, value in each
            if type(value) is str and field not in {"id", "address", "arrival_id", "rule"}
        }

    report, verdict = event.report, event.verdict
    return replace(
        event,
        **texts(event),  # type: ignore[arg-type]  # each field that is a str gets one
        report=report and replace(report, **texts(report)),  # type: ignore[arg-type]  # likewise
        verdict=verdict and replace(verdict, **texts(verdict)),  # type: ignore[arg-type]  # likewise
    )


class Mentions:
    """Tells of a mail's bytes whether they name an address."""

    def __init__(self, address: str) -> None:
        local = address.rpartition("@")[0]
        domains = {spelt.rpartition("@")[2] for spelt in spellings(address) if "@" in spelt}
        names = rb"|".join(re.escape(each.encode()) for each in sorted(domains))
        self._pattern = re.compile(
            _START.encode()
            + re.escape(local.encode())
            + _AT
            + rb"(?:"
            + names
            + rb")"
            + _END.encode(),
            re.IGNORECASE,
        )

    def __call__(self, raw: bytes) -> bool:
        if self._pattern.search(raw):
            return True
        unfolded = re.sub(rb"\r?\n[ \t]", b"", raw)
        if self._pattern.search(unfolded) or self._pattern.search(quopri.decodestring(raw)):
            return True
        return any(self._pattern.search(each) for each in _base64(raw))


def _base64(raw: bytes) -> list[bytes]:
    """Decode every run of base64, of a body or of an encoded word (RFC 2047)."""
    found = []
    for run in _BASE64.finditer(raw):
        text = re.sub(rb"[\r\n]", b"", run[0]).rstrip(b"=")
        if len(text) >= _LEAST_BASE64:
            try:
                found.append(base64.b64decode(text[: len(text) // 4 * 4] + _rest(text)))
            except (binascii.Error, ValueError):
                continue
    return found


def _rest(text: bytes) -> bytes:
    rest = text[len(text) // 4 * 4 :]
    return rest + b"=" * (4 - len(rest)) if len(rest) > 1 else b""
