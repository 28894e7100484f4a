"""PURE. Bytes to text when the label may lie: body charsets and encoded-words (RFC 2047)."""

import binascii
import codecs
import re
from functools import lru_cache

_SAFE = frozenset(
    {
        "ascii",
        "big5",
        "big5hkscs",
        "cp1250",
        "cp1251",
        "cp1252",
        "cp1253",
        "cp1254",
        "cp1255",
        "cp1256",
        "cp1257",
        "cp1258",
        "cp437",
        "cp850",
        "cp852",
        "cp855",
        "cp858",
        "cp866",
        "cp874",
        "cp932",
        "cp936",
        "cp949",
        "cp950",
        "euc_jp",
        "euc_kr",
        "gb18030",
        "hz",
        "iso2022_jp",
        "iso2022_jp_2",
        "iso2022_jp_ext",
        "iso2022_kr",
        "iso8859-1",
        "iso8859-10",
        "iso8859-11",
        "iso8859-13",
        "iso8859-14",
        "iso8859-15",
        "iso8859-16",
        "iso8859-2",
        "iso8859-3",
        "iso8859-4",
        "iso8859-5",
        "iso8859-6",
        "iso8859-7",
        "iso8859-8",
        "iso8859-9",
        "johab",
        "koi8-r",
        "koi8-t",
        "koi8-u",
        "mac-cyrillic",
        "mac-roman",
        "shift_jis",
        "tis-620",
        "utf-16",
        "utf-16-be",
        "utf-16-le",
        "utf-32",
        "utf-7",
        "utf-8",
    }
)
"""Codecs that are charsets of mail. Others, such as punycode, are slow, or no charset at all."""

_WIDER = {
    "ascii": "utf-8",
    "iso8859-1": "cp1252",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "cp936": "gb18030",
    "euc_kr": "cp949",
    "shift_jis": "cp932",
    "iso2022_jp": "iso2022_jp_ext",
}
"""What senders mean when they name the narrower one (WHATWG Encoding, section 4.2)."""

_ALIASES = {"ks_c_5601-1987": "cp949", "unknown-8bit": "utf-8"}

_SEVEN_BIT_STATE = frozenset({"iso2022_jp", "iso2022_jp_ext", "iso2022_jp_2", "iso2022_kr", "hz"})


@lru_cache(maxsize=256)
def codec_of(charset: str) -> str | None:
    """Name the codec for a charset label, or None where it is no charset that mail uses."""
    label = charset.strip().strip("\"'").lower().removeprefix("x-").replace("sjis", "shift_jis")
    try:
        name = codecs.lookup(_ALIASES.get(label, label)).name
    except (LookupError, ValueError):
        return None
    name = _WIDER.get(name, name)
    return name if name in _SAFE else None


@lru_cache(maxsize=256)
def is_plain(charset: str | None) -> bool:
    """Whether ASCII octets mean in this charset what they mean in ASCII."""
    codec = codec_of(charset) if charset else None
    return (
        codec is None
        or not (codec in _SEVEN_BIT_STATE or codec.startswith("utf-"))
        or codec == "utf-8"
    )


def decode(data: bytes, charset: str | None = None) -> str:
    """Decode by the declared charset, else by what the bytes look like; never fails."""
    codec = codec_of(charset) if charset else None
    if data.isascii() and is_plain(charset):
        if b"\x1b$" not in data and b"\x1b(J" not in data:
            return data.decode("ascii")
        codec = "iso2022_jp_ext"
    for candidate in (codec, "utf-8"):
        if candidate is not None:
            try:
                return data.decode(candidate)
            except (UnicodeError, ValueError):
                continue
    return _best_of(data) if codec in (None, "utf-8") else data.decode(codec, "replace")


def _best_of(data: bytes) -> str:
    """Tell UTF-8 with some damage, such as a cut, from what never was UTF-8."""
    text = data.decode("utf-8", "replace")
    damaged = text.count("\ufffd")
    wide = sum(not char.isascii() for char in text) if damaged < 1000 else 0
    return text if damaged * 2 < wide else data.decode("cp1252", "replace")


_ENCODED_WORD = re.compile(r"=\?([^?*\s]{1,40})(?:\*[^?\s]{0,20})?\?([bBqQ])\?([^?\n]{0,4000})\?=")
_BETWEEN_WORDS = re.compile(r"(\?=)[ \t\n]+(?==\?[^?\s]{1,60}\?[bBqQ]\?)")
_Q_BYTE = re.compile(rb"=([0-9a-fA-F]{2})")


def decode_words(value: str) -> str:
    """Decode the encoded-words and raw 8-bit text of a header value that was read as latin-1."""
    if not value.isascii():
        value = decode(value.encode("latin-1", "replace"))
    if "=?" not in value:
        return value
    out: list[str] = []
    pending, pending_charset, at = b"", "", 0
    value = _BETWEEN_WORDS.sub(r"\1", value)
    for word in _ENCODED_WORD.finditer(value):
        charset = word[1].lower()
        if pending and (word.start() != at or charset != pending_charset):
            out.append(decode(pending, pending_charset))
            pending = b""
        out.append(value[at : word.start()])
        pending, pending_charset = pending + _word_bytes(word[2], word[3]), charset
        at = word.end()
    if pending:
        out.append(decode(pending, pending_charset))
    out.append(value[at:])
    return "".join(out)


def _word_bytes(encoding: str, text: str) -> bytes:
    data = text.encode("utf-8", "replace")
    if encoding in "qQ":
        return _Q_BYTE.sub(lambda m: bytes.fromhex(m[1].decode()), data.replace(b"_", b" "))
    return decode_base64(data)


def decode_base64(data: bytes) -> bytes:
    """Decode what can be: stray characters are skipped, missing padding is added."""
    try:
        return binascii.a2b_base64(data)
    except binascii.Error:
        kept = re.sub(rb"[^A-Za-z0-9+/]", b"", data)
        kept = kept[: len(kept) - 1] if len(kept) % 4 == 1 else kept
        return binascii.a2b_base64(kept + b"=" * (-len(kept) % 4))


_CONTROLS = {
    **dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)]),
    **dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0xFEFF]),
    **dict.fromkeys(range(0xD800, 0xE000), "\ufffd"),
    0x09: "\t",
    0x0A: "\n",
}
_UNCLEAN = re.compile(
    "[^\x09\x0a\x20-\x7e\xa0-\u2029\u202f-\u2065\u206a-\ud7ff\ue000-\ufefe\uff00-\U0010ffff]"
)


def clean(text: str, limit: int) -> str:
    """Shorten to `limit` characters, without what could command a terminal or break a database."""
    text = text[:limit]
    if text.replace("\n", "").isprintable() or not _UNCLEAN.search(text):
        return text
    return text.translate(_CONTROLS)
