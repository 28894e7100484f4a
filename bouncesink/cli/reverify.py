"""`bouncesink reverify`: addresses to ask about by another way than mail."""

import click

from bouncesink.cli.options import (
    act_options,
    an_address,
    config_options,
    json_option,
    limit_option,
    open_engine,
    print_json,
    read_ledger,
)
from bouncesink.cli.review import say_reinstated
from bouncesink.cli.show import plural, table
from bouncesink.config import Config
from bouncesink.model import OPEN, ActionKind
from bouncesink.shape import action_as_json


@click.group("reverify")
def command() -> None:
    """Addresses that are HARD for a reason that says more of us than of them.

    The categories are those of [policy] reverify. Ask by telephone or in person; once somebody has
    answered, confirm.
    """


@command.command("list")
@limit_option(100)
@config_options
@json_option
def list_(limit: int, config: Config, *, as_json: bool) -> None:
    """List the addresses to ask about."""
    with read_ledger(config) as ledger:
        actions = ledger.list_actions(ActionKind.REVERIFY, OPEN, limit)
    if as_json:
        for action in actions:
            print_json(action_as_json(action))
        return
    rows = [
        (
            action.address,
            action.lead_id,
            action.payload.get("category"),
            action.payload.get("hard_since"),
        )
        for action in actions
    ]
    if rows:
        click.echo(table(("address", "lead", "refused as", "HARD since"), rows))
    click.echo(f"{plural(len(rows), 'address', 'addresses')} to verify.")


@command.command("confirm")
@click.argument("address")
@act_options
@config_options
def confirm(address: str, reason: str, actor: str, config: Config) -> None:
    """Reinstate ADDRESS: somebody there has answered."""
    from bouncesink.engine.review import Decision, reverify

    with open_engine(config) as engine:
        act = reverify(engine, an_address(address), Decision(actor, reason))
        contact = engine.ledger.contacts([act.address])[act.address]
    say_reinstated(contact)
