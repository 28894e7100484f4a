"""PURE. Mail that asks something of us: Gmail's forwarding confirmation, an unsubscribe request."""

import re
from email.utils import parseaddr

from bouncesink.model import Kind
from bouncesink.parse.message import Found, Message

FORWARDING = "gmail-forwarding-confirmation"
UNSUBSCRIBE = "unsubscribe-request"

_SENDER = "forwarding-noreply@google.com"
_LINK = re.compile(
    r"https://(?:mail|mail-settings)\.google\.com/mail/(?:[a-z0-9/]{1,40}/)?vf-[\w%.~+=-]{4,500}"
)
_SUBJECT_CODE = re.compile(r"\(#(\d{6,12})\)")
_TEXT_CODE = re.compile(r"(?::|：)\s*(\d{6,12})\b")


def forwarding_confirmation(message: Message) -> Found | None:
    """Find Gmail's code and link: sent from forwarding-noreply@google.com, in any language."""
    sender = message.from_.lower()
    if _SENDER not in sender or parseaddr(sender)[1] != _SENDER:
        return None
    text = message.text
    link = _LINK.search(text) or _LINK.search(message.html_text)
    code = _SUBJECT_CODE.search(message.subject) or _TEXT_CODE.search(text)
    if link is None and code is None:
        return None
    return Found(
        kind=Kind.FORWARDING_CONFIRMATION,
        confirmation_code=code[1] if code else None,
        confirmation_link=link[0] if link else None,
    )


_SUBJECT = re.compile(
    r"\s*(?:(?:re|aw|sv|antw?|fwd?|wg)\s*:\s*)*(?:please\s+)?"
    r"(?:unsubscribe|opt[ -]?out|remove me|abmelden|austragen|désabonner|désinscription|désinscrire"
    r"|darse de baja|cancelar suscripci[oó]n|配信停止)(?:\b|$)(?![^\n]{300})",
    re.IGNORECASE,
)
_WISH = re.compile(
    r"\s*(?:hi|hello|dear [\w ]{1,30})?[,.!\s]*(?:please\s+|pls\s+|kindly\s+)?"
    r"(?:unsubscribe|opt[ -]?out|stop|stop e?-?mailing me|stop contacting me"
    r"|remove (?:me|us|my (?:e-?mail|address|name))|take me off)"
    r"(?:\s+(?:me|us|from|off|of|your|this|the|all|any|mailing|e-?mails?|lists?|address|database"
    r"|thanks?|thank you|please|now|future)){0,10}[\s.!]*\Z",
    re.IGNORECASE,
)


def unsubscribe_request(message: Message) -> Found | None:
    """Find a wish to get no more mail: in the subject, or as all that the first lines say."""
    if _SUBJECT.match(message.subject):
        return Found(kind=Kind.UNSUBSCRIBE)
    first = next((line for line in message.text[:2000].split("\n") if line.strip()), "")
    if len(first) < 120 and _WISH.match(first):
        return Found(kind=Kind.UNSUBSCRIBE)
    return None
