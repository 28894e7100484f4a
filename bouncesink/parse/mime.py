"""PURE. The one door to flanker: a mail's bytes -> our small tree of Parts, capped, never raising.

flanker finds the structure; it is handed an outline (outline.py) in which every `message/*` part is
opaque and empty, so that nothing inside a returned message is ever taken for a part of the
notification, and time goes with the size of the notification and not of what it returns. Header
fields and bodies are read from our own copy of the text, when they are asked for. Where flanker
gives up, the standard library's parser tries, and then the mail is one text.

Text is latin-1 (one character is one octet) until a charset is applied, with LF line ends.
"""

import email
import email.errors
import logging
import quopri
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stderr
from email.message import Message as EmailMessage
from functools import cache, lru_cache
from io import StringIO
from types import MappingProxyType
from typing import Any, Generic, NamedTuple, TypeVar

from bouncesink.parse.charset import decode, decode_base64, decode_words, is_plain
from bouncesink.parse.outline import MAX_DELIMITERS, Outline, unmask

MAX_SIZE = 4 * 1024 * 1024
"""Octets of a mail that are read; what comes after is returned content in any sane notification."""
MAX_HEADERS = 2000
MAX_HEADER_BLOCK = 512 * 1024
MAX_VALUE = 16 * 1024
"""Characters of a field's value that are read."""
MAX_SHAPE = 1000
"""Characters of an outline that is worth remembering."""
MAX_DEPTH = 20
MAX_BODY = 512 * 1024
"""Characters of a body that are decoded."""

_FIELD = re.compile(r"^([!-9;-~]+)[ \t]*:[ \t]*(.*(?:\n[ \t].*)*)", re.MULTILINE)
# From the line end before, which `re` finds much faster than "^".
_NO_FIELD = re.compile(r"\n(?![!-9;-~]+[ \t]*:|[ \t]|>?From |\Z)")


_T = TypeVar("_T")


class lazy(Generic[_T]):  # noqa: N801  a decorator, named like property
    """functools.cached_property without its lock, which costs more than most of what it guards."""

    def __init__(self, make: Callable[[Any], _T]) -> None:
        self._make = make

    def __get__(self, holder: Any, owner: type) -> _T:
        value = holder.__dict__[self._make.__name__] = self._make(holder)
        return value


class Headers:
    """The header fields of a part: case-insensitive, ordered, several a name."""

    __slots__ = ("_fields", "block")

    def __init__(self, block: str) -> None:
        self.block = block
        """The header section as received, as latin-1 text with LF line ends."""
        self._fields: dict[str, list[str]] | None = None

    def _load(self) -> dict[str, list[str]]:
        if self._fields is None:
            fields: dict[str, list[str]] = {}
            self._fields = fields
            for name, value in _FIELD.findall(self.block):
                fields.setdefault(name.lower(), []).append(value)
        return self._fields

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._load()

    def __iter__(self) -> Iterator[str]:
        """Give the names, in lower case."""
        return iter(self._load())

    def __len__(self) -> int:
        return len(self._load())

    def get(self, name: str) -> str | None:
        """Give the first field of that name, unfolded and decoded (RFC 2047)."""
        fields = self._fields if self._fields is not None else self._load()
        values = fields.get(name) or fields.get(name.lower())
        return _readable(values[0]) if values else None

    def raw(self, name: str) -> str | None:
        """Give the first field of that name as it stands."""
        values = self._load().get(name)
        return values[0] if values else None

    def all(self, name: str) -> list[str]:
        return [_readable(value) for value in self._load().get(name.lower(), ())]


def unfold(value: str) -> str:
    """Make one line of a folded field (RFC 5322, section 2.2.3)."""
    return " ".join(map(str.strip, value.split("\n"))) if "\n" in value else value.strip()


def _readable(value: str) -> str:
    value = unfold(value[:MAX_VALUE])
    return value if "=?" not in value and value.isascii() else decode_words(value)


