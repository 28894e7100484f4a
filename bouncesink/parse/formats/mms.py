"""Verizon Wireless: vtext.com and vzwpix.com, and other gateways to telephones.

"Message could not be delivered to mobile." or "Error: Invalid user address", and the message's
fields below a title; the recipient is their "To" or "RCPT TO" (public collections).
"""

import re

from bouncesink.parse.formats.reading import Entry, reports, tidy
from bouncesink.parse.formats.sender import from_machine
from bouncesink.parse.message import MAX_INTRO, Found, Message

NAME = "mms"
HINTS = ("could not be delivered to mobile", "error: ")

_OPENING = re.compile(
    r"^(?:message could not be delivered to mobile|error: (?:invalid user address"
    r"|no valid recipients))",
    re.IGNORECASE | re.MULTILINE,
)
_TO = re.compile(r"^[ \t]*(?:rcpt to|to): ?(\S[^\n]{2,400})", re.IGNORECASE | re.MULTILINE)


def recognize(message: Message) -> Found | None:
    text = message.text[:MAX_INTRO]
    if _OPENING.search(text) is None or not from_machine(message):
        return None
    to = _TO.search(text)
    address = tidy(to[1]) if to else None
    if to is None or address is None:
        return None
    reason = (
        text[: to.start()].partition("\nMessage details:")[0].partition("\nOriginal Message")[0]
    )
    return Found(reports([Entry(address, reason)], NAME), returned_text=text[to.start() :].lstrip())
