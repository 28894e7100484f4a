"""Oracle (Sun, iPlanet) Messaging Server and PMDF, where the delivery-status part is lost.

"This report relates to a message you sent with the following header fields:", then of each
recipient "Recipient address:", "Reason:", "Diagnostic code:", "Remote system:" (Sun Java System
Messaging Server administration reference; public collections).
"""

import re

from bouncesink.parse.formats.fate import action_in
from bouncesink.parse.formats.reading import Entry, entries, notice_of, reports
from bouncesink.parse.message import Found, Message

NAME = "messaging-server"
HINTS = ("this report relates to", "recipient address:")

_OPENING = re.compile(
    r"^[ \t]*(?:this report relates to a message you sent|recipient address:)",
    re.IGNORECASE | re.MULTILINE,
)
_HEAD = re.compile(
    r"^[ \t]*recipient address: ?<?(?P<address>[^\s<>]{1,400})>?", re.IGNORECASE | re.MULTILINE
)
_ORIGINAL = re.compile(
    r"^[ \t]*original address: ?<?([^\s<>]{1,400})>?", re.IGNORECASE | re.MULTILINE
)
_SAID = re.compile(
    r"^[ \t]*diagnostic code: ?(?:[\w-]{1,20};)?([^\n]{3,1000})", re.IGNORECASE | re.MULTILINE
)
_REASON = re.compile(r"^[ \t]*reason: ?([^\n]{3,1000})", re.IGNORECASE | re.MULTILINE)
_REMOTE = re.compile(
    r"^[ \t]*remote system: ?(?:dns;)?[ ]?([^\s(]{3,255})", re.IGNORECASE | re.MULTILINE
)
_RETURNED = re.compile(r"^(?:return-path|received): ", re.IGNORECASE | re.MULTILINE)


def recognize(message: Message) -> Found | None:
    parted = notice_of(message, _OPENING, _RETURNED)
    if parted is None:
        return None
    notice, _ = parted
    found = [_entry(each) for each in entries(notice, _HEAD)]
    made = reports(found, NAME, action_in(notice))
    if not made:
        return None
    at = message.text.find("\nReturn-path:")
    return Found(made, returned_text=message.text[at + 1 :] if at >= 0 else "")


def _entry(entry: Entry) -> Entry:
    said = _SAID.search(entry.detail) or _REASON.search(entry.detail)
    remote = _REMOTE.search(entry.detail)
    original = _ORIGINAL.search(entry.detail)
    return Entry(
        entry.address,
        said[1] if said else "",
        expanded_from=original[1] if original else None,
        remote=remote[1] if remote else None,
    )
