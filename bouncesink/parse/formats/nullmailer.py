"""nullmailer.

`nullmailer-dsn` (https://untroubled.org/nullmailer/): "This is the nullmailer delivery system. The
message attached below could not be delivered to one or more of the intended recipients:". It also
writes a delivery-status part.
"""

import re

from bouncesink.parse.formats.reading import read_list
from bouncesink.parse.message import Found, Message

NAME = "nullmailer"
HINTS = ("nullmailer",)

_OPENING = re.compile(
    r"this is the nullmailer delivery system\.\s{1,20}the message attached below\s{1,20}"
    r"(?:could not be|has not been)\s{1,20}delivered to one or more of the intended recipients:",
    re.IGNORECASE,
)


def recognize(message: Message) -> Found | None:
    if "nullmailer" not in message.text:
        return None
    return read_list(message, NAME, _OPENING)
