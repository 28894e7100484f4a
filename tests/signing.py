"""Mail as our server signs it: a key made for this run, and the record that publishes it."""

import base64
from functools import cache

import dkim
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

DOMAIN, SELECTOR = "example.org", "s1"
NAME = f"{SELECTOR}._domainkey.{DOMAIN}"
COVERED = ("from", "to", "subject", "date", "message-id")


@cache
def private_key(_which: str = "ours") -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 1024)


def record(which: str = "ours") -> str:
    """Give the DNS record of a key (RFC 6376, section 3.6.1)."""
    der = (
        private_key(which)
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return f"v=DKIM1; k=rsa; p={base64.b64encode(der).decode()}"


def pem(which: str = "ours") -> bytes:
    return private_key(which).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )


def signed(
    headers: str,
    which: str = "ours",
    domain: str = DOMAIN,
    covers: tuple[str, ...] = COVERED,
    header: bytes = b"relaxed",
    algorithm: bytes = b"rsa-sha256",
) -> str:
    """Give a header section with our signature on top, made over it and a body that is not here."""
    mail = (headers + "\nA body that never comes back.\n").replace("\n", "\r\n").encode()
    field: bytes = dkim.sign(
        mail,
        SELECTOR.encode(),
        domain.encode(),
        pem(which),
        include_headers=[name.encode() for name in covers],
        canonicalize=(header, b"relaxed"),
        signature_algorithm=algorithm,
    )
    return field.decode().replace("\r\n", "\n") + headers
