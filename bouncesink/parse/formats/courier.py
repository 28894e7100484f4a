"""Courier, where its delivery-status part is lost.

Its templates (`module.dsn`, https://www.courier-mta.org): "This is a delivery status notification
from", a title such as UNDELIVERABLE MAIL, then "<address>:" and the session in ">>>" and "<<<".
"""

import re

from bouncesink.model import DsnAction
from bouncesink.parse.formats.reading import HEAD, Entry, cut, entries, reports
from bouncesink.parse.formats.sender import from_machine
from bouncesink.parse.message import Found, Message

NAME = "courier"
HINTS = ("courier mail server",)

_OPENING = re.compile(r"running the courier mail server|courier mail server at \S+", re.IGNORECASE)
_TITLES = (
    ("MESSAGE DELIVERED SUCCESSFULLY", DsnAction.DELIVERED),
    ("MESSAGE DELIVERED TO A MAIL GATEWAY", DsnAction.RELAYED),
    ("DELAYS IN DELIVERING YOUR MESSAGE", DsnAction.DELAYED),
    ("UNDELIVERABLE MAIL", DsnAction.FAILED),
)
_END = re.compile(r"^-{20,}[ \t]*$", re.MULTILINE)
_REPLY = re.compile(r"^<<<[ \t]*([^\n]{3,1000}(?:\n<<<[^\n]*){0,10})", re.MULTILINE)


def recognize(message: Message) -> Found | None:
    text = message.text
    if _OPENING.search(text, 0, 2000) is None or not from_machine(message):
        return None
    for title, action in _TITLES:
        at = text.find(title)
        if at >= 0:
            passage, _ = cut(text[at + len(title) :], _END)
            found = [_with_reply(entry) for entry in entries(passage, HEAD)]
            made = reports(found, NAME, action)
            return Found(made) if made else None
    return None


def _with_reply(entry: Entry) -> Entry:
    reply = _REPLY.search(entry.detail)
    if reply is None:
        return entry
    return Entry(entry.address, f"{entry.detail[: reply.start()]} {reply[1].replace('<<<', ' ')}")
