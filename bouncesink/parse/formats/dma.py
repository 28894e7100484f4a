"""dma, the DragonFly Mail Agent, also as Debian's and FreeBSD's.

`mail.c` (https://github.com/corecode/dma): "This is the DragonFly Mail Agent v0.13 at host.",
"There was an error delivering your mail to <address>.", what was said, and the returned message
or its headers.
"""

import re

from bouncesink.parse.formats.reading import read_blocks
from bouncesink.parse.message import Found, Message

NAME = "dma"
HINTS = ("dragonfly mail agent",)

_OPENING = re.compile(r"^this is the DragonFly Mail Agent\b", re.IGNORECASE | re.MULTILINE)
_HEAD = re.compile(
    r"^there was an error delivering your mail to <?(?P<address>[^\s<>]{1,400})>?\.?[ \t]*$",
    re.IGNORECASE | re.MULTILINE,
)
_RETURNED = re.compile(
    r"^(?:message headers follow|original message follows)\.[ \t]*$", re.IGNORECASE | re.MULTILINE
)


def recognize(message: Message) -> Found | None:
    return read_blocks(message, NAME, _OPENING, _HEAD, _RETURNED)
