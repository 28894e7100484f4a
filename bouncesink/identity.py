"""PURE. What makes two things one: the identities that keep anything from counting twice."""

import hashlib


def arrival_id(raw: bytes, envelope_to: str) -> str:
    """Identify an arrival by its bytes and envelope recipient: a redelivery is a no-op."""
    digest = hashlib.sha256(raw)
    digest.update(b"\0")
    digest.update(envelope_to.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def body_identity(body: bytes) -> str:
    """Stand in for the Message-ID of a notification that has none."""
    return "sha256:" + hashlib.sha256(body).hexdigest()


def event_id(notice_identity: str, address: str, action: str) -> str:
    """Identify an event by its notification, address and action, whichever way it came in."""
    text = f"{notice_identity}\0{address}\0{action}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def url_id(url: str) -> str:
    """Stand in for a URL, which may hold what only its owner may know."""
    return hashlib.sha256(url.encode()).hexdigest()[:16]


def bare_message_id(text: str | None) -> str | None:
    """Give a Message-ID without angle brackets and the space around it (RFC 5322, section 3.6.4).

    Case is kept: the left part is the sender's own.
    """
    bare = (text or "").strip().removeprefix("<").removesuffix(">").strip()
    return bare or None
