"""Microsoft Exchange 5.5, 2000 and 2003 (Internet Mail Service).

"Your message ... did not reach the following recipient(s):", then "address on date", the reason
and an MSEXCH:IMS line, or "<host #5.1.1 smtp;550 ...>"; X.400 addresses as c=..;SMTP=user(a)host.
Seen in public collections; the same in German, French and Spanish.
"""

import re

from bouncesink.parse.formats.reading import Entry, entries, leading_list, notice_of, reports
from bouncesink.parse.message import Found, Message

NAME = "exchange2003"
HINTS = ("the following recipient", "folgende", "destinataire", "destinatario")

_OPENING = re.compile(
    r"(?:did not|could not|has not) reach(?:ed)? the following recipient(?:\(s\)|s)?[ \t]*:"
    r"|ha(?:t|ben) (?:den |die )?(?:folgende[nr]?|folgende\(n\)) empfänger nicht erreicht[ \t]*:?"
    r"|konnte (?:den |die )?folgenden empfängern? nicht (?:zugestellt|erreicht) werden[ \t]*:?"
    r"|n'a pas (?:été remis|pu être remis|atteint)[^:\n]{0,60}destinataires?[^:\n]{0,30}:"
    r"|no (?:llegó|ha llegado|se (?:ha )?entregó)[^:\n]{0,60}destinatarios?[^:\n]{0,30}:",
    re.IGNORECASE,
)
_HEAD = re.compile(
    r"^[ \t'\"]{0,12}(?P<address>[^\s<>'\"@]{1,256}@[^\s<>'\"]{1,255})['\"]? (?:on|am|le|el|il"
    r"|op) (?=\S)"
    r"|^[ \t]{0,12}c=[^\n]{0,300}?smtp=(?P<x400>[^\s;]{1,256}(?:@"
    r"|\(a\))[^\s;]{1,255});?[^\n]{0,60}",
    re.IGNORECASE | re.MULTILINE,
)
_DATE = re.compile(r"^[^\n]{0,60}\n")


def recognize(message: Message) -> Found | None:
    parted = notice_of(message, _OPENING)
    if parted is None:
        return None
    notice, returned = parted
    start = _OPENING.search(notice)
    after = notice[start.end() :].replace("(a)", "@") if start else ""
    found = entries(after, _HEAD)
    if found:
        made = reports([_without_date(entry) for entry in found], NAME)
    else:
        listed, rest = leading_list(after)
        made = reports(listed, NAME, detail=rest[:600])
    return Found(made, returned_text=returned) if made else None


def _without_date(entry: Entry) -> Entry:
    return Entry(entry.address, _DATE.sub("", entry.detail, count=1))
