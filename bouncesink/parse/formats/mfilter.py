"""Digital Arts m-FILTER.

In Japanese: "sending to these addresses failed", the address, then "-------server message" and
"-------original message" (public collections).
"""

import re

from bouncesink.parse.formats.reading import read_list
from bouncesink.parse.message import Found, Message

NAME = "m-filter"
HINTS = ("以下のメールアドレス",)

_OPENING = re.compile(r"^以下のメールアドレスへの送信に失敗しました。", re.MULTILINE)
_SAID = re.compile(
    r"^-{4,9}server message[ \t]*\n([^\n]+(?:\n(?!-)[^\n]+){0,8})", re.IGNORECASE | re.MULTILINE
)
_RETURNED = re.compile(
    r"^-{4,9}original (?:message|mail info)[ \t]*$", re.IGNORECASE | re.MULTILINE
)


def recognize(message: Message) -> Found | None:
    return read_list(message, NAME, _OPENING, _SAID, _RETURNED)
