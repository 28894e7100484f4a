"""The order of evidence. Pure: the same report, notice and rules give the same verdict."""

from collections.abc import Mapping

from bouncesink.classify.facts import Facts, facts_of
from bouncesink.classify.rules import Example, Rule, Rules
from bouncesink.classify.standin import delivery_agent_words, stand_in
from bouncesink.model import (
    CATEGORIES,
    Category,
    DsnAction,
    Kind,
    Notice,
    Report,
    Severity,
    Verdict,
)

_KINDS: Mapping[Kind, Category] = {
    Kind.FEEDBACK: Category.COMPLAINT,
    Kind.AUTO_REPLY: Category.AUTO_REPLY,
    Kind.CHALLENGE: Category.CHALLENGE,
    Kind.DISPOSITION: Category.DISPOSITION,
    Kind.FORWARDING_CONFIRMATION: Category.FORWARDING_CONFIRMATION,
    Kind.UNSUBSCRIBE: Category.UNSUBSCRIBE,
    Kind.DROPPED: Category.DROPPED,
    Kind.TEST_EVENT: Category.TEST_EVENT,
    Kind.HUMAN: Category.UNKNOWN,
    Kind.UNREADABLE: Category.UNKNOWN,
}
# RFC 5965 (abuse, fraud, virus, other), its drafts (opt-out), RFC 6430 and RFC 6591.
_FEEDBACK: Mapping[str, Category] = {
    "opt-out": Category.UNSUBSCRIBE,
    "opt-out-list": Category.UNSUBSCRIBE,
    "not-spam": Category.DISPOSITION,
    "auth-failure": Category.AUTHENTICATION,
}
_ACTIONS: Mapping[DsnAction, Category] = {
    DsnAction.DELAYED: Category.DELAYED,
    DsnAction.DELIVERED: Category.DELIVERED,
    DsnAction.RELAYED: Category.RELAYED,
    DsnAction.EXPANDED: Category.EXPANDED,
}
# A temporary reply never condemns an address (RFC 5321, section 4.2.1): what it may mean instead.
_TEMPORARY: Mapping[Category, Category] = {
    Category.USER_UNKNOWN: Category.MAILBOX_INACTIVE_TEMPORARILY,
    Category.MAILBOX_DISABLED: Category.MAILBOX_INACTIVE_TEMPORARILY,
    Category.DOMAIN_UNKNOWN: Category.DNS_TEMPORARY,
    Category.DOMAIN_NO_MAIL: Category.DNS_TEMPORARY,
}
_NO_RECIPIENT, _NO_RULE = "no-recipient", "no-rule"
_NULL_SENDER = "original-null-sender"

RESERVED = frozenset(
    {_NO_RECIPIENT, _NO_RULE, _NULL_SENDER}
    | {f"kind-{kind.replace('_', '-')}" for kind in Kind}
    | {f"action-{action}" for action in DsnAction}
)


def classify(report: Report | None, notice: Notice, rules: Rules) -> Verdict:
    """Say what a report means. Never raises; what no rule knows is UNKNOWN, for a person."""
    if notice.kind in _KINDS:
        return _of_kind(notice)
    if notice.original.null_sender:
        return Verdict(Category.BOUNCE_OF_BOUNCE, _NULL_SENDER)
    if report is None:
        return Verdict(Category.UNKNOWN, _NO_RECIPIENT)
    if report.action in _ACTIONS:
        action = report.action
        return Verdict(_ACTIONS[action], f"action-{action}", evidence=f"Action: {action}")
    said = delivery_agent_words(notice) or report.diagnostic or ""
    sender = notice.original.from_
    verdict = _of_reply(facts_of(report, said, sender), rules)
    other = stand_in(report, notice) if verdict.category is Category.UNKNOWN else ""
    if not other:
        return verdict
    second = _of_reply(facts_of(report, other, sender), rules)
    return verdict if second.category is Category.UNKNOWN else second


def classify_text(text: str, rules: Rules, *, status: str | None = None) -> Verdict:
    """Say what a reply means that was pasted by a person."""
    return judge_example(Example(text=text, status=status), rules)


def judge_example(example: Example, rules: Rules) -> Verdict:
    """Say what an example means: a failure, with no notice around it."""
    report = Report(
        recipient="someone@example.com",
        action=DsnAction.FAILED,
        recognizer=example.recognizer,
        status=example.status,
        reply_code=example.reply,
        diagnostic=example.text or None,
        remote_mta=example.remote_mta,
        reporting_mta=example.reporting_mta,
    )
    return _of_reply(facts_of(report, example.text, example.sender), rules)


def _of_kind(notice: Notice) -> Verdict:
    category = _KINDS[notice.kind]
    if notice.kind is Kind.FEEDBACK and notice.feedback_type:
        category = _FEEDBACK.get(notice.feedback_type.strip().lower(), category)
    name = f"kind-{notice.kind.replace('_', '-')}"
    return Verdict(category, name, evidence=(notice.feedback_type or "")[:80])


def _of_reply(facts: Facts, rules: Rules) -> Verdict:
    rule = rules.spoken(facts)
    if rule is not None:
        return _by(rule, facts, rule.words(facts.text))
    codes = (
        (rules.enhanced(facts.code), facts.code),
        (rules.enhanced(facts.status), facts.status),
        (rules.reply(facts.reply), facts.reply),
    )
    found = [_by(rule, facts, code or "") for rule, code in codes if rule is not None]
    if not found:
        return Verdict(Category.UNKNOWN, _NO_RULE, evidence=facts.text[:200])
    # A code that says nothing must not silence a later one that does.
    return next((v for v in found if v.category is not Category.UNKNOWN), found[0])


def _by(rule: Rule, facts: Facts, evidence: str) -> Verdict:
    category = rule.category
    if facts.temporary and CATEGORIES[category][0] is Severity.HARD:
        category = _TEMPORARY.get(category, Category.UNKNOWN)
    return Verdict(category, rule.id, evidence=evidence[:200])
