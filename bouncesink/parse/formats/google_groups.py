"""Google Groups, refusing a message to a group that is not there or may not be written to.

From mailer-daemon@googlemail.com in the sender's language, with X-Failed-Recipients and a link to
groups.google.com (public collections of bounces).
"""

from bouncesink.parse.formats.gmail import GROUPS, RETURNED
from bouncesink.parse.formats.reading import Entry, cut, failed_recipients, reports
from bouncesink.parse.message import Found, Message

NAME = "google-groups"
HINTS = ("groups.google.com",)


def recognize(message: Message) -> Found | None:
    if "x-failed-recipients" not in message.headers or GROUPS not in message.text:
        return None
    notice, returned = cut(message.text, RETURNED)
    if GROUPS not in notice:
        return None
    made = reports(map(Entry, failed_recipients(message)), NAME, detail=notice.strip()[:800])
    return Found(made, returned_text=returned) if made else None
