"""PURE. What a recogniser looks at (Message) and what it gives (Found).

A recogniser is a module with `NAME: str` and `recognize(message: Message) -> Found | None`. It must
be true of its sender, quick to say None, and may raise nothing on purpose.
"""

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass

from bouncesink.model import Kind, Report
from bouncesink.parse.charset import decode
from bouncesink.parse.mime import MAX_BODY, Headers, Part, lazy, unfold

MAX_TEXT = 128 * 1024
MAX_INTRO = 8000
"""Characters in which a format's opening words must stand."""
MAX_LINE = 998
"""Characters of the subject and the sender: what one line may have (RFC 5322, 2.1.1)."""
MAX_FIELD = 16 * 1024
"""Characters of a delivery-status field."""
MAX_GROUPS = 1000
RETURNED_TYPES = frozenset(
    {
        "message/rfc822",
        "message/global",
        "message/global-headers",
        "message/rfc822-headers",
        "message/news",
        "text/rfc822-headers",
        "text/rfc822",
    }
)
STATUS_TYPES = frozenset({"message/delivery-status", "message/global-delivery-status"})

Fields = Mapping[str, str]
"""One group of fields, by lower-case name, unfolded."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a recogniser found.

    `kind` None means that the reports' actions tell it. `returned_text` is the quoted original as
    it stands in the text, header fields first, where the mail has no part for it. `confident` is
    False where the format is only probable: nothing else may then be concluded from it.
    """

    reports: tuple[Report, ...] = ()
    kind: Kind | None = None
    returned_text: str = ""
    confident: bool = True
    feedback_type: str | None = None
    alternative: str | None = None
    confirmation_code: str | None = None
    confirmation_link: str | None = None


@dataclass(frozen=True)
class Message:
    """One notification. `envelope_from` is "" for the null reverse-path, None where not known."""

    root: Part
    envelope_from: str | None = None

    @property
    def headers(self) -> Headers:
        return self.root.headers

    @lazy
    def subject(self) -> str:
        return (self.headers.get("subject") or "")[:MAX_LINE]

    @lazy
    def from_(self) -> str:
        return (self.headers.get("from") or "")[:MAX_LINE]

    def parts(self) -> tuple[Part, ...]:
        """Every leaf, in order; a `message/*` part is one leaf, unopened."""
        return self._leaves

    @lazy
    def _leaves(self) -> tuple[Part, ...]:
        if not self.root.parts:
            return (self.root,)
        return tuple(part for part in self.root.walk() if not part.parts)

    def part(self, *content_types: str) -> Part | None:
        """Find the first leaf of one of these types."""
        return next((part for part in self.parts() if part.content_type in content_types), None)

    @lazy
    def text(self) -> str:
        """What a person would read: the text before the returned message, HTML without its tags.

        At most MAX_TEXT characters. In a mail of one part it is the whole body, so a returned
        message that was quoted there is still in it.
        """
        plain: list[str] = []
        markup: list[str] = []
        for part in self.parts():
            if part.content_type in RETURNED_TYPES:
                break
            if part.content_type == "text/html":
                markup.append(part.text)
            elif _is_text(part) and not part.is_attachment:
                plain.append(part.text)
        text = "\n".join(plain)
        if not text.strip():
            text = "\n".join(map(strip_html, markup))
        return text[:MAX_TEXT]

    @lazy
    def intro(self) -> str:
        """The start of the text in lower case, for a quick look at its words."""
        return self.text[:MAX_INTRO].lower()

    @lazy
    def html_text(self) -> str:
        """The text of the HTML parts before the returned message, without tags; often empty."""
        markup = []
        for part in self.parts():
            if part.content_type in RETURNED_TYPES:
                break
            if part.content_type == "text/html":
                markup.append(strip_html(part.text))
        return "\n".join(markup)[:MAX_TEXT]

    @lazy
    def delivery_status(self) -> tuple[Fields, ...]:
        """The groups of fields of the delivery-status part (RFC 3464, 2.1), per-message first.

        Empty where there is none. Mislabelled ones are found by their first field. Those that stand
        inside a text are not taken here, as a person may have pasted them: see
        `formats/status_fields.py`.
        """
        leaves = [part for part in self.parts() if part.content_type not in RETURNED_TYPES]
        for part in leaves:
            if part.content_type in STATUS_TYPES or _looks_like_status(part):
                groups = field_groups(part.content)
                if groups:
                    return groups
        return ()

    @lazy
    def returned_part(self) -> Part | None:
        """The part that holds the returned message or its header section."""
        return next((p for p in self.parts() if p.content_type in RETURNED_TYPES), None)

    @lazy
    def returned(self) -> Headers | None:
        """The header fields of the returned message."""
        part = self.returned_part
        return header_section(part.content) if part is not None else None