class Part:
    """One MIME part. A `message/*` part is a leaf; `parse_text(part.content, [])` opens it."""

    def __init__(
        self,
        content_type: str,
        params: Mapping[str, str],
        headers: Headers,
        raw: str,
        parts: tuple["Part", ...] = (),
    ) -> None:
        self.content_type = content_type
        """In lower case, without parameters."""
        self.params = params
        """Parameters of Content-Type, by lower-case name."""
        self.headers = headers
        self.raw = raw
        """The body as received, not decoded; empty in a multipart that is not the root."""
        self.parts = parts

    def walk(self) -> Iterator["Part"]:
        """Give this part and all below it, in order."""
        yield self
        for part in self.parts:
            yield from part.walk()

    @property
    def is_attachment(self) -> bool:
        return (self.headers.get("content-disposition") or "").lower().startswith("attachment")

    @lazy
    def content(self) -> str:
        """The body without its transfer encoding, still as latin-1 text with LF line ends."""
        encoding = (self.headers.get("content-transfer-encoding") or "").lower()
        if encoding.startswith("base64"):
            data = decode_base64(self.raw.encode("latin-1"))
        elif encoding.startswith("quoted"):
            data = quopri.decodestring(self.raw.encode("latin-1"))
        else:
            return self.raw
        return _line_ends(data.decode("latin-1"))

    @lazy
    def text(self) -> str:
        """The body as text by its charset, at most MAX_BODY characters."""
        content = self.content[:MAX_BODY]
        charset = self.params.get("charset")
        if content.isascii() and is_plain(charset) and "\x1b" not in content:
            return content
        return decode(content.encode("latin-1"), charset)


def parse(raw: bytes) -> tuple[Part, list[str]]:
    """Make the tree of a mail; with it, its damage in stable words."""
    damage: list[str] = []
    if len(raw) > MAX_SIZE:
        damage.append("size")
    text = raw[:MAX_SIZE].decode("latin-1")
    if "\0" in text:
        damage.append("NUL")
        text = text.replace("\0", "")
    if "\r" in text:
        text = text.replace("\r\n", "\n")
        if "\r" in text:
            damage.append("line ends")
            text = _line_ends(text)
    return parse_text(text, damage), damage


def parse_text(text: str, damage: list[str]) -> Part:
    """Make the tree of a mail given as latin-1 text with LF line ends; adds to `damage`."""
    text = text.lstrip("\n")
    if text.startswith(("From ", ">From ")):
        text = text.partition("\n")[2]
    headers, body = _split(text, damage)
    outline = Outline(headers.raw("content-type"), body, damage)
    attempts: tuple[Callable[[Outline, Headers], Part], ...] = (_by_flanker, _by_email)
    for attempt in attempts:
        try:
            return attempt(outline, headers)
        except Exception:
            if "MIME" not in damage:
                damage.append("MIME")
    return Part("text/plain", {}, headers, body)


def _line_ends(text: str) -> str:
    return text.replace("\r\r\n", "\n").replace("\r\n", "\n").replace("\r", "\n")


def _split(text: str, damage: list[str]) -> tuple[Headers, str]:
    """Part the header section from the body; a line that is no field ends the header section."""
    if text.startswith("\n"):
        return Headers(""), text[1:]
    end = text.find("\n\n")
    block, body = (text, "") if end < 0 else (text[: end + 1], text[end + 2 :])
    if stray := _NO_FIELD.search("\n" + block):
        block, body = text[: stray.start()], text[stray.start() :]
    if len(block) > MAX_HEADER_BLOCK or block.count("\n") > MAX_HEADERS:
        damage.append("header size")
        block = "\n".join(block[:MAX_HEADER_BLOCK].split("\n", MAX_HEADERS)[:MAX_HEADERS]) + "\n"
    return Headers(block), body


@cache
def _scan() -> Callable[[str], Any]:
    """Import flanker: late, as it takes a third of a second, and without a word to the user."""
    logging.getLogger("flanker").addHandler(logging.NullHandler())
    logging.getLogger("flanker").propagate = False
    with warnings.catch_warnings(), redirect_stderr(StringIO()):
        warnings.simplefilter("ignore")
        from flanker.mime.message import scanner
    return scanner.scan  # type: ignore[no-any-return]


