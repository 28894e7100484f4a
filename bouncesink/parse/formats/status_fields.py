"""Delivery-status fields (RFC 3464) that stand in the text.

Amazon WorkMail writes them there (docs.aws.amazon.com/workmail; public collections), and a mail
whose boundaries were damaged on the way shows them there.
"""

import re
from dataclasses import replace

from bouncesink.parse import dsn
from bouncesink.parse.formats.reading import RETURNED, cut
from bouncesink.parse.formats.sender import from_machine
from bouncesink.parse.message import Found, Message
from bouncesink.parse.mime import Part

NAME = "status-fields"
HINTS = ("final-recipient:",)

_START = re.compile(
    r"^[ \t]{0,3}(?:reporting-mta:|(?:final|original)-recipient:[ \t]*rfc822"
    r"|action:[ \t]*(?:failed|delayed)"
    r"[ \t]*$)",
    re.IGNORECASE | re.MULTILINE,
)
_REQUIRED = re.compile(r"^[ \t]{0,3}final-recipient:", re.IGNORECASE | re.MULTILINE)
_RETURNED = re.compile(
    rf"^(?:return-path|received): |{RETURNED.pattern}", re.IGNORECASE | re.MULTILINE
)


def recognize(message: Message) -> Found | None:
    text = message.text
    if "ecipient:" not in text or _REQUIRED.search(text) is None or not from_machine(message):
        return None
    start = _START.search(text)
    if start is None or RETURNED.search(text, 0, start.start()) is not None:
        return None
    notice = text[start.start() :]
    fields, returned = cut(notice, _RETURNED)
    if notice[len(fields) :].lower().startswith(("return-path:", "received:")):
        returned = notice[len(fields) :]
    content = "\n".join(fields.split("\n")[:5000]).encode("utf-8", "replace").decode("latin-1")
    part = Part("message/delivery-status", {}, message.headers, content)
    found = dsn.recognize(Message(part))
    if found is None or not found.reports:
        return None
    made = tuple(replace(report, recognizer=NAME) for report in found.reports)
    return Found(made, returned_text=returned.lstrip())
