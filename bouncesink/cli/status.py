"""`bouncesink status`: how it stands, and what wants a person."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import click

from bouncesink.cli.options import config_options, json_option, print_json, read_ledger
from bouncesink.cli.show import plural, safe, when
from bouncesink.config import Config
from bouncesink.ledger import ArrivalState, Settlement, Totals
from bouncesink.model import Action, ActionKind, ActionState
from bouncesink.shape import time_as_json

_OPEN = (ActionState.PENDING, ActionState.APPROVED, ActionState.CLAIMED)
_CONFIRMATIONS = 5
_LATEST = 200
"""How many of the latest actions in trouble are looked at."""
_MOST_ERRORS = 5


@click.command()
@config_options
@json_option
def command(config: Config, *, as_json: bool) -> None:
    """Say what is wrong and what to do about it, how much the ledger holds, and what waits."""
    from bouncesink.engine.problems import facts, problems

    with read_ledger(config) as ledger:
        totals = ledger.totals()
        confirmations = ledger.confirmations(_CONFIRMATIONS)
        troubled = ledger.troubled_actions(_LATEST)
        known = facts(ledger, config, datetime.now(UTC))
    found = problems(known, config)
    errors = _errors(troubled)
    if as_json:
        print_json(
            _as_json(config, totals, confirmations)
            | {
                "troubles": [
                    {"part": each.part, "since": time_as_json(each.since), "text": each.text}
                    for each in known.troubles
                ],
                "errors": errors,
                "problems": [
                    {"what": each.what, "since": time_as_json(each.since), "do": each.do}
                    for each in found
                ],
            }
        )
        return
    for each in found:
        since = f" since {when(each.since)}" if each.since else ""
        click.echo(f"TROUBLE{since}: {safe(each.what, 500)}")
        click.echo(f"  {safe(each.do)}")
    for line in _lines(config, totals, confirmations):
        click.echo(line)
    if errors:
        click.echo("The latest errors of the queues (`bouncesink queue list` shows all)")
    for error in errors[:_MOST_ERRORS]:
        click.echo(f"  {error['kind']}: {safe(error['error'], 300)}")


def _lines(config: Config, totals: Totals, confirmations: Sequence[Settlement]) -> Iterator[str]:
    yield f"Ledger {safe(str(config.ledger.path))}"
    yield (
        f"  {plural(sum(totals.arrivals.values()), 'arrival')}, "
        f"the last {when(totals.last_arrival_at)}"
    )
    pending = totals.arrivals.get(ArrivalState.PENDING, 0)
    if pending:
        yield (
            f"  {pending:,} not read yet, the oldest of {when(totals.oldest_pending_at)}: "
            "`bouncesink serve` reads them"
        )
    severities = ", ".join(f"{n:,} {name}" for name, n in totals.severities.items() if n)
    yield f"  {plural(totals.events, 'event')}" + (f": {severities}" if severities else "")
    yield (
        f"  {plural(totals.contacts, 'address', 'addresses')}, "
        f"{totals.suppressed:,} of them must not be mailed; {plural(totals.leads, 'lead')}"
    )
    queues = _queues(totals)
    if queues:
        yield "Waiting for a person or a program"
        for kind, count in queues.items():
            yield f"  {count:,} {kind}"
    failed = sum(n for (_, state), n in totals.actions.items() if state is ActionState.FAILED)
    if failed:
        yield f"  {failed:,} failed for good"
    if confirmations:
        yield "Gmail asks to confirm a forwarding rule (nothing is forwarded until you do)"
        for each in confirmations:
            yield f"  code {safe(each.confirmation_code)}  {safe(each.confirmation_link)}"


def _errors(actions: Sequence[Action]) -> list[dict[str, str]]:
    """Give the errors of these actions, each once for its queue, in their order."""
    found = dict.fromkeys((action.kind, action.last_error or "") for action in actions)
    return [{"kind": kind, "error": error} for kind, error in found]


def _queues(totals: Totals) -> dict[ActionKind, int]:
    counts = {
        kind: sum(totals.actions.get((kind, state), 0) for state in _OPEN) for kind in ActionKind
    }
    return {kind: count for kind, count in counts.items() if count}


def _as_json(config: Config, totals: Totals, confirmations: Sequence[Settlement]) -> dict[str, Any]:
    return {
        "ledger": str(config.ledger.path),
        "arrivals": totals.arrivals,
        "last_arrival_at": time_as_json(totals.last_arrival_at),
        "oldest_pending_at": time_as_json(totals.oldest_pending_at),
        "kinds": totals.kinds,
        "events": totals.events,
        "severities": totals.severities,
        "addresses": totals.contacts,
        "suppressed": totals.suppressed,
        "leads": totals.leads,
        "actions": [
            {"kind": kind, "state": state, "count": count}
            for (kind, state), count in sorted(totals.actions.items())
            if count
        ],
        "confirmations": [
            {"code": each.confirmation_code, "link": each.confirmation_link}
            for each in confirmations
        ],
    }
