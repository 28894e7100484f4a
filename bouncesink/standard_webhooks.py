"""PURE. Signatures as standardwebhooks.com has them: what we send, and what is sent to us.

The fields webhook-id, webhook-timestamp and webhook-signature; the last is the base64 HMAC-SHA256
of id, timestamp and body, after `v1,`. There may be several, parted by spaces.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable

SHORTEST_SECRET = 24
"""Octets, as the standard asks."""


def read_key(text: bytes) -> bytes:
    """Give the key that a secret stands for: base64 after `whsec_`, else as it is.

    Raises ValueError with what is wrong with it.
    """
    text = text.strip()
    coded = text.removeprefix(b"whsec_")
    try:
        secret = base64.b64decode(coded, validate=True) if coded != text else text
    except binascii.Error:
        raise ValueError("base64 is wanted after whsec_") from None
    if len(secret) < SHORTEST_SECRET:
        raise ValueError(
            f"at least {SHORTEST_SECRET} octets are wanted, as from: openssl rand -hex 32"
        )
    return secret


def sign(key: bytes, id_: str, timestamp: str, body: bytes) -> str:
    fields = (each.encode("utf-8", "surrogateescape") for each in (id_, timestamp))
    signed = b".".join((*fields, body))
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def is_signed(keys: Iterable[bytes], id_: str, timestamp: str, body: bytes, given: str) -> bool:
    """Whether one of the signatures in `given` is by one of the keys."""
    signatures = [each.encode("utf-8", "surrogateescape") for each in given.split()[:10]]
    wanted = [sign(key, id_, timestamp, body).encode() for key in keys]
    return any(hmac.compare_digest(each, right) for each in signatures for right in wanted)
