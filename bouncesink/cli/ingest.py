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
    from bouncesink.engine import utcnow
    from bouncesink.intake.events import arrivals
    from bouncesink.parse.events import split_events

    entries = list(split_events(_read(events)))
    refused = [f"entry {entry.index}: {entry.problem}" for entry in entries if entry.problem]
    for problem in refused:
        click.echo(f"bouncesink: {safe(str(events))}: {safe(problem)}", err=True)
    taken = [entry.raw for entry in entries if not entry.problem]
    with reader_pool(config) as pool, open_engine(config) as engine:
        new = engine.ledger.append(list(arrivals(taken, utcnow())))
        done = engine.drain(pool)
    if as_json:
        print_json(
            {
                "taken": len(taken),
                "new": new.count(True),
                "refused": refused,
                "events": done.events,
            }
        )
    else:
        click.echo(
            f"{plural(len(taken), 'event')} taken, {new.count(True):,} new, "
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
