"""McAfee SaaS / MX Logic's relays.

"The following address failed:" and "  <address>: reply" on one line; the returned header follows
"Included is a copy of the message header:". Seen in public collections.
"""

import re

from bouncesink.parse.formats.reading import read_blocks
from bouncesink.parse.message import Found, Message

NAME = "mxlogic"
HINTS = (" failed:", "you have sent")

_OPENING = re.compile(
    r"^a message that you have sent could not be delivered to one or more\s{1,20}recipients"
    r"|\bthe following address(?:es)? failed:[ \t]*\n\s{0,20}<",
    re.IGNORECASE | re.MULTILINE,
)


def recognize(message: Message) -> Found | None:
    if " failed:" not in message.text and "you have sent" not in message.text:
        return None
    return read_blocks(message, NAME, _OPENING)
