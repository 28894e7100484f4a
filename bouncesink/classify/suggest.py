"""PURE. A reply that no rule knew -> a rule that would, for a person to look at."""

import hashlib
import json
import re
from collections.abc import Iterator

from bouncesink.classify.facts import ADDRESS, fold_text
from bouncesink.errors import InputError
from bouncesink.model import Category

_ANY = r"\S+"
_MOST_WORDS = 25
_LONGEST_WORD = 36
"""In characters of its pattern: 25 such words are below what a rule may have."""
_LEAST_LETTERS = 8
_MOST_FOLDS = 10
_CODES = re.compile(r"^(?:[245]\d\d[- ]+)?(?:#?[245]\.\d{1,3}\.\d{1,3}[- :]+)?")
_IP = re.compile(r"\[?(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f]*:[0-9a-f:]{3,})\]?", re.IGNORECASE)
_HOST = re.compile(r"(?:[a-z0-9_-]+\.)+[a-z][a-z0-9-]+", re.IGNORECASE)
_LINK = re.compile(r"https?://\S+", re.IGNORECASE)
_VARYING = re.compile(r"[^\W_]*\d[\w-]*")
"""A word with a digit in it: a queue id, a counter, a date."""

_SHOWN = (
    (_LINK, "https://example.com/"),
    (_IP, "192.0.2.1"),
    (_HOST, "mx.example.com"),
)


def suggest(reply: str, category: Category, source: str) -> str:
    """Give a rule as TOML, with an example that it wins and that names nobody.

    Raises InputError where the reply says too little in words.
    """
    text = _folded(reply)
    said = _CODES.sub("", text, count=1)
    words = said.split()[:_MOST_WORDS]
    pattern = r"\s+".join(_join(map(_general, words)))
    if len(re.sub(r"\\.|\W|\d", "", pattern)) < _LEAST_LETTERS:
        raise InputError(f"{reply[:80]!r} says too little in words to make a rule of")
    example = text
    for naming, shown in _SHOWN:
        example = naming.sub(shown, example)
    example = example.replace(ADDRESS, "<someone@example.com>")
    lines = [
        "[[rule]]",
        f"id = {_toml(_name(said, category))}",
        f"category = {_toml(category.value)}",
        f"source = {_toml(source)}",
        f"text = [{_toml(pattern)}]",
        "[[rule.examples]]",
        f"text = {_toml(example)}",
    ]
    return "\n".join(lines) + "\n"


def _folded(reply: str) -> str:
    """Fold until nothing changes: as an example it is folded anew, whatever it was wrapped in."""
    text = fold_text(reply)
    for _ in range(_MOST_FOLDS):
        folded, text = text, fold_text(text)
        if folded == text:
            return text
    raise InputError(f"{reply[:80]!r} is wrapped too often to make a rule of")


def _general(word: str) -> str:
    """Give a pattern for one word: itself, or anything where it names somebody or something."""
    names = ADDRESS in word or any(one.search(word) for one in (_LINK, _IP, _HOST, _VARYING))
    pattern = re.escape(word)
    return _ANY if names or len(pattern) > _LONGEST_WORD else pattern


def _join(patterns: Iterator[str]) -> Iterator[str]:
    """Leave out what says nothing at the ends of the sentence."""
    kept = list(patterns)
    while kept and kept[0] == _ANY:
        kept.pop(0)
    while kept and kept[-1] == _ANY:
        kept.pop()
    return iter(kept)


def _name(said: str, category: Category) -> str:
    words = re.findall(r"[a-z]+", said.lower())[:3]
    digest = hashlib.sha256(said.encode("utf-8", "replace")).hexdigest()[:6]
    return "-".join(["own", *(words or category.value.split("_")), digest])


def _toml(text: str) -> str:
    """Spell a text as a basic string of TOML, which JSON's is but for what is beyond the BMP."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
