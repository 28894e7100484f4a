"""Openwave (Synacor) Email Mx, once InterMail and Netscape Messaging Server; ezweb, au, docomo.

Two forms. A reason, then "<address>" on a line of its own ("The user(s) account is disabled.",
"Each of the following recipients was rejected by a remote mail server."). Or "These recipients of
your message have been processed by the mail server:", then "address; Failed; 5.1.1 (reason)".
KDDI puts the reason in Japanese too. Public collections.
"""

import re

from bouncesink.model import DsnAction, Report
from bouncesink.parse.formats.reading import Entry, cut, reports, tidy
from bouncesink.parse.formats.sender import from_machine
from bouncesink.parse.message import Found, Message

NAME = "openwave"
HINTS = (
    "the user(s) account",
    "following recipient",
    "following reason",
    "these recipients of your message",
    "送信先",
    "次のあて先",
    "your mail ",
    "could not be delivered to:",
)

_OPENING = re.compile(
    r"the user\(s\) account (?:is|has)|each of the following recipients was rejected"
    r"|this message was undeliverable due to the following reason"
    r"|these recipients of your message have been processed by the mail server"
    r"|following recipients? (?:was|were) (?:rejected|not found)|送信先メールアドレスが見つかり"
    r"|次のあて先へのメッセージ|your mail (?:sent on|attempted to be delivered on):"
    r"|could not be delivered to:[ \t]*<",
    re.IGNORECASE,
)
_ADDRESS = re.compile(
    r"^[ \t]*(?:could not be delivered to:[ \t]*|smtp )?<([^<>\n]{1,320}@[^<>\n]{1,255})>[ \t]*$",
    re.IGNORECASE | re.MULTILINE,
)
_FATE = re.compile(
    r"^[ \t]*<?([^\s<>;]{1,256}@[^\s<>;]{1,255})>?; (failed|delayed|delivered|relayed|expanded);"
    r"[ ]?([^\n]{0,600}(?:\n[ \t]+\S[^\n]{0,600}){0,8}(?:\n\s{0,20}\n[ \t]+\S[^\n]{0,600}){0,2})",
    re.IGNORECASE | re.MULTILINE,
)
_RETURNED = re.compile(
    r"^(?:-{20,}[ \t]*\n)?(?=received: )|^-{2,}.{0,30}original message",
    re.IGNORECASE | re.MULTILINE,
)


def recognize(message: Message) -> Found | None:
    text = message.text
    if _OPENING.search(text, 0, 4000) is None or not from_machine(message):
        return None
    notice, returned = cut(text, _RETURNED)
    made: list[Report] = []
    for address, fate, detail in _FATE.findall(notice)[:1000]:
        made += reports([Entry(tidy(address) or address, detail)], NAME, DsnAction(fate.lower()))
    if not made:
        said = _ADDRESS.sub("", notice).strip()
        found = (tidy(each) for each in _ADDRESS.findall(notice)[:1000])
        made += reports([Entry(each) for each in found if each], NAME, detail=said)
    return Found(tuple(made), returned_text=returned) if made else None
