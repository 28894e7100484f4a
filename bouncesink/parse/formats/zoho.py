"""Zoho Mail.

"This message was created automatically by mail delivery software.", then a line a recipient:
the address, a reason and ERROR_CODE fields; the header of the returned message comes after it
without a mark. Seen in public collections.
"""

import re

from bouncesink.parse.formats.reading import cut_headers, entries, reports
from bouncesink.parse.formats.sender import from_machine
from bouncesink.parse.message import Found, Message

NAME = "zoho"
HINTS = ("error_code",)

_HEAD = re.compile(
    r"^(?P<address>[^\s<>,]{1,256}@[^\s<>,]{1,255})[ ,:](?=[^\n]{0,400}ERROR_CODE)", re.MULTILINE
)


def recognize(message: Message) -> Found | None:
    text = message.text
    if "ERROR_CODE" not in text or not from_machine(message):
        return None
    notice, returned = cut_headers(text)
    made = reports(entries(notice, _HEAD), NAME)
    return Found(made, returned_text=returned) if made else None
