"""PURE. Machines that answer for a person: vacation texts (RFC 3834), challenges, read receipts."""

from bouncesink.parse import challenge, disposition, vacation
from bouncesink.parse.message import Found, Message

NAME = "auto-reply"


def recognize(message: Message) -> Found | None:
    """Try receipts by their type, then challenges, which also call themselves replies."""
    return (
        disposition.recognize(message)
        or challenge.recognize(message)
        or vacation.recognize(message)
    )
