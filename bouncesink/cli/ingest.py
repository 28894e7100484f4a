"""`bouncesink ingest`: bounces that another program wrote down as JSON."""

from pathlib import Path

import click

from bouncesink.cli.options import config_options, json_option, open_engine, print_json, reader_pool
from bouncesink.cli.show import plural, safe
from bouncesink.config import Config
from bouncesink.errors import InputError

MAX_SIZE = 500_000_000
"""Octets of an events file that are read at once."""


@click.command()
@click.option(
    "--events",
    required=True,
    type=click.Path(path_type=Path, allow_dash=True),
    help="An array of events, or one object a line; - for standard input.",
)
@config_options
@json_option
def command(events: Path, config: Config, *, as_json: bool) -> int:
    """Take bounces from an events file into the ledger.

    An event is {"email", "date", "code" | "status" | "reply", "message_id", "diagnostic"?,
    "type"?, "campaign"?, "source"?}. One that is not right is refused by its index, and the rest
    go in.
    """
    from bouncesink.intake.events import arrivals_of

    arrivals, refused = arrivals_of(_read(events))
    for problem in refused:
        click.echo(f"bouncesink: {safe(str(events))}: {safe(problem)}", err=True)
    with reader_pool(config) as pool, open_engine(config) as engine:
        new = engine.ledger.append(arrivals)
        done = engine.drain(pool)
    if as_json:
        print_json(
            {
                "taken": len(arrivals),
                "new": new.count(True),
                "refused": list(refused),
                "events": done.events,
            }
        )
    else:
        click.echo(
            f"{plural(len(arrivals), 'event')} taken, {new.count(True):,} new, "
            f"{len(refused):,} refused."
        )
    return 1 if refused else 0


def _read(path: Path) -> bytes:
    try:
        with click.open_file(str(path), "rb") as file:
            data: bytes = file.read(MAX_SIZE + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    if len(data) > MAX_SIZE:
        raise InputError(f"{path}: is over {MAX_SIZE:,} octets; split it")
    return data
