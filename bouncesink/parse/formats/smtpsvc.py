"""Microsoft's SMTP service (IIS, Exchange 2000), IronPort and others that list below a sentence.

"Delivery to the following recipients failed." or "Unable to deliver message to the following
recipients, because ...", an indented list, and details below a title. Public collections.
"""

import re

from bouncesink.parse.formats.reading import read_list
from bouncesink.parse.message import Found, Message

NAME = "smtpsvc"

_OPENING = re.compile(
    r"^[ \t]*(?:del[ie]very to the following recipients? (?:failed|has been delayed)"
    r"[^\n:.]{0,40}[:.]"
    r"|unable to deliver message to the following recipients?,[^:]{0,160}[:.]$"
    r"|(?:die )?zustellung an (?:den |die )?folgenden empfänger[^\n]{0,80}[:.]"
    r"|la remise aux destinataires suivants a échoué[^\n]{0,20}[:.])",
    re.IGNORECASE | re.MULTILINE,
)
_SAID = re.compile(r"technical details:\s*[-=\s]*([^\n]{3,1500}(?:\n[^\n=]+){0,6})", re.IGNORECASE)

_GMAIL = re.compile(r"^technical details of \w{1,20} failure:", re.IGNORECASE | re.MULTILINE)


def recognize(message: Message) -> Found | None:
    if _GMAIL.search(message.text):
        return None
    return read_list(message, NAME, _OPENING, _SAID)