def _is_text(part: Part) -> bool:
    kind = part.content_type
    if kind.startswith("text/"):
        return kind != "text/calendar" and not _looks_like_status(part)
    return kind.startswith("multipart/")  # one that came without its parts


_STATUS_START = re.compile(
    r"\s*(?:reporting-mta|original-envelope-id|dsn-gateway|received-from-mta|arrival-date"
    r"|(?:original|final)-recipient)[ \t]*:",
    re.IGNORECASE,
)


_OTHER_REPORTS = frozenset({"message/disposition-notification", "message/feedback-report"})
"""They name a Final-Recipient too (RFC 8098, RFC 5965), to whom nothing failed."""


def _looks_like_status(part: Part) -> bool:
    kind = part.content_type
    if not kind.startswith(("text/", "application/", "message/")) or len(part.raw) < 40:
        return False
    if kind in _OTHER_REPORTS or kind in {"text/plain", "text/html"}:
        return False  # what a person reads, a person may have pasted
    return _STATUS_START.match(part.content, 0, 400) is not None and "ecipient" in part.content


def header_section(text: str) -> Headers:
    """Read the header fields at the start of a returned message, given as latin-1 text."""
    text = text[: 256 * 1024].lstrip("\n")
    end = text.find("\n\n")
    return Headers(text if end < 0 else text[: end + 1])


_GROUP_END = re.compile(r"\n(?:[ \t]*\n)+")
_GROUP_FIELD = re.compile(r"^[ \t]{0,3}([A-Za-z][!-9;-~]*)[ \t]*:(.*(?:\n[ \t].*)*)", re.MULTILINE)


_FIRST_FIELDS = ("original-recipient", "final-recipient")


def _field_value(value: str) -> str:
    if not value.isascii():
        value = decode(value.encode("latin-1"))
    return unfold(value[:MAX_FIELD])


def field_groups(content: str) -> tuple[Fields, ...]:
    """Read groups of fields that empty lines separate; a field's first occurrence counts."""
    groups: list[Fields] = []
    for block in _GROUP_END.split(content[:MAX_BODY].strip("\n"))[:MAX_GROUPS]:
        fields: dict[str, str] = {}
        for name, value in _GROUP_FIELD.findall(block):
            key = name.lower()
            if key in fields and key in _FIRST_FIELDS and "final-recipient" in fields:
                groups.append(fields)  # an empty line was lost
                fields = {}
            fields.setdefault(key, _field_value(value))
        if fields:
            groups.append(fields)
    return tuple(groups)


_UNSEEN = re.compile(r"<(?:(script|style|head|title)\b|!--)")
_BREAK = re.compile(
    r"<(?:br|/?p|/?div|/?tr|/?li|/?h[1-6]|/?table|/?ul)\b[^>]{0,1000}>", re.IGNORECASE
)
_TAG = re.compile(r"<(?![^<>@\s]+@[^<>\s]+>)/?[A-Za-z!?][^<>]{0,2000}>")
_BLANKS = re.compile(r"[ \t\xa0]+")
_BLANK_LINES = re.compile(r" ?\n(?: ?\n){2,}")


def _seen(markup: str) -> str:
    """Leave out what a browser does not show: scripts, styles, the head, comments."""
    lower = markup.lower()
    out, done, endless = [], 0, set()
    for start in _UNSEEN.finditer(lower):
        end = f"</{start[1]}" if start[1] else "-->"
        if start.start() < done or end in endless:
            continue
        at = lower.find(end, start.end())
        if at < 0:
            endless.add(end)
            continue
        out.append(markup[done : start.start()])
        done = at + len(end)
        if start[1] and (close := lower.find(">", done, done + 100)) >= 0:
            done = close + 1
    return " ".join([*out, markup[done:]])


def strip_html(markup: str) -> str:
    """Make readable text of HTML, one line a block; `<user@example.com>` is text, not a tag."""
    text = _seen(markup[:MAX_BODY])
    text = _BREAK.sub("\n", text.replace("\n", " "))
    text = html.unescape(_TAG.sub("", text))
    return _BLANK_LINES.sub("\n\n", _BLANKS.sub(" ", text)).strip()
