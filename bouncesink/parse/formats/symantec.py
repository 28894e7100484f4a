"""Symantec Email Security.cloud (MessageLabs, Broadcom).

"I was unable to deliver your message to the following addresses:", the addresses, "Reason:".
Seen in public collections.
"""

import re

from bouncesink.parse.formats.reading import read_list
from bouncesink.parse.message import Found, Message

NAME = "symantec"
HINTS = ("unable to deliver your message",)

_OPENING = re.compile(
    r"^i was unable to deliver your message to the following address(?:es)?[ \t]*[:.]",
    re.IGNORECASE | re.MULTILINE,
)
_SAID = re.compile(r"^reason:[ \t]*([^\n]{3,1000}(?:\n[^\n]+){0,8})", re.IGNORECASE | re.MULTILINE)


def recognize(message: Message) -> Found | None:
    return read_list(message, NAME, _OPENING, _SAID)
