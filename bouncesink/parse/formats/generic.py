"""Any other mail system: tried last, and silent where it would have to guess.

It speaks only of mail that a mail system sent and whose subject or text says that delivery failed.
X-Failed-Recipients names the recipients; else a line that has one address together with a failing
reply; else the single address of the notice, beside the sender's own.
"""

import re

from bouncesink.parse.formats.fate import action_in
from bouncesink.parse.formats.reading import (
    Entry,
    cut,
    cut_headers,
    failed_recipients,
    listed,
    reports,
)
from bouncesink.parse.formats.sender import calls_itself_one, tells_failure
from bouncesink.parse.message import MAX_INTRO, Found, Message
from bouncesink.parse.reports import ADDRESS

NAME = "generic"
HINTS: tuple[str, ...] = ()

_UNDELIVERED = re.compile(
    r"(?:could ?not|couldn't|cannot|can't|unable to|not been|was not|wasn't|failed to"
    r"|impossible to) (?:be )?(?:deliver|reach|send|sent|accept|find|found)|undeliver"
    r"|delivery (?:has )?fail|failed permanently|permanent (?:fatal )?error"
    r"|returned to (?:sender|you)|unzustellbar|nicht zugestellt|non remis|pas pu être"
    r"|no (?:se )?(?:pudo|ha podido)|できませんでした|届けできません|не (?:может|удалось|было) ",
    re.IGNORECASE,
)
_STATE = re.compile(
    r"mailbox (?:is )?(?:full|unavailable|not found)|user unknown|unknown user"
    r"|no such (?:user|mailbox|recipient)|not (?:a )?(?:known|valid) (?:user|address)"
    r"|does ?n.t exist|does not exist|bounced",
    re.IGNORECASE,
)
"""What also a warning to the owner of a mailbox says: enough only beside a reply code."""
_REPLY_LINE = re.compile(
    r"^(?=[^\n]{5,1000}$)(?=[^\n]*(?<![\d.@:/-])(?:[45]\d\d(?=[ \t:-])|[45]\.\d{1,3}\.\d{1,3}\b))"
    r"(?=[^\n]*@)[^\n]+",
    re.MULTILINE,
)
_HELP = re.compile(
    r"(?:contact|support|help|assistance|postmaster|e-?mail us|write to|send (?:mail|e-?mail) to"
    r"|forward|"
    r"mailto:|https?:|from:|sender|reply-?to|message-id|wenden sie|kontakt|contactez)[^\n]{0,60}$",
    re.IGNORECASE,
)


def recognize(message: Message) -> Found | None:
    if not calls_itself_one(message):
        return None
    notice, returned = cut(message.text)
    if not returned:
        notice, returned = cut_headers(notice)
    notice = notice[:MAX_INTRO]
    undelivered = tells_failure(message) or _UNDELIVERED.search(notice) is not None
    if not undelivered and _STATE.search(notice) is None:
        return None
    action = action_in(notice)
    detail = notice.strip()
    failed = failed_recipients(message)
    if failed:
        found = [Entry(each, detail) for each in failed]
    else:
        found = _beside_replies(message, notice)
        if not found and undelivered:
            found = _single(message, notice)
    made = reports(found, NAME, action, detail=detail)
    return Found(made, returned_text=returned, confident=bool(failed)) if made else None


def _strangers(message: Message, text: str) -> list[str]:
    """Give the addresses in a text that are neither this mail's sender's nor its receiver's."""
    known = {
        each.lower()
        for name in ("from", "to", "reply-to", "delivered-to", "return-path", "x-original-to")
        for value in message.headers.all(name)
        for each in ADDRESS.findall(value[:2000])
    }
    return [
        each.address
        for each in listed(text)
        if each.address.lower() not in known
        and not each.address.lower().startswith(
            ("postmaster@", "mailer-daemon@", "abuse@", "support@")
        )
    ]


def _beside_replies(message: Message, notice: str) -> list[Entry]:
    found: list[Entry] = []
    for line in _REPLY_LINE.findall(notice)[:200]:
        addresses = _strangers(message, line)
        if len(addresses) == 1:
            found.append(Entry(addresses[0], line))
    return found


def _single(message: Message, notice: str) -> list[Entry]:
    candidates = []
    for address in _strangers(message, notice):
        at = notice.find(address)
        if not _HELP.search(notice[max(0, at - 80) : at]):
            candidates.append(address)
    return [Entry(candidates[0])] if len(candidates) == 1 else []
