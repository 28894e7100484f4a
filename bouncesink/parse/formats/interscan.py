"""Trend Micro InterScan (Messaging Security Suite, eManager, VirusWall).

"Sent <<< RCPT TO:<address>" and "Received >>> 550 ...", or "Unable to deliver message to
<address>" (public collections).
"""

import re

from bouncesink.parse.formats.reading import Entry, cut, reports, tidy
from bouncesink.parse.formats.sender import from_machine
from bouncesink.parse.message import Found, Message

NAME = "interscan"
HINTS = (">>>", "interscan", "unable to deliver message to <")

_SESSION = re.compile(
    r"^sent +<<< rcpt to:[ ]?<([^<>\n]{3,400})>[^\n]*\n(?:[ \t]*\n)?received +>>> ([^\n]{3,1000})",
    re.IGNORECASE | re.MULTILINE,
)
_UNABLE = re.compile(
    r"^((?:reason: *)?unable to deliver message to <([^<>\n]{3,400})>[^\n]{0,400})",
    re.IGNORECASE | re.MULTILINE,
)
_END = re.compile(r"^\*{4,80} +end of message +\*{4,80}", re.IGNORECASE | re.MULTILINE)


def recognize(message: Message) -> Found | None:
    text = message.text
    if ">>>" not in text and "InterScan" not in text:
        return None
    notice, _ = cut(text, _END)
    found = _SESSION.findall(notice)[:1000]
    found = found or [(who, said) for said, who in _UNABLE.findall(notice)[:1000]]
    if not found or not from_machine(message):
        return None
    said = [Entry(address, detail) for who, detail in found if (address := tidy(who))]
    made = reports([each for each in said if each.detail[:1] != "2"], NAME)
    return Found(made) if made else None
