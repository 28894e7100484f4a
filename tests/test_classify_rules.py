"""The rules themselves: ours are sound, the user's are checked and go first."""

import re
from pathlib import Path

import pytest

from bouncesink.classify import check_rules, classify_text, load_rules
from bouncesink.classify.load import MAX_PATTERN, check_matchers, lost_examples
from bouncesink.classify.rules import Rules
from bouncesink.errors import ConfigError
from bouncesink.model import CATEGORIES, Category, Severity

OURS = list(load_rules())

# The IANA registry "SMTP Enhanced Status Codes", X.1 to X.7, as (subject, highest detail).
REGISTERED = [
    f"{subject}.{detail}"
    for subject, highest in {1: 10, 2: 4, 3: 6, 4: 7, 5: 6, 6: 10, 7: 30}.items()
    for detail in range(highest + 1)
]

GOOD = """
[[rule]]
id = "my-own"
category = "policy"
text = ['bad hair day']
source = "told by telephone"
examples = ["550 We have a bad hair day"]
"""


def write(tmp_path: Path, content: str) -> Path:
    path = tmp_path / "own.toml"
    path.write_text(content, encoding="utf-8")
    return path


def test_every_example_is_won_by_its_own_rule():
    assert [str(problem) for problem in lost_examples(OURS, load_rules())] == []


def test_ids_are_unique_kebab_case():
    ids = [rule.id for rule in OURS]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) for name in ids)


def test_every_rule_says_where_it_is_known_from_and_has_an_example():
    assert all(rule.source and rule.examples and rule.line for rule in OURS)


def test_patterns_are_bounded():
    for rule in OURS:
        check_matchers(rule)
    patterns = [pattern for rule in OURS for pattern in rule.text]
    # An open-ended gap could join the beginning of a long text with its end.
    assert [p for p in patterns if re.search(r"\.[*+]|\.\{\d+,\}", p)] == []


@pytest.mark.parametrize("code", REGISTERED)
def test_every_registered_enhanced_code_has_a_rule(code):
    assert any(rule.status == (f"x.{code}",) for rule in OURS)


def test_every_category_of_failures_has_a_rule():
    failures = {c for c, (severity, _) in CATEGORIES.items() if severity is not Severity.NONE}
    assert failures == {rule.category for rule in OURS}


def test_one_pass_finds_what_each_pattern_alone_finds():
    texts = load_rules()._texts
    for rule in OURS:
        for example in filter(None, (example.text for example in rule.examples)):
            assert texts.hits(example) == texts._one_by_one(example)


def test_an_automaton_that_does_not_fit_loses_no_rule(monkeypatch):
    monkeypatch.setattr("bouncesink.classify.rules._AUTOMATON_MEMORY", 1 << 20)
    cramped = Rules(tuple(OURS[:60]), (), ())
    assert cramped._texts._set is None
    assert list(lost_examples(OURS[:60], cramped)) == []


def test_the_users_rules_go_first(tmp_path):
    path = write(tmp_path, GOOD.replace("bad hair day", "user unknown"))
    said = "550 5.1.1 user unknown"
    assert classify_text(said, load_rules(path)).rule == "my-own"
    assert classify_text(said, load_rules()).category is Category.USER_UNKNOWN


def test_the_users_rules_may_ask_for_codes_and_speakers(tmp_path):
    content = """
[[rule]]
id = "only-there"
category = "rate_limited"
status = "5.1.x"
reply = ["55x"]
remote_mta = "Example.net"
reporting_mta = ["example.org"]
recognizer = ["rfc3464"]
source = "measured"
examples = [
  { text = "550 5.1.1 user unknown", remote_mta = "mx.example.net", reporting_mta = "a.example.org", recognizer = "rfc3464" },
]
"""
    path = write(tmp_path, content)
    assert check_rules(path) == []
    assert classify_text("550 5.1.1 user unknown", load_rules(path)).rule != "only-there"


def test_a_good_file_has_no_problems(tmp_path):
    assert check_rules(write(tmp_path, GOOD)) == []


def test_a_shadowed_rule_is_reported(tmp_path):
    second = GOOD.replace("my-own", "never-reached").replace("'bad hair day'", "'hair day'")
    problems = check_rules(write(tmp_path, GOOD + second))
    assert [problem.rule for problem in problems] == ["never-reached"]
    assert "my-own" in str(problems[0])
    assert "own.toml:9:" in str(problems[0])


def test_an_example_that_no_rule_meets_is_reported(tmp_path):
    path = write(tmp_path, GOOD.replace("We have a bad", "We have a good"))
    assert "no-rule" in str(check_rules(path)[0]) or "reply-550" in str(check_rules(path)[0])


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('id = "my-own"', 'id = "My Own"', ["own.toml:2", "kebab-case"]),
        ('id = "my-own"', "", ["own.toml:2", "kebab-case"]),
        ('id = "my-own"', 'id = "no-rule"', ["`id`"]),
        ('id = "my-own"', 'id = "google-no-such-user"', ["one of ours"]),
        ('"policy"', '"polcy"', ["my-own", "category", "policy"]),
        ("text =", "txt =", ["my-own", "unknown key 'txt'", "text"]),
        ("text = ['bad hair day']", "", ["nothing to match"]),
        ("'bad hair day'", "'(bad'", ["'(bad'", "RE2"]),
        ("'bad hair day'", "'(?<!x)bad'", ["look-around"]),
        ("'bad hair day'", "'(bad)?'", ["empty text"]),
        ("'bad hair day'", "'" + "x" * (MAX_PATTERN + 1) + "'", [str(MAX_PATTERN)]),
        ("'bad hair day'", "7", ["`text`", "list of texts"]),
        ("text =", 'status = "5.one"\ntext =', ["'5.one'", "status"]),
        ("text =", 'reply = "5"\ntext =', ["'5'", "reply"]),
        ("text =", "silent = 1\ntext =", ["`silent`"]),
        ('source = "told by telephone"', 'source = " "', ["`source`"]),
        ('examples = ["550 We have a bad hair day"]', "", ["`examples`"]),
        ('["550 We have a bad hair day"]', "[7]", ["example"]),
        ('["550 We have a bad hair day"]', '[{ txt = "x" }]', ["example"]),
        ('["550 We have a bad hair day"]', '[{ reply = "550" }]', ["`reply`", "type"]),
        ("[[rule]]", "[[rules]]", ["[[rule]]"]),
        ("[[rule]]", "[[rule]", ["TOML", "line 2"]),
    ],
)
def test_a_broken_file_is_refused_with_the_place_and_the_remedy(tmp_path, old, new, words):
    path = write(tmp_path, GOOD.replace(old, new))
    with pytest.raises(ConfigError) as refusal:
        load_rules(path)
    assert all(word in str(refusal.value) for word in ["own.toml", *words])


def test_an_id_given_twice_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"own\.toml:9: rule 'my-own'.*unique"):
        load_rules(write(tmp_path, GOOD + GOOD))


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="cannot read the rules"):
        load_rules(tmp_path / "absent.toml")


def test_too_many_rules_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="at most 5000"):
        load_rules(write(tmp_path, "[[rule]]\n" * 5001))
