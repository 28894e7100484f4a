"""PowerMTA, where its delivery-status part is lost.

"Hello, this is the mail server on host.", then "<address>" and "delivery failed; will not continue
trying" or "delivery delayed; will try again" (SparkPost's PowerMTA user's guide).
"""

import re

from bouncesink.model import DsnAction, Report
from bouncesink.parse.formats.reading import HEAD, entries, notice_of, reports
from bouncesink.parse.message import Found, Message

NAME = "powermta"
HINTS = ("this is the mail server on",)

_OPENING = re.compile(r"^hello, this is the mail server on \S{1,255}", re.IGNORECASE | re.MULTILINE)
_WAITING = re.compile(r"delayed|will (?:continue|keep|try)|deferred", re.IGNORECASE)
_DONE = re.compile(r"delivery (?:was )?success|successfully|relayed", re.IGNORECASE)


def recognize(message: Message) -> Found | None:
    parted = notice_of(message, _OPENING)
    if parted is None:
        return None
    notice, returned = parted
    made: list[Report] = []
    for entry in entries(notice, HEAD):
        action = DsnAction.FAILED
        if _DONE.search(entry.detail):
            action = DsnAction.RELAYED
        elif _WAITING.search(entry.detail) and "will not" not in entry.detail:
            action = DsnAction.DELAYED
        made += reports([entry], NAME, action)
    return Found(tuple(made), returned_text=returned) if made else None
