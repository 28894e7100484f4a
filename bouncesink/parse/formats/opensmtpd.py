"""OpenSMTPD.

`bounce.c` (https://github.com/OpenSMTPD/OpenSMTPD): "Hi!", "This is the MAILER-DAEMON, please DO
NOT REPLY to this email.", then "address: reply" a recipient. Newer ones add a delivery-status part
without a Diagnostic-Code: the reply is only here. After the time-out it says "Envelope expired".
"""

import re

from bouncesink.model import DsnAction
from bouncesink.parse.formats.reading import Entry, entries, notice_of, reports
from bouncesink.parse.message import Found, Message

NAME = "opensmtpd"
HINTS = ("please do not reply",)

_OPENING = re.compile(
    r"^[ \t]*this is the MAILER-DAEMON, please DO NOT REPLY to", re.IGNORECASE | re.MULTILINE
)
_HEAD = re.compile(
    r"^(?P<address>(?:\"[^\"\n]{1,256}\"|[^\s<>@:\"]{1,256})@[^\s<>@:]{1,255}):(?=[ \t]|$)",
    re.MULTILINE,
)
_RETURNED = re.compile(
    r"^[ \t]*below is a copy of the (?:original message|message headers)[^\n]*$",
    re.IGNORECASE | re.MULTILINE,
)
_WAITING = re.compile(r"temporary (?:error|failure)|message (?:is|was) delayed", re.IGNORECASE)
_DELIVERED = re.compile(r"message was successfully (?:delivered|relayed)", re.IGNORECASE)


def recognize(message: Message) -> Found | None:
    parted = notice_of(message, _OPENING, _RETURNED)
    if parted is None:
        return None
    notice, returned = parted
    if _DELIVERED.search(notice):
        action = DsnAction.RELAYED
    else:
        action = DsnAction.DELAYED if _WAITING.search(notice) else DsnAction.FAILED
    found = [Entry(each.address, each.detail.partition("\n")[0]) for each in entries(notice, _HEAD)]
    made = reports(found, NAME, action)
    return Found(made, returned_text=returned) if made else None
