"""PURE. Report -> Verdict, by rules that are data."""

from bouncesink.classify.judge import classify, classify_text
from bouncesink.classify.load import Problem, check_rules, load_rules
from bouncesink.classify.rules import Rule, Rules

__all__ = ["Problem", "Rule", "Rules", "check_rules", "classify", "classify_text", "load_rules"]
