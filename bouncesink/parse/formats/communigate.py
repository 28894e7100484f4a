"""CommuniGate Pro.

"Failed to deliver to 'address'", then the module's report and the remote reply (communigate.com,
"Queue: non-delivery reports").
"""

import re

from bouncesink.parse.formats.reading import read_blocks
from bouncesink.parse.message import Found, Message

NAME = "communigate"
HINTS = ("failed to deliver to '",)

_OPENING = re.compile(r"^[ \t]*failed to deliver to '", re.IGNORECASE | re.MULTILINE)
_HEAD = re.compile(
    r"^[ \t]*failed to deliver to '<?(?P<address>[^'\n<>]{3,400})>?'", re.IGNORECASE | re.MULTILINE
)


def recognize(message: Message) -> Found | None:
    return read_blocks(message, NAME, _OPENING, _HEAD)
