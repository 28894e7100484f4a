"""A rule, and an ordered set of them that is matched in one pass."""

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bouncesink.classify.facts import Facts
from bouncesink.model import Category

# RE2 keeps its automaton within this many octets, and starts afresh when it is full.
_AUTOMATON_MEMORY = 64 << 20


@dataclass(frozen=True, slots=True)
class Example:
    """A reply that the rule must win, with whatever else the rule asks for."""

    text: str = ""
    status: str | None = None
    reply: int | None = None
    remote_mta: str | None = None
    reporting_mta: str | None = None
    recognizer: str = ""
    sender: str | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """What is matched, and the category it means. All that is given must match.

    `text` are RE2 patterns, any of which may match; `status` and `reply` are codes with `x` for any
    digits (`x.7.1`, `5xx`); `remote_mta` and `reporting_mta` are domains, met by their hosts too.
    `silent` asks for a report without a single word.
    """

    id: str
    category: Category
    source: str
    examples: tuple[Example, ...]
    file: str
    line: int
    text: tuple[str, ...] = ()
    status: tuple[str, ...] = ()
    reply: tuple[str, ...] = ()
    remote_mta: tuple[str, ...] = ()
    reporting_mta: tuple[str, ...] = ()
    recognizer: tuple[str, ...] = ()
    silent: bool = False

    def meets(self, facts: Facts) -> bool:
        """Say whether everything but the text matches."""
        return (
            not (self.silent and facts.text)
            and (not self.status or _like(facts.code or facts.status, self.status))
            and (not self.reply or _like(facts.reply, self.reply))
            and (not self.remote_mta or _within(facts.remote_mta, self.remote_mta))
            and (not self.reporting_mta or _within(facts.reporting_mta, self.reporting_mta))
            and (not self.recognizer or facts.recognizer in self.recognizer)
        )

    def words(self, text: str) -> str:
        """Give the words of `text` that this rule is about."""
        found = _compiled(self.text).search(_octets(text)) if self.text else None
        return found.group().decode("utf-8", "replace") if found else ""


class Rules:
    """Rules in the order of evidence: those that need a wording or a speaker, then bare codes."""

    def __init__(
        self, spoken: tuple[Rule, ...], enhanced: tuple[Rule, ...], replies: tuple[Rule, ...]
    ) -> None:
        self._all = (*spoken, *enhanced, *replies)
        self._spoken = spoken
        self._texts = _Texts(spoken)
        self._enhanced = _Codes(enhanced, [rule.status for rule in enhanced])
        self._replies = _Codes(replies, [rule.reply for rule in replies])

    def __iter__(self) -> Iterator[Rule]:
        return iter(self._all)

    def spoken(self, facts: Facts) -> Rule | None:
        """Give the first rule whose wording, and all else it asks for, is met."""
        hits = self._texts.hits(facts.text)
        return next((self._spoken[i] for i in hits if self._spoken[i].meets(facts)), None)

    def enhanced(self, code: str | None) -> Rule | None:
        return self._enhanced.first(code)

    def reply(self, code: str | None) -> Rule | None:
        return self._replies.first(code)


class _Texts:
    """All wordings as one RE2 set: time linear in the text, however many rules there are."""

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self._wordless = [i for i, rule in enumerate(rules) if not rule.text]
        self._patterns = {i: rule.text for i, rule in enumerate(rules) if rule.text}
        self._worded = list(self._patterns)
        self._set, self._canary = self._compile()

    def _compile(self) -> tuple[Any, int]:
        import re2

        together = re2.Set.SearchSet(options())
        for patterns in self._patterns.values():
            together.Add(_joined(patterns))
        # A set whose automaton runs out of memory over a text gives nothing at all, and no error:
        # this last pattern matches every text, so that its absence tells.
        canary = together.Add("(?s).")
        try:
            together.Compile()
        except re2.error:
            return None, canary
        return together, canary

    def hits(self, text: str) -> list[int]:
        """Give the indexes of the rules whose text matches or who have none, in order."""
        if not text:
            return self._wordless
        found = self._set.Match(_octets(text)) if self._set else None
        if not found or self._canary not in found:
            return self._one_by_one(text)
        return sorted([*self._wordless, *(self._worded[i] for i in found if i != self._canary)])

    def _one_by_one(self, text: str) -> list[int]:
        """Do the same for more patterns than fit into one automaton: slower, and never less."""
        octets = _octets(text)
        worded = [i for i, parts in self._patterns.items() if _compiled(parts).search(octets)]
        return sorted([*self._wordless, *worded])


class _Codes:
    """A table of codes with wildcards; the first line that fits is the one."""

    def __init__(self, rules: tuple[Rule, ...], codes: list[tuple[str, ...]]) -> None:
        self._rules = rules
        self._pattern = re.compile("|".join(f"({_any_of(wanted)})" for wanted in codes))

    def first(self, code: str | None) -> Rule | None:
        found = self._pattern.fullmatch(code) if code and self._rules else None
        return self._rules[found.lastindex - 1] if found and found.lastindex else None


def options() -> Any:
    """Give the RE2 options that every pattern is compiled with."""
    import re2

    chosen = re2.Options()
    chosen.case_sensitive = False
    chosen.max_mem = _AUTOMATON_MEMORY
    chosen.log_errors = False
    return chosen


def _octets(text: str) -> bytes:
    """Give what RE2 works on: of a str it would also count the characters, in Python."""
    return text.encode("utf-8", "replace")


def _joined(patterns: tuple[str, ...]) -> str:
    return "|".join(f"(?:{part})" for part in patterns)


@functools.lru_cache(maxsize=8192)
def _compiled(patterns: tuple[str, ...]) -> Any:
    import re2

    return re2.compile(_joined(patterns), options())


def _any_of(wanted: tuple[str, ...]) -> str:
    return "|".join(re.escape(code).replace("x", r"\d+") for code in wanted)


@functools.lru_cache(maxsize=1024)
def _code_pattern(wanted: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(_any_of(wanted))


def _like(code: str | None, wanted: tuple[str, ...]) -> bool:
    return code is not None and _code_pattern(wanted).fullmatch(code) is not None


def _within(host: str | None, domains: tuple[str, ...]) -> bool:
    return host is not None and any(f".{host}".endswith(f".{domain}") for domain in domains)
