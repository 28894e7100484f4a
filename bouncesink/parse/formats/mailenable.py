"""MailEnable, and hMailServer, which words it alike.

"The following recipient(s) could not be reached:", then "Recipient: [SMTP:address]" and "Reason:",
or the address and "Error Type: SMTP" with the session (hmailserver.com, "server messages").
"""

import re

from bouncesink.parse.formats.reading import read_blocks
from bouncesink.parse.message import Found, Message

NAME = "mailenable"
HINTS = (" reached", "mailenable")

_OPENING = re.compile(
    r"the following recipient(?:\(s\)|s)? (?:could not be|(?:was|were) not) reached[ \t]*:?"
    r"|^[ \t]*mailenable: message could not be delivered",
    re.IGNORECASE | re.MULTILINE,
)
_HEAD = re.compile(
    r"^[ \t]*recipient:[ \t]*\[?(?:smtp:)?(?P<address>[^\s\[\]<>]{1,400})\]?[ \t]*$"
    r"|^[ \t]{0,12}(?:'|<)?(?P<bare>[^\s<>'\"]{1,256}@[^\s<>'\":]{1,255})(?:'|>)?:?[ \t]*"
    r"(?:$|(?=on \w{3}|error type))",
    re.IGNORECASE | re.MULTILINE,
)


def recognize(message: Message) -> Found | None:
    return read_blocks(message, NAME, _OPENING, _HEAD)
