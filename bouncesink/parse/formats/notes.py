"""Lotus Notes SMTP MTA 1.x to 4.x.

"------- Failure Reasons  --------", a reason and then an address, "------- Returned Message".
Seen in public collections.
"""

import re

from bouncesink.parse.formats.reading import Entry, reports, tidy
from bouncesink.parse.formats.sender import from_machine
from bouncesink.parse.message import Found, Message

NAME = "notes"
HINTS = ("failure reasons",)

_REASONS = re.compile(r"^-{5,9}[ ]+Failure Reasons[ ]+-{5,9}[ \t]*$", re.MULTILINE)
_RETURNED = re.compile(r"^-{5,9}[ ]+Returned Message[ ]+-{5,9}[ \t]*$", re.MULTILINE)


def recognize(message: Message) -> Found | None:
    text = message.text
    start = _REASONS.search(text)
    if start is None or not from_machine(message):
        return None
    end = _RETURNED.search(text, start.end())
    found: list[Entry] = []
    reason: list[str] = []
    for line in text[start.end() : end.start() if end else len(text)].split("\n")[:2000]:
        address = tidy(line) if len(line.split()) == 1 else None
        if address:
            found.append(Entry(address, "\n".join(reason)))
            reason = []
        elif line.strip():
            reason.append(line)
    made = reports(found, NAME)
    return Found(made, returned_text=text[end.end() :].lstrip() if end else "") if made else None
