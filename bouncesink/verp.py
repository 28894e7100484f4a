"""PURE. Return paths that prove a bounce is about mail we sent: signed VERP.

Each message is sent with a return path of its own, `bounces+TOKEN@example.com`. A bounce comes back
to it, and the token tells that we mailed that very address, and when: nobody without the key can
make one, or use one for another address.

A token is 32 characters of lower-case base32 (RFC 4648), as mail systems may change the case of a
local part: 2 octets of the day of issue, 6 that stand for the address, and 12 of HMAC-SHA256 over
both (RFC 2104, section 5 for the truncation). The name stays far below the 64 octets of RFC 5321,
section 4.5.3.1.1.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable
from datetime import date, timedelta
from enum import StrEnum

from bouncesink.address import normalise

LEAST_KEY = 16
"""In octets."""

_FIRST_DAY = date(2020, 1, 1)
_LAST_DAY = _FIRST_DAY + timedelta(days=0xFFFF)
_DAY, _TAG, _MAC = 2, 6, 12
_MAX_LOCAL = 64
_IN_LOCAL = re.compile(r"[+-]([a-z2-7]{32})\Z")


class Check(StrEnum):
    """What a token says about an address."""

    VALID = "valid"
    OTHER_ADDRESS = "other_address"
    EXPIRED = "expired"
    NOT_OURS = "not_ours"


def parse_keys(data: bytes) -> tuple[bytes, ...]:
    """Read a key file: a key a line, the first one signs, all of them verify.

    Raises ValueError when there is none, or one is shorter than 16 octets.
    """
    keys = tuple(line for line in map(bytes.strip, data.splitlines()) if line)
    if not keys or any(len(key) < LEAST_KEY for key in keys):
        raise ValueError(
            f"a key of at least {LEAST_KEY} octets is wanted, one a line; "
            "`openssl rand -hex 32` makes a good one"
        )
    return keys


def sign(address: str, key: bytes, day: date) -> str:
    """Make the token for mail to `address` sent on `day` (UTC). ValueError if it is no address."""
    known = normalise(address)
    if known is None:
        raise ValueError(f"{address!r} is not an e-mail address")
    if not _FIRST_DAY <= day <= _LAST_DAY:
        raise ValueError(f"{day} is not between {_FIRST_DAY} and {_LAST_DAY}")
    issued = (day - _FIRST_DAY).days.to_bytes(_DAY, "big")
    signed = issued + _tag(known, key)
    return base64.b32encode(signed + _mac(signed, key)).decode("ascii").lower()


def return_path(
    bounce_address: str, address: str, key: bytes, day: date, separator: str = "+"
) -> str:
    """Give the envelope sender for mail to `address`: `bounces+TOKEN@...`, or with `-`.

    ValueError when one is no address, or the name would pass 64 octets.
    """
    local, at, domain = bounce_address.rpartition("@")
    name = f"{local}{separator}{sign(address, key, day)}"
    if not at or not local or not domain or len(name.encode()) > _MAX_LOCAL:
        raise ValueError(f"{bounce_address!r} is no address that a token can be put into")
    return f"{name}@{domain}"


def token_of(recipient: str) -> str | None:
    """Give the token in the name of a recipient, or None where nothing looks like one."""
    found = _IN_LOCAL.search(recipient.rpartition("@")[0].lower())
    return found[1] if found else None


def verify(
    token: str, address: str, keys: Iterable[bytes], today: date, max_age_days: int
) -> Check:
    """Check a token against the address that is said to have bounced. Never raises."""
    try:
        data = base64.b32decode(token.upper().encode("ascii"))
    except ValueError:
        return Check.NOT_OURS
    signed, mac = data[: _DAY + _TAG], data[_DAY + _TAG :]
    key = next((k for k in keys if hmac.compare_digest(mac, _mac(signed, k))), None)
    if key is None:
        return Check.NOT_OURS
    known = normalise(address)
    if known is None or not hmac.compare_digest(signed[_DAY:], _tag(known, key)):
        return Check.OTHER_ADDRESS
    age = (today - _FIRST_DAY).days - int.from_bytes(signed[:_DAY], "big")
    # A day's grace: the clocks of sender and receiver need not agree at midnight.
    return Check.VALID if -1 <= age <= max_age_days else Check.EXPIRED


def _tag(address: str, key: bytes) -> bytes:
    text = b"address\0" + address.encode("utf-8", "surrogatepass")
    return hmac.digest(key, text, hashlib.sha256)[:_TAG]


def _mac(signed: bytes, key: bytes) -> bytes:
    return hmac.digest(key, b"token\0" + signed, hashlib.sha256)[:_MAC]
