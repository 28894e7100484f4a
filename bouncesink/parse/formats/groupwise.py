"""Novell (Micro Focus) GroupWise.

"The message that you sent was undeliverable to the following:", then an address a line, with the
reason in parentheses. Documented in GroupWise's administration guide; seen in public collections.
"""

import re

from bouncesink.parse.formats.reading import read_list
from bouncesink.parse.message import Found, Message

NAME = "groupwise"
HINTS = ("undeliverable to the following", "gesendete nachricht")

_OPENING = re.compile(
    r"^(?:the )?(?:attached )?(?:message|mail)(?: that)?(?: you sent)? (?:was"
    r"|is) undeliverable to the following:?"
    r"|^die (?:von ihnen )?gesendete nachricht konnte (?:an )?folgende[nr]? (?:empfänger"
    r" )?nicht[^\n]{0,30}:?",
    re.IGNORECASE | re.MULTILINE,
)


def recognize(message: Message) -> Found | None:
    return read_list(message, NAME, _OPENING)
