"""Alt-N MDaemon.

"Failed address: address" under "The attached message had PERMANENT fatal delivery errors!", or
"The following addresses did NOT receive a copy of your message:", then "> address"; after it
"--- Session Transcript ---" (help.mdaemon.com, "DSN settings"; public collections).
"""

import re

from bouncesink.model import DsnAction
from bouncesink.parse.formats.fate import is_warning
from bouncesink.parse.formats.reading import Entry, listed, reports
from bouncesink.parse.formats.sender import from_machine
from bouncesink.parse.message import Found, Message

NAME = "mdaemon"
HINTS = ("failed address", "did not receive a copy")

_FAILED = re.compile(r"^[ \t]*failed address(?:es)?: ?([^\n]{3,400})", re.IGNORECASE | re.MULTILINE)
_LIST = re.compile(
    r"^[^\n]{0,40}following addresses? did not receive a copy of your message:?[ \t]*\n((?:["
    r" \t]*(?:>[^\n]*)?\n){1,100})",
    re.IGNORECASE | re.MULTILINE,
)
_SESSION = re.compile(r"^-{2,4} ?session transcript", re.IGNORECASE | re.MULTILINE)
_REPLY = re.compile(r"<-{1,3} ?([45]\d\d[^\n]{0,600})")
_TRANSIENT = re.compile(r"had transient|non-fatal|delivery warning", re.IGNORECASE)


def recognize(message: Message) -> Found | None:
    text = message.text
    named = _FAILED.findall(text)[:1000] + _LIST.findall(text)[:10]
    if not named or not from_machine(message):
        return None
    session = _SESSION.search(text)
    replies = _REPLY.findall(text, session.end() if session else 0)
    waiting = _TRANSIENT.search(text) is not None or is_warning(text)
    found = [each for block in named for each in listed(block)]
    made = reports(
        [Entry(each.address, replies[-1] if replies else "") for each in found],
        NAME,
        DsnAction.DELAYED if waiting else DsnAction.FAILED,
        detail=text[: session.start()] if session else text[:600],
    )
    return Found(made) if made else None
