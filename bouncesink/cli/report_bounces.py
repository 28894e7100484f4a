"""`bouncesink report-bounces`: the whole ledger as JSON."""

import json

import click

from bouncesink.cli.options import config_options, json_option, read_ledger
from bouncesink.config import Config
from bouncesink.shape import contact_as_json, event_as_json

_BATCH = 500


@click.command()
@config_options
@json_option
def command(config: Config, *, as_json: bool) -> None:  # noqa: ARG001 - it is JSON either way
    """Print every address with its state and all its events: a JSON array, one address a line."""
    between = "["
    with read_ledger(config) as ledger:
        for contacts in ledger.all_contacts(_BATCH):
            events = ledger.events_of(contact.address for contact in contacts)
            for contact in contacts:
                shape = contact_as_json(contact)
                shape["events"] = [event_as_json(e) for e in events.get(contact.address, [])]
                click.echo(f"{between}\n{json.dumps(shape)}", nl=False)
                between = ","
    click.echo("[]" if between == "[" else "\n]")
