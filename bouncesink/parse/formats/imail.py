"""Ipswitch (Progress) IMail Server: SMTP32.

One line a recipient, "Unknown user: address" or "undeliverable to address", then "Original message
follows." (IMail's help on "Undeliverable Mail"; public collections).
"""

import re

from bouncesink.parse.formats.reading import Entry, notice_of, reports, tidy
from bouncesink.parse.formats.sender import from_machine
from bouncesink.parse.message import Found, Message

NAME = "imail"
HINTS = (
    "original message follows",
    "unknown user",
    "undeliverable",
    "invalid final",
    "mailbox",
    "delivery failed",
    "unknown host",
    "mail server for",
)

_OPENING = re.compile(
    r"^(?:unknown user|invalid final delivery userid|user mailbox exceeds allowed size"
    r"|undeliverable (?:to|mail)|delivery failed \d{1,3} attempts|unknown host|mailbox (?:full"
    r"|disabled)"
    r"|mail server for \S{1,255} is)[ \t]*:?[ \t]",
    re.IGNORECASE | re.MULTILINE,
)
_LINE = re.compile(
    r"^((?:unknown user|invalid final delivery userid|user mailbox exceeds allowed size"
    r"|undeliverable to"
    r"|delivery failed \d{1,3} attempts|mailbox (?:full"
    r"|disabled)):?) +(\S{3,400}@\S{3,255}[^\n]{0,300})$"
    r"(?:\n(?!\s)[^\n]{3,400}$)?",
    re.IGNORECASE | re.MULTILINE,
)
_RETURNED = re.compile(r"^original message follows\.?[ \t]*$", re.IGNORECASE | re.MULTILINE)


def recognize(message: Message) -> Found | None:
    if not _is_imail(message):
        return None
    parted = notice_of(message, _OPENING, _RETURNED)
    if parted is None:
        return None
    notice, returned = parted
    found = [
        Entry(address, line[0])
        for line in list(_LINE.finditer(notice))[:1000]
        if (address := tidy(line[2]))
    ]
    made = reports(found, NAME)
    return Found(made, returned_text=returned) if made else None


def _is_imail(message: Message) -> bool:
    mailer = message.headers.get("x-mailer") or ""
    return ("SMTP32" in mailer or _RETURNED.search(message.text) is not None) and from_machine(
        message
    )
