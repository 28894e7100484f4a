"""GMX, WEB.DE, mail.com and 1&1 / IONOS (kundenserver.de, perfora.net): United Internet's servers.

Exim's opening words, then `address:` or `"address":` on a line by itself and what was said about
it on the lines below: the command that failed, the host, the reply. Seen in public collections.
"""

import re

from bouncesink.parse.formats.reading import read_blocks
from bouncesink.parse.message import Found, Message

NAME = "kundenserver"
HINTS = ("a message that you", "nachricht, die sie", "mail, die sie")

_OPENING = re.compile(
    r"^a message that you (?:have )?sent could not be delivered to one or more of\s{1,20}its"
    r" recipients"
    r"|^(?:die|eine) (?:e-?mail|nachricht), die sie (?:gesendet|verschickt) haben",
    re.IGNORECASE | re.MULTILINE,
)
_HEAD = re.compile(
    r"^[\"<]?(?P<address>[^\s\"<>]{1,256}@[^\s\"<>:]{1,255})[\">]?:[ \t]*$", re.MULTILINE
)
_RETURNED = re.compile(
    r"^--- (?:the header of the original message|der header der urspr)[^\n]*$",
    re.IGNORECASE | re.MULTILINE,
)


def recognize(message: Message) -> Found | None:
    return read_blocks(message, NAME, _OPENING, _HEAD, _RETURNED)
