"""`bouncesink postcards`: the leads that e-mail does not reach any more."""

from pathlib import Path

import click

from bouncesink.cli.options import config_options, json_option, open_engine, print_json
from bouncesink.cli.show import plural, safe
from bouncesink.config import Config
from bouncesink.errors import InputError


@click.group("postcards")
def command() -> None:
    """Reach HARD leads by post: the mailing address still works."""


@command.command("next")
@click.option(
    "--leads",
    type=click.Path(path_type=Path),
    help="The sheet as CSV, with the mailing addresses.  [default: the config's sheet]",
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="The file.  [default: postcards-ROUND.csv]"
)
@config_options
@json_option
def next_(leads: Path | None, out: Path | None, config: Config, *, as_json: bool) -> None:
    """Write the next round: HARD leads that meet the criteria and were in no round yet.

    The criteria are the columns of [postcards] required_columns, which must be filled.
    """
    from bouncesink.outbox.postcards import next_round, read_leads

    if leads is None and config.sheets.spreadsheet:
        raise InputError(
            "the mailing addresses are in Google: download the tab as CSV, --leads FILE"
        )
    known = read_leads(config, leads or config.sheet.path)
    with open_engine(config) as engine:
        made = next_round(engine.ledger, known, Path(), engine.clock(), out)
    waiting = f"{plural(made.left, 'HARD lead')} not eligible yet."
    if as_json:
        print_json(
            {
                "round": made.name if made.path else None,
                "file": str(made.path) if made.path else None,
                "leads": made.leads,
                "not_eligible": made.left,
            }
        )
    elif made.path is None:
        click.echo(f"Nobody is to be written to; {waiting}")
    else:
        click.echo(f"{safe(str(made.path))}: {plural(made.leads, 'lead')}; {waiting}")
