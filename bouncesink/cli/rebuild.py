"""`bouncesink rebuild`: read all stored arrivals again, with today's rules."""

import click

from bouncesink.cli.options import (
    actor_option,
    config_options,
    json_option,
    open_engine,
    print_json,
    reader_pool,
)
from bouncesink.cli.show import plural, safe, table
from bouncesink.config import Config
from bouncesink.model import Contact
from bouncesink.shape import contact_as_json


@click.command()
@click.option("--apply", is_flag=True, help="Write the changes, not only show them.")
@actor_option
@config_options
@json_option
def command(actor: str, config: Config, *, apply: bool, as_json: bool) -> int:
    """Read every stored arrival with today's rules, and show which addresses would change.

    What operators did stays in force.
    """
    from bouncesink.engine.rebuild import rebuild
    from bouncesink.ledger import AuditLine

    with reader_pool(config) as pool, open_engine(config) as engine:
        changes = rebuild(engine, pool, apply=apply)
        if apply:
            after = plural(len(changes), "address changed", "addresses changed")
            engine.ledger.add_audit([AuditLine(engine.clock(), actor, "rebuild", after=after)])
    if as_json:
        for change in changes:
            print_json(
                {"before": contact_as_json(change.before), "after": contact_as_json(change.after)}
            )
        return 0
    rows = [
        (safe(change.after.address, 44), _state(change.before), _state(change.after))
        for change in changes
    ]
    if rows:
        click.echo(table(("address", "is", "becomes"), rows) + "\n")
    count = plural(len(changes), "address changes", "addresses change")
    if not changes:
        click.echo("Nothing changes.")
    elif apply:
        click.echo(f"{count}: done.")
    else:
        click.echo(f"{count}. Nothing is written yet: `bouncesink rebuild --apply` does it.")
    return 0


def _state(contact: Contact) -> str:
    kind = contact.bounce_type or "no bounce"
    last = f", the last on {contact.last_bounce_at.date()}" if contact.last_bounce_at else ""
    strikes = f", {plural(contact.strikes, 'strike')}" if contact.strikes else ""
    blocked = "" if contact.mailable else f", blocked ({', '.join(sorted(contact.suppressed))})"
    return f"{kind}, {contact.bounce_count} counted{last}{strikes}{blocked}"
