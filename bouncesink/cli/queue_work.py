"""`bouncesink queue work`: do now what programs can do."""

from typing import TYPE_CHECKING

import click

from bouncesink.cli.options import config_options, open_engine
from bouncesink.cli.show import plural, safe
from bouncesink.config import Config
from bouncesink.errors import InputError
from bouncesink.model import Action

if TYPE_CHECKING:  # the real imports are slow, and help needs none of them
    from bouncesink.ledger import Ledger
    from bouncesink.outbox.worker import Outcome, QueueSink

_EVERY = 1_000_000


@click.command("work")
@click.option("--kind", help="Only of this kind.")
@click.option("--dry-run", is_flag=True, help="Only show what would be done.")
@config_options
def work(kind: str | None, config: Config, *, dry_run: bool) -> int:
    """Do now what programs can do: what `serve` does all the time.

    Exits with 1 when something failed for good, and with 4 when a service has trouble.
    """
    from bouncesink.engine import utcnow
    from bouncesink.outbox.sinks import only_shows, open_sinks

    sinks = [sink for sink in open_sinks(config, utcnow) if kind in (None, sink.kind)]
    if not sinks:
        raise InputError(
            "no program works this queue: see [hubspot], [smartlead] and [webhooks] of the config"
        )
    codes = []
    with open_engine(config) as engine:
        for sink in sinks:
            show_only = dry_run or only_shows(config, sink)
            if show_only and not dry_run:
                click.echo(f"[{sink.name}] dry_run = true: nothing is changed.")
            do = _rehearse if show_only else _work
            codes.append(do(engine.ledger, sink))
    return max(codes)


def _rehearse(ledger: "Ledger", sink: "QueueSink") -> int:
    """Show what a sink would do; it may look things up, and changes nothing."""
    from bouncesink.engine import utcnow

    count = 0

    def may(_: Action, words: str) -> bool:
        nonlocal count
        count += 1
        click.echo(f"would call: {safe(words)}")
        return False

    actions = ledger.due_actions(sink.kind, sink.takes, utcnow(), _EVERY)
    for start in range(0, len(actions), sink.batch):
        for action, outcome in sink.perform(actions[start : start + sink.batch], may):
            click.echo(f"{safe(action.key)}: {safe(_told(outcome))}")
    click.echo(
        f"{sink.name}: {plural(len(actions), 'action')} due, {plural(count, 'call')} to make."
    )
    return 0


def _work(ledger: "Ledger", sink: "QueueSink") -> int:
    """Carry out what is due; say what came of each."""
    from bouncesink.engine import utcnow
    from bouncesink.errors import PermanentSinkError
    from bouncesink.outbox.worker import Done, Worker

    worker = Worker(ledger, sink, utcnow)
    outcomes: list[Outcome] = []
    more = True
    while more:
        more = worker.step()
        for action, outcome in worker.outcomes:
            click.echo(f"{safe(action.key)}: {safe(_told(outcome))}")
        outcomes += (outcome for _, outcome in worker.outcomes)
    done = sum(isinstance(outcome, Done) for outcome in outcomes)
    failed = sum(isinstance(outcome, PermanentSinkError) for outcome in outcomes)
    later = len(outcomes) - done - failed
    click.echo(f"{sink.name}: {done:,} done, {failed:,} failed, {later:,} to be tried again.")
    return 4 if worker.trouble else 1 if failed or later else 0


def _told(outcome: "Outcome") -> str:
    from bouncesink.outbox.worker import Done

    return outcome.words if isinstance(outcome, Done) else str(outcome)
