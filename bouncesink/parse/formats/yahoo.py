"""Yahoo Mail and the mail systems it runs for others (AT&T, Yahoo! Japan).

"Sorry, we were unable to deliver your message to the following address." or "Unable to deliver
message to the following address(es).", then a passage a recipient (`<address>:`); seen in public
collections of bounces, and in https://help.yahoo.com on "Failure Notice".
"""

import re

from bouncesink.parse.formats.reading import read_blocks
from bouncesink.parse.message import Found, Message

NAME = "yahoo"
HINTS = ("unable to deliver",)

_OPENING = re.compile(
    r"^(?:sorry, we were )?unable to deliver (?:your )?message to the following address",
    re.IGNORECASE | re.MULTILINE,
)


def recognize(message: Message) -> Found | None:
    return read_blocks(message, NAME, _OPENING)
