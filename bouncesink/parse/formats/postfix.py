"""Postfix, where its delivery-status part is lost, and servers that write as it does.

`bounce_notify_util.c` (https://github.com/vdukhovni/postfix): "This is the mail system at host",
then "<address>: what was said", wrapped, continued lines indented; with "(expanded from <alias>)"
for an alias. Yandex and OCN change the opening words.
"""

import re

from bouncesink.model import DsnAction
from bouncesink.parse.formats.fate import action_in
from bouncesink.parse.formats.reading import RETURNED, Entry, entries, notice_of, reports
from bouncesink.parse.message import Found, Message

NAME = "postfix"
HINTS = ("at host", "sorry to have to inform", "to one or more")

_OPENING = re.compile(
    r"this is the (?:[\w-]{1,40} )?(?:mail system|postfix program) at host"
    r"|^i'm sorry to have to inform you that (?:the|your) message"
    r"|^(?:your message|the message returned below) could not\s{1,20}be delivered to one or more"
    r" (?:recipients|destinations)",
    re.IGNORECASE | re.MULTILINE,
)
_HEAD = re.compile(r"^<(?P<address>[^<>\n]{1,320}@[^<>\n]{1,255})>(?=[: ]| \()", re.MULTILINE)
_ALIAS = re.compile(r"^\s{0,20}\(expanded\s{1,20}from\s{1,20}<([^<>\n]{1,400})>\):?", re.IGNORECASE)
_END = re.compile(r"\n[ \t]*\n|\n--|\nFinal-Recipient:", re.IGNORECASE)
_RETURNED = re.compile(
    rf"^(?:Content-Description: Undelivered Message|{RETURNED.pattern[1:]})",
    re.IGNORECASE | re.MULTILINE,
)


def recognize(message: Message) -> Found | None:
    parted = notice_of(message, _OPENING, _RETURNED)
    if parted is None:
        return None
    notice, returned = parted
    found = []
    for entry in entries(notice, _HEAD):
        alias = _ALIAS.match(entry.detail)
        said = entry.detail[alias.end() :] if alias else entry.detail
        end = _END.search(said)
        said = said[: end.start()] if end else said
        found.append(Entry(entry.address, said.lstrip(": "), alias[1] if alias else None))
    action: DsnAction = action_in(notice)
    made = reports([entry for entry in found if entry.detail.strip()], NAME, action)
    return Found(made, returned_text=returned) if made else None
