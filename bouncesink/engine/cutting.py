"""PURE. A notification with less in it: what is left reads the same, or the caller keeps more.

Nothing here knows what a notification means. It cuts along the structure of MIME (RFC 2046), and
whoever asks reads the result again and compares.
"""

import base64
import binascii
import quopri
import re
from enum import StrEnum

_RETURNED = re.compile(r"message/(rfc822|global|news)$|text/rfc822$")
_STATUS = re.compile(
    r"message/(global-)?(delivery-status|disposition-notification)$|message/feedback-report$"
)
_HEADERS = re.compile(r"message/(global-headers|rfc822-headers)$|text/rfc822-headers$")
_TYPE = re.compile(
    r"^content-type[ \t]*:\s*([\w.+-]+/[\w.+-]+)(.*(?:\n[ \t].*)*)", re.IGNORECASE | re.MULTILINE
)
_BOUNDARY = re.compile(r";\s*boundary\s*=\s*(?:\"([^\"\n]+)\"|([^\s;\"]+))", re.IGNORECASE)
_ENCODING = re.compile(
    r"^content-transfer-encoding[ \t]*:[ \t]*([\w-]+).*\n?", re.IGNORECASE | re.MULTILINE
)
_QUOTED = re.compile(r"\n\n((?:[!-9;-~]+:[^\n]*\n(?:[ \t][^\n]*\n)*){3,})\n")
"""A header section inside a text: of a returned message that the reader made nothing of."""
_MAX_DEPTH = 20
_MAX_PARTS = 1000


class Form(StrEnum):
    """What is left of a mail, the least first; `cut` says how each is made.

    STATUS: header sections, and parts that are a delivery status. TEXT: what a person would read,
    too. BODILESS: all but the returned message's body. The forms with ENTERED look for them inside
    an attached message as well: it may be a notification that somebody forwarded.
    """

    STATUS = "status"
    STATUS_ENTERED = "status, entered"
    TEXT = "text"
    TEXT_ENTERED = "text, entered"
    BODILESS = "bodiless"
    BODILESS_ENTERED = "bodiless, entered"


_ENTERED = {Form.STATUS_ENTERED, Form.TEXT_ENTERED, Form.BODILESS_ENTERED}
_STATUS_ONLY = {Form.STATUS, Form.STATUS_ENTERED}
_TEXT_ONLY = {Form.TEXT, Form.TEXT_ENTERED}


def cut(raw: bytes, returned: bytes, form: Form) -> bytes:
    """Give a mail in this form, with CRLF line ends; as it is where that leaves nothing out.

    `returned` is the header section of the returned message, with any line ends: where it stands
    in a text, the text ends with it.
    """
    text = _lines(raw.decode("latin-1"))
    made = _entity(text, _lines(returned.decode("latin-1")).strip("\n"), form, 0)
    if len(made) >= len(text):
        return raw
    return made.replace("\n", "\r\n").encode("latin-1")


def _lines(text: str) -> str:
    return text.replace("\r\r\n", "\n").replace("\r\n", "\n").replace("\r", "\n")


def _entity(text: str, returned: str, form: Form, depth: int) -> str:
    head, body = _split(text)
    found = _TYPE.search(head)
    kind = found[1].lower() if found else "text/plain"
    parameters = found[2] if found else ""
    if kind.startswith("multipart/") and depth < _MAX_DEPTH:
        boundary = _BOUNDARY.search(parameters)
        if boundary and (parts := _parts(body, boundary[1] or boundary[2])):
            line = f"--{boundary[1] or boundary[2]}"
            made = [_entity(part, returned, form, depth + 1) for part in parts]
            return f"{head}\n" + "".join(f"{line}\n{part}\n" for part in made) + f"{line}--\n"
    if _STATUS.match(kind):
        return f"{head}\n{body}"
    if _HEADERS.match(kind):
        return _message(head, body, returned, Form.STATUS, depth)
    if _RETURNED.match(kind):
        return _message(head, body, returned, form, depth)
    if form in _STATUS_ONLY or (form in _TEXT_ONLY and not kind.startswith("text/")):
        return f"{head}\n"
    return _text(head, body, returned)


def _message(head: str, body: str, returned: str, form: Form, depth: int) -> str:
    """Cut an attached message to its header section, or, entered, as if it had come by itself."""
    if (plain := _decoded(head, body)) is not None:
        head, body = _ENCODING.sub("", head), plain
    own, _ = _split(body.lstrip("\n"))
    if form not in _ENTERED or depth >= _MAX_DEPTH or (returned and own.strip("\n") == returned):
        return f"{head}\n{own}"
    return f"{head}\n{_entity(body.lstrip(chr(10)), returned, form, depth + 1)}"


def _text(head: str, body: str, returned: str) -> str:
    """End a text with the header section that it returns."""
    if (end := _end_of(returned, body)) is not None:
        return f"{head}\n{body[:end]}\n"
    plain = _decoded(head, body)
    if plain is not None and (end := _end_of(returned, plain)) is not None:
        return f"{_ENCODING.sub('', head)}\n{plain[:end]}\n"
    return f"{head}\n{body}"


def _end_of(returned: str, text: str) -> int | None:
    """Find where the returned header section ends; also where each line is quoted or indented."""
    if not returned:
        return next((f.end(1) for f in _QUOTED.finditer(text) if _is_a_message(f[1])), None)
    if (at := text.find(returned)) >= 0:
        return at + len(returned)
    lines = [line.strip() for line in returned.split("\n")]
    at = text.find(lines[0])
    end = text.find(lines[-1], at) if at >= 0 else -1
    return end + len(lines[-1]) if end >= 0 else None


def _is_a_message(block: str) -> bool:
    names = {line.partition(":")[0].lower() for line in block.split("\n")}
    return {"from", "date"} <= names or {"from", "message-id"} <= names


def _split(text: str) -> tuple[str, str]:
    """Part the header section, with the end of its last line, from the body."""
    if text.startswith("\n"):
        return "", text[1:]
    head, _, body = text.partition("\n\n")
    return head.removesuffix("\n") + "\n", body


def _parts(body: str, boundary: str) -> list[str]:
    """Give the parts between delimiter lines; preamble and epilogue are no parts."""
    line = re.compile(rf"^--{re.escape(boundary)}(--)?[ \t]*$\n?", re.MULTILINE)
    parts: list[str] = []
    start: int | None = None
    for found in line.finditer(body):
        if start is not None:
            parts.append(body[start : max(start, found.start() - 1)])
        start = None if found[1] else found.end()
        if found[1] or len(parts) > _MAX_PARTS:
            break
    if start is not None:
        parts.append(body[start:])
    return parts


def _decoded(head: str, body: str) -> str | None:
    """Undo base64 or quoted-printable; None where there is neither."""
    found = _ENCODING.search(head)
    encoding = found[1].lower() if found else ""
    try:
        if encoding == "base64":
            return _lines(base64.b64decode(body.encode("latin-1")).decode("latin-1"))
        if encoding == "quoted-printable":
            return _lines(quopri.decodestring(body.encode("latin-1")).decode("latin-1"))
    except (binascii.Error, ValueError):
        pass
    return None
