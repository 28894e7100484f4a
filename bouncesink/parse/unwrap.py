"""PURE. Copies: what reached us through a mailbox or a person is opened until the notification.

Gmail's auto-forwarding adds header fields only. A person forwards as an attachment (message/rfc822
around the notification) or inline (the text under a line such as "Forwarded message"; the
delivery-status part is lost then). A bounce that returns a bounce is no copy: it stays closed.
"""

import re
from dataclasses import dataclass

from bouncesink.model import FORWARDED_INLINE
from bouncesink.parse.charset import clean
from bouncesink.parse.message import Message, header_section
from bouncesink.parse.mime import Headers, Part, parse_text
from bouncesink.parse.reports import ADDRESS

MAX_DEPTH = 5
MAX_VIA = 20
MAX_COPY = 256 * 1024
"""Characters in which a copy of a copy must name what it holds."""


@dataclass(frozen=True, slots=True)
class Unwrapped:
    """The notification inside, and our addresses that it came through, outermost first."""

    message: Message
    via: tuple[str, ...]


def unwrap(message: Message, damage: list[str]) -> Unwrapped:
    """Open copies, outermost first, at most MAX_DEPTH of them; adds to `damage`."""
    via: dict[str, None] = {}
    for _ in range(MAX_DEPTH):
        via.update(dict.fromkeys(_came_through(message.headers)))
        if is_notification(message.headers, message.root):
            break
        inner = attached(message, damage) or _inline(message, damage)
        if inner is None:
            break
        via.update(dict.fromkeys(ADDRESS.findall(message.from_)[:1]))
        message = inner
    else:
        damage.append("forwarded too deep")
    kept = tuple(clean(address, 400) for address in list(via)[:MAX_VIA])
    return Unwrapped(message, kept)


_DAEMON = re.compile(
    r"mailer-?daemon|postmaster|mail ?delivery|delivery (?:sub)?system|mail (?:sub)?system"
    r"|mdaemon|mail server at|MicrosoftExchange|bounces?@|mailer@|administrator@",
    re.IGNORECASE,
)
_TITLE = re.compile(
    r"undeliver|non.?deliver|delivery (?:status|failure|failed|report|problem|notification|error)"
    r"|returned (?:mail|message|to sender)|returning message|failure (?:notice|notification)"
    r"|mail (?:delivery|system error|could not)|delivery incomplete|address not found"
    r"|message not delivered|unzustellbar|nicht zugestellt|non remis|no se (?:puede|pudo) entregar",
    re.IGNORECASE,
)


def is_notification(headers: Headers, root: Part | None = None) -> bool:
    """Whether a mail looks as if a mail system wrote it, by its header fields."""
    if (headers.get("content-type") or "").lower().startswith("multipart/report"):
        return True
    if root is not None and any(p.content_type.endswith("delivery-status") for p in root.walk()):
        return True
    if (headers.get("return-path") or "").strip() == "<>" or "x-failed-recipients" in headers:
        return True
    return looks_like_daemon(headers) or bool(_TITLE.match(headers.get("subject") or ""))


def looks_like_daemon(headers: Headers) -> bool:
    """Whether From names a mail system rather than a person."""
    return bool(_DAEMON.search(headers.get("from") or ""))


_ORIGINAL_RECIPIENTS = ("x-gm-original-to", "x-forwarded-for", "delivered-to", "to")


def _came_through(headers: Headers) -> list[str]:
    """Our addresses that Gmail and others name, most telling first."""
    found: list[str] = []
    for name in _ORIGINAL_RECIPIENTS:
        for value in headers.all(name)[:MAX_VIA]:
            found += ADDRESS.findall(value[:2000])[:MAX_VIA]
    return found


def attached(message: Message, damage: list[str], depth: int = MAX_DEPTH) -> Message | None:
    """Open the first attached message that looks like a notification, or like a copy of one."""
    for part in message.parts():
        if part.content_type in ("message/rfc822", "message/global"):
            head = header_section(part.content.partition("\n\n")[0] + "\n")
            if is_notification(head):
                return Message(parse_text(part.content, damage))
            if depth > 1 and "message/" in part.content[:MAX_COPY].lower():
                copy = Message(parse_text(part.content, damage))
                if attached(copy, damage, depth - 1) is not None:
                    return copy
    return None


_MARKER = re.compile(
    r"^[ \t]*(?:-{2,}[ \t]*(?:forwarded (?:message|by[^\n]{0,80})|original message"
    r"|weitergeleitete nachricht|urspr[üu]ngliche nachricht|message transf[ée]r[ée]"
    r"|message d'origine|mensaje reenviado|mensaje original|messaggio inoltrato"
    r"|messaggio originale|転送メッセージ|元のメッセージ)[ \t]*-{2,}"
    r"|begin forwarded message[ \t]*:)[ \t]*\n",
    re.IGNORECASE | re.MULTILINE,
)
_FIELD = re.compile(r"[ \t]*\*?([^\s:*][^\s:*]{0,20})[ \t]*:\*?[ \t]*(.*)")
_FIELD_NAMES = {
    **dict.fromkeys(("from", "von", "de", "da", "差出人"), "From"),
    **dict.fromkeys(("to", "an", "à", "para", "a", "宛先"), "To"),
    **dict.fromkeys(("subject", "betreff", "objet", "asunto", "oggetto", "件名"), "Subject"),
    **dict.fromkeys(
        ("date", "sent", "datum", "gesendet", "envoyé", "fecha", "enviado", "data", "日付"), "Date"
    ),
}


def _inline(message: Message, damage: list[str]) -> Message | None:
    """Take the text under a forwarder's line, if the fields quoted there name a mail system."""
    text = message.text
    for marker in list(_MARKER.finditer(text))[:MAX_DEPTH]:
        fields, body = _quoted_mail(text[marker.end() :])
        headers = Headers(fields)
        if "from" in headers and is_notification(headers):
            damage.append(FORWARDED_INLINE)
            part = Part("text/plain", {"charset": "utf-8"}, headers, _octets(body))
            return Message(part)
    return None


def _quoted_mail(text: str) -> tuple[str, str]:
    fields: list[str] = []
    rest = text.lstrip("\n")
    while True:
        line, _, after = rest.partition("\n")
        found = _FIELD.match(line)
        name = _FIELD_NAMES.get(found[1].lower()) if found else None
        if found is None or (name is None and not fields) or not line.strip():
            break
        if name is not None:
            fields.append(f"{name}: {_octets(found[2])}\n")
        rest = after
    return "".join(fields), rest.lstrip("\n")


def _octets(text: str) -> str:
    """Put text back as a mail carries it: UTF-8 octets, one a character."""
    return text.encode("utf-8", "replace").decode("latin-1")
