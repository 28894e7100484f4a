"""Mimecast.

"An email that you attempted to send to the following address could not be delivered:", "-- address"
and "The problem appears to be :", "Additional information follows :" (community.mimecast.com,
"Postmaster notifications"; public collections).
"""

import re

from bouncesink.parse.formats.reading import read_list
from bouncesink.parse.message import Found, Message

NAME = "mimecast"
HINTS = ("an email that you attempted",)

_OPENING = re.compile(
    r"^an email that you attempted to send to the following address(?:es)? could not be"
    r" delivered:?",
    re.IGNORECASE | re.MULTILINE,
)
_SAID = re.compile(
    r"additional information follows[ \t]*:\s{0,20}(?:-- )?([^\n]{3,1500})", re.IGNORECASE
)


def recognize(message: Message) -> Found | None:
    return read_list(message, NAME, _OPENING, _SAID)
