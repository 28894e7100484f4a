"""`bouncesink audit`: what operators did."""

from dataclasses import asdict
from datetime import UTC, datetime

import click

from bouncesink.cli.options import config_options, json_option, print_json, read_ledger
from bouncesink.cli.show import plural, safe, table, when
from bouncesink.config import Config
from bouncesink.shape import time_as_json


@click.command()
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]),
    default="1990-01-01",
    help="From this day on (UTC).",
)
@config_options
@json_option
def command(since: datetime, config: Config, *, as_json: bool) -> None:
    """List what operators did, oldest first: who, when, what, on what, and why.

    Lines are only ever added; `forget` puts a hash in the place of an address.
    """
    rows = []
    with read_ledger(config) as ledger:
        for line in ledger.audit(since.replace(tzinfo=UTC)):
            if as_json:
                print_json(asdict(line) | {"at": time_as_json(line.at)})
                continue
            change = " -> ".join(filter(None, (line.before, line.after)))
            rows.append(
                (
                    when(line.at),
                    safe(line.actor, 30),
                    line.act,
                    safe(line.subject, 60),
                    safe(line.reason, 60),
                    safe(change, 40),
                )
            )
    if as_json:
        return
    if rows:
        click.echo(table(("when", "who", "what", "on what", "why", "change"), rows))
    click.echo(f"{plural(len(rows), 'act')}.")
