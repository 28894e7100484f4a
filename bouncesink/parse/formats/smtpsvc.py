"""Microsoft's SMTP service (IIS, Exchange 2000), IronPort and others that list below a sentence.

"Delivery to the following recipients failed." or "Unable to deliver message to the following
recipients, because ...", an indented list, and details below a title. Public collections.
"""

import re

from bouncesink.parse.formats import gmail
from bouncesink.parse.formats.reading import read_list
from bouncesink.parse.message import MAX_INTRO, Found, Message

NAME = "smtpsvc"
HINTS = ("following recipient", "folgenden empfänger", "destinataires suivants")

_OPENING = re.compile(
    r"^[ \t]*(?:del[ie]very to the following recipients? (?:failed|has been delayed)"
    r"[^\n:.]{0,40}[:.]"
    r"|unable to deliver message to the following recipients?,[^:]{0,160}[:.]$"
    r"|(?:die )?zustellung an (?:den |die )?folgenden empfänger[^\n]{0,80}[:.]"
    r"|la remise aux destinataires suivants a échoué[^\n]{0,20}[:.])",
    re.IGNORECASE | re.MULTILINE,
)
_HINT = re.compile(r"ollowing recipient|olgenden|suivants")
_SAID = re.compile(
    r"technical details:[-=\s]{0,300}([^\n]{3,1500}(?:\n[^\n=]+){0,6})", re.IGNORECASE
)


def recognize(message: Message) -> Found | None:
    if not _HINT.search(message.text, 0, MAX_INTRO) or gmail.is_legacy(message):
        return None
    return read_list(message, NAME, _OPENING, _SAID)
