"""qmail-send, and the many systems that write bounces in its format.

QSBMF, the qmail-send bounce message format (https://cr.yp.to/proto/qsbmf.txt): a first paragraph
"Hi. This is the", then a paragraph a recipient that starts with "<address>:", then one that starts
with "-", and the returned message. netqmail, s/qmail, IndiMail, EYOU, newmail.ru and psmtpd keep
the format and change the words; some leave out the brackets.
"""

import re

from bouncesink.parse.formats.reading import read_blocks
from bouncesink.parse.message import Found, Message

NAME = "qmail"
HINTS = ("this is ", "i'm afraid i", "could not be delivered", "permanent error; i", "program at")

_OPENING = re.compile(
    r"\A\s{0,20}(?:hi|hello)[.,!]? {1,2}this is (?:the|a|an) (?!james)"
    r"|^this is the (?:machine generated message from mail|deliver program at|email server at)"
    r"|^i'm afraid i wasn't able to deliver (?:your|the following) message"
    r"|^your (?:mail )?message to the following address(?:\(es\)|es)? could not be delivered"
    r"|^this is a permanent error; i've given up|program at \S{1,255}\.?$",
    re.IGNORECASE | re.MULTILINE,
)
_BREAK = re.compile(r"\n[ \t]*\n-[^\n]*$", re.MULTILINE)
_HEAD = re.compile(
    r"^(?=<?[^\s<>]{1,256}@)<?(?P<address>[^\s<>]{1,320})>?:[ \t]*$"
    r"|^<(?P<spaced>[^<>\n]{1,320}@[^<>\n]{1,255})>:",
    re.MULTILINE,
)


def recognize(message: Message) -> Found | None:
    return read_blocks(message, NAME, _OPENING, _HEAD, _BREAK)