def warm_up() -> None:
    """Import flanker now, so that the first mail does not wait for it."""
    _scan()


class _Shape(NamedTuple):
    """What flanker found in an outline: offsets, and types where there are parts."""

    content_type: str
    params: Mapping[str, str]
    start: int
    end: int
    parts: tuple["_Shape", ...]


def _by_flanker(outline: Outline, headers: Headers) -> Part:
    known = outline.is_shape and len(outline.text) < MAX_SHAPE
    shape = _known_shape(outline.text) if known else _shape(outline.text)
    parts = tuple(_part(each, outline) for each in shape.parts)
    return Part(shape.content_type, shape.params, headers, outline.body, parts)


def _shape(text: str) -> _Shape:
    tree = _scan()(text)
    if tree is None:
        raise ValueError("flanker found no message")
    return _shape_of(tree, 0)


# A mail system writes one shape or two, so the mails of a year have a few hundred between them.
_known_shape = lru_cache(maxsize=512)(_shape)


def _shape_of(tree: Any, depth: int) -> _Shape:
    if depth > MAX_DEPTH:
        raise ValueError("nested too deep")
    container = tree._container  # noqa: SLF001  flanker shows offsets nowhere else
    kind = container.content_type
    params = {
        name.lower(): text
        for name, text in kind.params.items()
        if type(text) is str and name.lower() != "boundary"  # which need not be the mail's own
    }
    return _Shape(
        unmask(kind.value),
        MappingProxyType(params),
        container.start,
        container.end,
        tuple(_shape_of(each, depth + 1) for each in tree.parts),
    )


def _part(shape: _Shape, outline: Outline) -> Part:
    start = outline.starts[shape.start]
    if shape.parts:
        headers, _ = _split(outline.body[start : start + MAX_HEADER_BLOCK], [])
        parts = tuple(_part(each, outline) for each in shape.parts)
        return Part(shape.content_type, shape.params, headers, "", parts)
    headers, raw = _split(outline.body[start : outline.ends.get(shape.end + 1)], [])
    return Part(*_type_of(headers), headers, raw)


_PARAM = re.compile(r";\s*([\w*-]{1,40})\s*=\s*(?:\"([^\"]{0,200})\"|([^\s;\"]{1,200}))")
_TYPE = re.compile(r"\s*([\w.+-]{1,80}/[\w.+-]{1,80})")


def _type_of(headers: Headers) -> tuple[str, dict[str, str]]:
    """Read the Content-Type of a leaf (RFC 2045, section 5); text/plain where it has none."""
    value = headers.raw("content-type")
    found = _TYPE.match(value) if value else None
    if value is None or found is None:
        return "text/plain", {}
    params = {m[1].lower(): m[2] or m[3] or "" for m in _PARAM.finditer(value, found.end())}
    return found[1].lower(), params


def _by_email(outline: Outline, headers: Headers) -> Part:
    if outline.body.count("\n--") > MAX_DELIMITERS:
        raise ValueError("too many parts")
    message = email.message_from_string(outline.masked())
    root = _part_of_email(message, 0)
    return Part(root.content_type, root.params, headers, outline.body, root.parts)


def _part_of_email(message: "EmailMessage[str, str]", depth: int) -> Part:
    if depth > MAX_DEPTH:
        raise ValueError("nested too deep")
    headers = Headers("".join(f"{name}: {value}\n" for name, value in message.raw_items()))
    payload = message.get_payload()
    parts: tuple[Part, ...] = ()
    if isinstance(payload, list):
        parts = tuple(_part_of_email(each, depth + 1) for each in payload)  # type: ignore[arg-type]
    raw = payload if isinstance(payload, str) else ""
    params = {
        name.lower(): value
        for name, value in (message.get_params() or [])[1:]
        if isinstance(value, str)
    }
    return Part(unmask(message.get_content_type()), params, headers, raw, parts)
