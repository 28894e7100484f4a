"""Rules from TOML: read strictly, and checked against their own examples."""

import functools
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any

from bouncesink.classify.judge import RESERVED, judge_example
from bouncesink.classify.rules import Example, Rule, Rules, options
from bouncesink.errors import ConfigError
from bouncesink.model import Category

# The order is the order of evidence. A provider's own wording comes first, because providers reuse
# codes and common phrases; then what is the sender's fault, because replies like "sender rejected:
# user unknown" also hold the words of the next; then the address; then trouble on the way.
_SPOKEN = (
    "google.toml",
    "microsoft.toml",
    "yahoo.toml",
    "providers.toml",
    "providers-asia.toml",
    "gateways.toml",
    "servers-sender.toml",
    "blocklists.toml",
    "sender.toml",
    "sender-languages.toml",
    "servers.toml",
    "address.toml",
    "address-languages.toml",
    "remote.toml",
    "remote-languages.toml",
)
_ENHANCED = "enhanced.toml"
_REPLIES = "replies.toml"

_ID = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_STATUS = re.compile(r"[245x]\.(?:\d{1,3}|x)\.(?:\d{1,3}|x)")
_REPLY = re.compile(r"[245x][0-9x]{2}")
_LISTS = ("text", "status", "reply", "remote_mta", "reporting_mta", "recognizer")
_KEYS = {"id", "category", "source", "examples", "silent", *_LISTS}
_EXAMPLE_KEYS = [field.name for field in fields(Example)]
MAX_RULES = 5000
MAX_PATTERN = 1000


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one rule, and where it stands."""

    file: str
    line: int
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: rule {self.rule!r}: {self.message}"


def load_rules(extra: Path | None = None) -> Rules:
    """Give our rules, preceded by the user's own; ConfigError says what is wrong with those."""
    if extra is None:
        return _ours()
    return _with(read_rules(extra))


def read_rules(path: Path) -> tuple[Rule, ...]:
    """Read a file of rules; ConfigError names the file, the rule and what to do."""
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path}: cannot read the rules ({error}). Name a readable UTF-8 TOML file in"
            " [classify] rules, or leave it out."
        ) from error
    rules = _parse(content, str(path))
    files = (*_SPOKEN, _ENHANCED, _REPLIES)
    ours = {rule.id for name in files for rule in _own_file(name)}
    for rule in rules:
        check_matchers(rule)
        if rule.id in ours:
            raise _error(rule.file, rule.line, rule.id, "the id of one of ours; choose another")
    return rules


def check_rules(path: Path) -> list[Problem]:
    """Say which rules of a user's file do not win their own examples; ConfigError if unreadable."""
    own = read_rules(path)
    return list(lost_examples(own, _with(own)))


def lost_examples(rules: Iterable[Rule], among: Rules) -> Iterable[Problem]:
    """Say which of `rules` are beaten on an example of theirs, and by whom."""
    for rule in rules:
        for example in rule.examples:
            verdict = judge_example(example, among)
            if verdict.rule != rule.id:
                yield Problem(
                    rule.file,
                    rule.line,
                    rule.id,
                    f"its example {example.text or example.status!r} is won by {verdict.rule!r}"
                    f" ({verdict.category}); make the rule narrower, or move it up",
                )


@functools.cache
def _ours() -> Rules:
    return _with(())


@functools.cache
def _own_file(name: str) -> tuple[Rule, ...]:
    folder = resources.files("bouncesink.classify") / "rules"
    return _parse((folder / name).read_text(encoding="utf-8"), name)


def _with(own: tuple[Rule, ...]) -> Rules:
    spoken = [rule for name in _SPOKEN for rule in _own_file(name)]
    return Rules((*own, *spoken), _own_file(_ENHANCED), _own_file(_REPLIES))


def _parse(content: str, file: str) -> tuple[Rule, ...]:
    import tomllib

    try:
        document = tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: not valid TOML: {error}.") from error
    tables = document.pop("rule", [])
    if document or not isinstance(tables, list) or not all(isinstance(t, dict) for t in tables):
        found = ", ".join(sorted(document)) or "rule"
        raise ConfigError(f"{file}: unexpected {found}. Write each rule as a [[rule]] table.")
    if len(tables) > MAX_RULES:
        raise ConfigError(f"{file}: {len(tables)} rules; at most {MAX_RULES} are taken.")
    lines = [n for n, line in enumerate(content.splitlines(), 1) if line.strip() == "[[rule]]"]
    seen: set[str] = set()
    rules = []
    for number, table in enumerate(tables):
        rule = _rule(table, file, lines[number] if number < len(lines) else 0)
        if rule.id in seen:
            raise _error(file, rule.line, rule.id, "a second rule with this id; ids are unique")
        seen.add(rule.id)
        rules.append(rule)
    return tuple(rules)


