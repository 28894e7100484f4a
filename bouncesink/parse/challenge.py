"""PURE. Challenge-response: "prove that you are a person, and I deliver your mail".

TMDA, Boxbe, SpamArrest, EarthLink's spamBlocker, BlueBottle, UOL Antispam, Mailinblack, qconfirm
and 0Spam, by the words that they use.
"""

import re

from bouncesink.model import Kind
from bouncesink.parse.message import Found, Message

_HEADERS = ("x-delivery-agent", "x-tmda-confirm", "x-spamarrest", "x-boxbe", "x-mailinblack")
_SENDER = re.compile(
    r"spamarrest\.com|boxbe\.com|mailinblack|bluebottle\.com|antispam\.?uol|uol\.com\.br.*antispam"
    r"|challenge(?:-response)?@|confirm(?:-return)?-[\w.+=-]{6,200}@|spamblocker|sendio",
    re.IGNORECASE,
)
_WORDS = re.compile(
    r"(?:please |simply |just )?(?:click|reply|respond)[^.]{0,200}"
    r"(?:verify|prove|confirm)[^.]{0,80}(?:you are (?:a )?(?:human|person|real)|your (?:e-?mail"
    r"|message)|yourself)"
    r"|(?:your|this) (?:message|e-?mail) (?:is|was|has been) (?:being )?held[^.]{0,200}"
    r"(?:confirm|verif|authori|approv|challenge)"
    r"|to (?:verify|prove|confirm) (?:that )?(?:you are (?:a )?(?:human|person|real)"
    r"|your message is not (?:junk|spam))|one[- ]time (?:verification|confirmation)"
    r"|(?:confirm|release)[^.]{0,60}(?:so that )?your (?:message|e-?mail)[^.]{0,60}(?:delivered"
    r"|inbox)"
    r"|(?:bestätigen sie|um sicherzustellen)[^.]{0,120}(?:kein spam|mensch|absender)"
    r"|(?:pour|afin de)[^.]{0,80}(?:prouver|confirmer|valider)[^.]{0,80}(?:humain|expéditeur"
    r"|message)"
    r"|(?:confirme|verifique)[^.]{0,80}(?:humano|persona|remitente)",
    re.IGNORECASE,
)
_AUTHENTICATE = re.compile(
    r"\b(?:challenge|verification (?:required|needed)|please (?:verify|confirm)"
    r"|confirm(?:ation)? (?:required|needed|your)"
    r"|verify your (?:message|e-?mail)|authenticat)",
    re.IGNORECASE,
)
MAX_TEXT = 4000


def recognize(message: Message) -> Found | None:
    headers = message.headers
    if (
        any(name in headers for name in _HEADERS[1:])
        or "tmda" in (headers.get(_HEADERS[0]) or "").lower()
    ):
        return Found(kind=Kind.CHALLENGE) if _held(message) or _answers(message) else None
    if _SENDER.search(message.from_) and (_held(message) or _AUTHENTICATE.search(message.subject)):
        return Found(kind=Kind.CHALLENGE)
    if _answers(message) and _held(message):
        return Found(kind=Kind.CHALLENGE)
    return None


def _held(message: Message) -> bool:
    return _WORDS.search(message.text, 0, MAX_TEXT) is not None


def _answers(message: Message) -> bool:
    """Whether a machine sent it in answer to a message."""
    headers = message.headers
    automatic = (headers.get("auto-submitted") or "no").lower().strip() != "no"
    null = (headers.get("return-path") or "").strip() == "<>" or message.envelope_from == ""
    return automatic or null or "x-autoreply" in headers
