"""Gmail and Google Workspace: the texts that come without a delivery-status part.

The old form, text only: "Delivery to the following recipient failed permanently:", the address,
"Technical details of permanent failure:". The new one (multipart, in the user's language) has
X-Failed-Recipients, a title such as "Address not found" and "The response was:". Both from
mailer-daemon@googlemail.com (facts verified in public collections and by support.google.com/mail).
"""

import re

from bouncesink.model import DsnAction
from bouncesink.parse.formats.fate import action_in
from bouncesink.parse.formats.reading import Entry, cut, failed_recipients, read_list, reports, tidy
from bouncesink.parse.message import MAX_INTRO, Found, Message

NAME = "gmail"
HINTS: tuple[str, ...] = ()

GROUPS = "groups.google.com"
"""Google Groups refuses from the same address, for reasons of its own: see google_groups."""

_SENDER = re.compile(r"mailer-daemon@(?:googlemail|gmail|google)\.com", re.IGNORECASE)
_TITLE = re.compile(r"^technical details of \w{1,20} failure:", re.IGNORECASE | re.MULTILINE)
_LISTING = re.compile(
    r"^delivery to the following recipients? (?:failed(?: permanently)?|has been delayed)[:.]",
    re.IGNORECASE | re.MULTILINE,
)
_DETAILS = re.compile(
    r"(?:the error (?:that )?the other server returned was:"
    r"|technical details of \w{1,20} failure:(?![^\0]{0,2000}the other server returned was:))"
    r"\s{0,20}([^\s][^\n]*(?:\n[ \t]*[^\s][^\n]*){0,11})",
    re.IGNORECASE,
)
RETURNED = re.compile(
    r"^-{2,10} ?(?:original message|message header follows|original-nachricht|message d'origine"
    r"|mensaje original)[^\n]{0,20}$",
    re.IGNORECASE | re.MULTILINE,
)
_TOLD = re.compile(
    r"(?:(?:wasn'?t|wurde nicht|konnte nicht) (?:delivered to|an)|(?:problem"
    r"|trouble) delivering (?:your message|it) to|delivered to"
    r"|zugestellt an|nachricht an|remis à|message (?:à|n'a pas pu être remis à)|entregado? (?:a"
    r"|para)"
    r"|consegnat[oa] a)\s{1,20}(\S{3,320})",
    re.IGNORECASE,
)
_RESPONSE = re.compile(
    r"^[^\n]{3,80}[:：][ \t]*\n\s{0,20}((?:\W{0,3}[245]\d\d[ -]"
    r"|Unspecified Error)[^\n]*(?:\n[^\n]+){0,8})",
    re.MULTILINE,
)
_DELAY = re.compile(r"\(delay\)|incomplete|verzöger|retard|retras|遅延|temporary", re.IGNORECASE)


def recognize(message: Message) -> Found | None:
    ours = _SENDER.search(message.from_) is not None
    if not ours and not is_legacy(message):
        return None
    listing = read_list(message, NAME, _LISTING, _DETAILS, RETURNED)
    if listing is not None or not ours:
        return listing
    notice, returned = cut(message.text, RETURNED)
    addresses = failed_recipients(message) or _named(notice)
    if not addresses or GROUPS in notice:
        return None
    response = _RESPONSE.search(notice) or _DETAILS.search(notice)
    detail = response[1] if response else notice.strip()
    waiting = "x-failed-recipients" not in message.headers and _DELAY.search(message.subject)
    action = DsnAction.DELAYED if waiting else action_in(notice)
    made = reports(map(Entry, addresses), NAME, action, detail=detail)
    return Found(made, returned_text=returned)


def is_legacy(message: Message) -> bool:
    """Whether it has the title that only the old form has."""
    text = message.text
    return "echnical details of" in text and _TITLE.search(text, 0, MAX_INTRO) is not None


def _named(notice: str) -> list[str]:
    found = (tidy(each) for each in _TOLD.findall(notice[:4000])[:20])
    return [address for address in found if address]
