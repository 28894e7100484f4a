"""Apache James.

Its bounce mailets (https://github.com/apache/james-project, `DSNBounce`, `NotifySender`): "Hi. This
is the James mail server at host", "Failed recipient(s):" and the addresses, "Error message:".
"""

import re

from bouncesink.parse.formats.reading import read_blocks, read_list
from bouncesink.parse.message import Found, Message

NAME = "james"
HINTS = ("james mail server", "failed recipient(s)")

_OPENING = re.compile(
    r"^\s{0,20}(?:hi\. )?this is the james mail server at", re.IGNORECASE | re.MULTILINE
)
_FAILED = re.compile(
    r"^\s{0,20}(?:failed recipient\(s\):|.{0,60}the reason why i was unable to deliver\s{1,20}your"
    r" message\.)",
    re.IGNORECASE | re.MULTILINE,
)
_ERROR = re.compile(
    r"^error (?:message)?(?: below)?:?[ \t]*\n([^\n]+(?:\n[^\n]+){0,8})",
    re.IGNORECASE | re.MULTILINE,
)
_HEAD = re.compile(r"^<?(?P<address>[^\s<>]{1,256}@[^\s<>:]{1,255})>?:(?= |$)", re.MULTILINE)


def recognize(message: Message) -> Found | None:
    if "James mail server" not in message.text and "Failed recipient(s)" not in message.text:
        return None
    return read_list(message, NAME, _FAILED, _ERROR) or read_blocks(message, NAME, _OPENING, _HEAD)
