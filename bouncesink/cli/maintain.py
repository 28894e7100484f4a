"""`bouncesink maintain`: what the ledger needs done every day."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from bouncesink.cli.options import (
    config_options,
    existing_ledger,
    json_option,
    open_engine,
    print_json,
    reader_pool,
)
from bouncesink.cli.show import plural
from bouncesink.cli.ticker import ticker
from bouncesink.config import Config

if TYPE_CHECKING:  # the real import is slow, and help needs none of it
    from bouncesink.engine.retention import Maintained


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@config_options
@json_option
def command(config: Config, *, dry_run: bool, as_json: bool) -> None:
    """Keep no more than [retention] says, and empty the ledger's log.

    `serve` does it every hour, unless [retention] in_service is false. Beside a service it makes
    no mail wait: it goes in small steps.
    """
    from bouncesink.engine.retention import Retention

    existing_ledger(config)
    with reader_pool(config) as pool, open_engine(config) as engine, ticker() as tick:
        done = Retention(engine, pool, dry=dry_run, advance=tick).run()
    if as_json:
        print_json({"dry_run": dry_run, **asdict(done)})
        return
    for line in _lines(done, would=" would be" if dry_run else ""):
        click.echo(line)


def _lines(done: "Maintained", would: str) -> list[str]:
    said = [
        (done.bodies_cut, "returned body", "returned bodies", "cut"),
        (done.raw_cut, "mail", "mails", "cut to headers and delivery status"),
        (done.raw_erased, "mail", "mails", "erased; what it said is in its events"),
        (done.events_removed, "old event", "old events", "deleted"),
        (done.events_cut, "old event", "old events", "cut to what counts"),
        (done.webhooks_removed, "old webhook call", "old webhook calls", "deleted"),
    ]
    lines = [f"{plural(n, one, many)}{would} {what}." for n, one, many, what in said if n]
    if done.bodies_uncut:
        lines.append(
            f"{plural(done.bodies_uncut, 'mail')} would read differently without the returned "
            "body: kept whole for now."
        )
    if not done.wal_emptied:
        lines.append("The log beside the ledger is being read: it is emptied another time.")
    return lines or ["Nothing to do."]
