"""PURE. The outline of a mail: enough to find its structure by, and nothing of what it returns."""

import re
from collections.abc import Iterable
from typing import NamedTuple

MAX_TYPES = 200
"""Content-Type lines: more parts than any notification has, few enough for flanker's lists."""
MAX_DELIMITERS = 5000
"""Lines that look like a boundary delimiter."""
MAX_LINE = 2000
"""Characters of a delimiter line and of a Content-Type field."""

_MULTIPART = re.compile(r"content-type:\s*multipart/", re.IGNORECASE)
_OPAQUE = re.compile(r"content-type:\s*(?:message/|text/rfc822-headers)", re.IGNORECASE)
_FIELD = re.compile(r"^content-type:.*(?:\n[ \t].*)*", re.IGNORECASE | re.MULTILINE)
_MASKED = re.compile(r"(content-type:\s*)message/", re.IGNORECASE)
_MASK = "opaqued/"  # as long as "message/"
_OTHER_PARAMS = r"(?:;\s*(?!boundary)[\w-]{1,40}=(?:\"[^\"\\\n]{0,100}\"|[\w.:+/-]{1,100}))*"
_PLAIN_MULTIPART = re.compile(
    rf"(content-type:\s*multipart/[\w.+-]{{1,40}}{_OTHER_PARAMS};\s*boundary=)"
    r"(?:\"([!#-\[\]-~]{1,200})\"|([\w.:+/-]{1,200}))"
    rf"({_OTHER_PARAMS});?\s*\Z",
    re.IGNORECASE | re.ASCII,
)


class _Delimiter(NamedTuple):
    """A line that may delimit parts: the offsets around it, and the Content-Type below it."""

    line: str
    """With the line end before it."""
    start: int
    end: int
    content_type: str


class Outline:
    """What flanker is shown: the delimiter lines and the Content-Type of each multipart.

    Where `is_shape`, boundaries have names in their order in place of their own, and lines that
    delimit nothing are left out, so that mails of one shape have one `text`.
    `starts` and `ends` tell where an offset of `text`, after a delimiter line and before one, is in
    the body.
    """

    def __init__(self, root_type: str | None, body: str, damage: list[str]) -> None:
        self.body = body
        self.starts: dict[int, int] = {}
        self.ends: dict[int, int] = {}
        kind = "text/plain" if root_type is None else _masked_type(root_type[:MAX_LINE])
        self.text = self.head = f"Content-Type: {kind}\n\n"
        self.is_shape = True
        if "multipart/" in self.head.lower():
            delimiters = _delimiters("\n" + body, damage)
            renamed = _renamed(self.head, delimiters)
            self.is_shape = renamed is not None
            self._show(*(renamed or (self.head, map(_as_it_is, delimiters))))
        self.ends[len(self.text)] = len(body)

    def masked(self) -> str:
        """Give the whole mail with its `message/*` parts under another name, no type too long."""
        return self.head + _FIELD.sub(_masked_field, self.body)

    def _show(self, head: str, delimiters: Iterable[_Delimiter]) -> None:
        out, length = [head], len(head)
        for line, start, end, kind in delimiters:
            shown = f"{line}\n{kind}\n\n" if kind else f"{line}\n"
            self.ends[length] = max(start - 1, 0)
            self.starts[length + len(line) + 1] = end
            length += len(shown)
            out.append(shown)
        self.text = "".join(out)


def _as_it_is(found: _Delimiter) -> _Delimiter:
    return found if _MULTIPART.match(found.content_type) else found._replace(content_type="")


def _renamed(head: str, delimiters: list[_Delimiter]) -> tuple[str, list[_Delimiter]] | None:
    """Name the boundaries in order, and keep the delimiters that have one; None where in doubt."""
    names: dict[str, str] = {}
    shown: list[_Delimiter] = []
    root = _declared(head.rstrip("\n"), names)
    if root is None:
        return None
    for line, start, end, kind in delimiters:
        value = line[3:]
        name = names.get(value)
        if name is not None:
            if kind and _MULTIPART.match(kind):
                inner = _declared(kind, names)
                if inner is None:
                    return None
                shown.append(_Delimiter("\n--" + name, start, end, inner))
            else:
                shown.append(_Delimiter("\n--" + name, start, end, ""))
        elif value.endswith("--") and (name := names.get(value[:-2])) is not None:
            shown.append(_Delimiter(f"\n--{name}--", start, end, ""))
    return root + "\n\n", shown


def _declared(content_type: str, names: dict[str, str]) -> str | None:
    """Put a name for the boundary of a Content-Type field; None unless that is quite plain."""
    plain = _PLAIN_MULTIPART.match(content_type)
    if plain is None or "=?" in content_type:
        return None
    boundary = plain[2] or plain[3]
    if boundary.endswith("--"):
        return None  # another's last delimiter could look like it
    name = names.setdefault(boundary, f"b{len(names)}")
    return f"{plain[1]}{name}{plain[4]}"


def _delimiters(text: str, damage: list[str]) -> list[_Delimiter]:
    """Find the lines that look like delimiters, but for those inside a `message/*` part."""
    lower = text.lower()
    found: list[_Delimiter] = []
    types, at = 0, text.find("\n--")
    while at >= 0:
        if len(found) == MAX_DELIMITERS or types == MAX_TYPES:
            damage.append("parts")
            break
        line_end = _or_end(text.find("\n", at + 1), text)
        line = text[at:line_end].rstrip()[:MAX_LINE]
        following = _or_end(text.find("\n--", line_end), text)
        header_end = text.find("\n\n", line_end, following + 1)
        header_end = header_end if header_end >= 0 else following
        kind = _content_type(text, lower, line_end, header_end)
        found.append(_Delimiter(line, at, line_end, kind))
        types += bool(kind)
        if kind and len(line) > 3 and _OPAQUE.match(kind):
            at = text.find(line, header_end)  # only its own delimiter ends such a part
        else:
            at = text.find("\n--", header_end)
    return found


def _or_end(at: int, text: str) -> int:
    return at if at >= 0 else len(text)


def _content_type(text: str, lower: str, start: int, end: int) -> str:
    """Give the Content-Type field of a header section; empty where it has none."""
    at = lower.find("\ncontent-type:", start, end)
    if at < 0:
        return ""
    line_end = lower.find("\n", at + 1)
    while 0 <= line_end < end and lower[line_end + 1 : line_end + 2] in (" ", "\t"):
        line_end = lower.find("\n", line_end + 1)
    return text[at + 1 : min(_or_end(line_end, text), at + MAX_LINE)]


def _masked_field(found: re.Match[str]) -> str:
    # The standard library takes the square of the time for parameters that have no end.
    return _MASKED.sub(rf"\1{_MASK}", found[0][:MAX_LINE])


def _masked_type(value: str) -> str:
    return _MASK + value[8:] if value[:8].lower() == "message/" else value


def unmask(content_type: str) -> str:
    """Give the name that a type had before it was masked."""
    return "message/" + content_type[8:] if content_type.startswith(_MASK) else content_type