def _rule(table: Mapping[str, Any], file: str, line: int) -> Rule:
    name = table.get("id")
    if not isinstance(name, str) or not _ID.fullmatch(name) or name in RESERVED:
        raise _error(file, line, name, "`id` must be kebab-case, such as my-provider-full")

    def refuse(message: str) -> ConfigError:
        return _error(file, line, name, message)

    unknown = sorted(set(table) - _KEYS)
    if unknown:
        raise refuse(f"unknown key {unknown[0]!r}; known are {', '.join(sorted(_KEYS))}")
    category = table.get("category")
    if category not in list(Category):
        raise refuse(f"`category` must be one of {', '.join(Category)}")
    source = table.get("source")
    if not isinstance(source, str) or not source.strip():
        raise refuse("`source` must say in words where this is known from")
    silent = table.get("silent", False)
    if not isinstance(silent, bool):
        raise refuse("`silent` must be true or false")
    lists = {key: _strings(table.get(key, ()), key, refuse) for key in _LISTS}
    if not any(lists.values()):
        raise refuse(f"nothing to match; give at least one of {', '.join(_LISTS)}")
    return Rule(
        id=name,
        category=Category(category),
        source=source.strip(),
        examples=_examples(table.get("examples"), refuse),
        file=file,
        line=line,
        silent=silent,
        **{**lists, **{key: _lowered(lists[key]) for key in ("remote_mta", "reporting_mta")}},
    )


def check_matchers(rule: Rule) -> None:
    """Refuse what is no pattern or no code. Ours are checked by the tests, not at every start."""
    import re2

    def refuse(message: str) -> ConfigError:
        return _error(rule.file, rule.line, rule.id, message)

    for pattern in rule.text:
        if len(pattern) > MAX_PATTERN:
            raise refuse(f"a text pattern of {len(pattern)} characters; at most {MAX_PATTERN}")
        try:
            compiled = re2.compile(pattern, options())
        except re2.error as error:
            why = error.args[0].decode() if isinstance(error.args[0], bytes) else error
            raise refuse(
                f"{pattern!r} is not an RE2 pattern ({why}); look-around and back-references"
                " do not exist there"
            ) from error
        if compiled.search("") is not None:
            raise refuse(f"{pattern!r} matches an empty text, so it would match everything")
    for key, codes, shape, say in (
        ("status", rule.status, _STATUS, "x.7.1"),
        ("reply", rule.reply, _REPLY, "5xx"),
    ):
        for code in codes:
            if not shape.fullmatch(code):
                raise refuse(f"{code!r} is no {key}; write it like {say!r}, x standing for any")


def _strings(value: object, key: str, refuse: Callable[[str], ConfigError]) -> tuple[str, ...]:
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or not all(isinstance(i, str) and i for i in items):
        raise refuse(f"`{key}` must be a text, or a list of texts")
    return tuple(items)


def _lowered(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(value.lower().strip(".") for value in values)


def _examples(value: object, refuse: Callable[[str], ConfigError]) -> tuple[Example, ...]:
    if not isinstance(value, list) or not value:
        raise refuse("`examples` must list at least one reply that this rule wins")
    return tuple(_example(item, refuse) for item in value)


def _example(item: object, refuse: Callable[[str], ConfigError]) -> Example:
    if isinstance(item, str):
        return Example(text=item)
    if not isinstance(item, dict) or not set(item).issubset(_EXAMPLE_KEYS):
        raise refuse(f"an example is a text, or a table of {', '.join(_EXAMPLE_KEYS)}")
    for key, value in item.items():
        if not isinstance(value, int if key == "reply" else str):
            raise refuse(f"`{key}` of an example has the wrong type")
    return Example(**item)


def _error(file: str, line: int, rule: object, message: str) -> ConfigError:
    return ConfigError(f"{file}:{line}: rule {rule!r}: {message}.")
