"""Postfix's smtpd, to its postmaster: the transcript of a session that went wrong.

"Transcript of session follows." with " In:  " and " Out: " lines (`smtpd_chat.c`,
https://github.com/vdukhovni/postfix). The recipients of the session failed, with the last reply.
"""

import re

from bouncesink.parse.formats.reading import MAX_ENTRIES, Entry, reports, tidy
from bouncesink.parse.formats.sender import from_machine
from bouncesink.parse.message import Found, Message

NAME = "smtp-session"
HINTS = ("transcript of session follows.",)

_LINE = re.compile(r"^ ?(In|Out): {1,3}([^\n]*(?:\n {4,}[^\n]*)*)", re.MULTILINE)
_RCPT = re.compile(r"RCPT\s{1,20}TO:\s{0,20}<([^<>\n]{1,400})>", re.IGNORECASE)


def recognize(message: Message) -> Found | None:
    text = message.text
    if "Transcript of session follows." not in text or "\n In:" not in text:
        return None
    if not from_machine(message):
        return None
    asked = ""
    recipients: list[str] = []
    refused: dict[str, str] = {}
    last = ""
    for side, line in _LINE.findall(text)[: 4 * MAX_ENTRIES]:
        if side == "In":
            asked = line
            if (rcpt := _RCPT.search(line)) and (address := tidy(rcpt[1])):
                recipients.append(address)
        elif line[:1] in "45":
            last = line
            if (rcpt := _RCPT.search(asked)) and (address := tidy(rcpt[1])):
                refused[address] = line
    said = refused or (dict.fromkeys(recipients, last) if last else {})
    made = reports([Entry(address, line) for address, line in said.items()], NAME)
    return Found(made) if made else None
