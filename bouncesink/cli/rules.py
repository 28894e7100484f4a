"""`bouncesink rules`: look at the rules, try them, check your own."""

from pathlib import Path

import click

from bouncesink.cli.options import config_options, json_option, print_json
from bouncesink.cli.show import plural, safe, table
from bouncesink.config import Config
from bouncesink.shape import verdict_as_json


@click.group("rules")
def command() -> None:
    """Look at the rules, try them on a text, check a file of your own."""


@command.command("list")
@config_options
@json_option
def list_(config: Config, *, as_json: bool) -> None:
    """List the rules in the order in which they are asked."""
    from bouncesink.classify import load_rules

    rules = load_rules(config.classify.rules)
    if as_json:
        for rule in rules:
            print_json({"id": rule.id, "category": rule.category, "source": rule.source})
        return
    rows = ((rule.id, rule.category.value, safe(rule.source, 70)) for rule in rules)
    click.echo(table(("rule", "category", "source"), rows))


@command.command("test")
@click.argument("text")
@click.option("--status", help="An enhanced status code (RFC 3463), as the Status field gives it.")
@config_options
@json_option
def test(text: str, status: str | None, config: Config, *, as_json: bool) -> None:
    """Say what a reply TEXT means, and which rule says so."""
    from bouncesink.classify import classify_text, load_rules

    verdict = classify_text(text, load_rules(config.classify.rules), status=status)
    if as_json:
        print_json(verdict_as_json(verdict) | {"evidence": verdict.evidence})
        return
    words = f", by the words: {safe(verdict.evidence)}" if verdict.evidence else ""
    click.echo(
        f"{verdict.severity.value} {verdict.category.value}, "
        f"the fault of: {verdict.fault.value} (rule {verdict.rule}{words})"
    )


@command.command("check")
@click.argument("path", type=click.Path(path_type=Path))
@json_option
def check(path: Path, *, as_json: bool) -> int:
    """Check a file of your own rules: each must win its own examples.

    Exits with 1 when one does not.
    """
    from bouncesink.classify import check_rules

    problems = check_rules(path)
    if as_json:
        print_json([str(problem) for problem in problems])
    else:
        for problem in problems:
            click.echo(safe(str(problem)))
        click.echo(f"{plural(len(problems), 'problem')} in {safe(str(path))}.")
    return 1 if problems else 0
