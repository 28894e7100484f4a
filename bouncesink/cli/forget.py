"""`bouncesink forget`: erase a person, and still mail them no more."""

from dataclasses import asdict

import click

from bouncesink.address import normalise
from bouncesink.cli.options import (
    act_options,
    an_address,
    config_options,
    existing_ledger,
    json_option,
    open_engine,
    print_json,
)
from bouncesink.cli.show import plural, safe
from bouncesink.cli.ticker import ticker
from bouncesink.config import Config
from bouncesink.errors import InputError


@click.command()
@click.argument("address")
@click.option("--undo", is_flag=True, help="Let ADDRESS be stored and mailed again.")
@act_options
@config_options
@json_option
def command(
    address: str, reason: str, actor: str, config: Config, *, undo: bool, as_json: bool
) -> int:
    """Erase ADDRESS from mails, events, leads, sends and queues; it stays suppressed.

    What stays is a keyed hash, by which `check`, the gate and the sheet know it. Not erased are the
    sheet itself (its columns of ours are emptied at the next flush), older backups, and what other
    programs were told. Exits with 1 when a reader kept traces in the WAL: run it again then.
    """
    from bouncesink.engine.forget import forget, remember
    from bouncesink.engine.review import Decision

    wanted = an_address(address)
    existing_ledger(config)
    if not undo and wanted in _own(config):
        raise InputError(f"{safe(wanted)}: is yours by the config; nearly every mail names it")
    with open_engine(config) as engine, ticker() as tick:
        decision = Decision(actor, reason)
        if undo:
            remember(engine, wanted, decision)
            click.echo(f"{safe(wanted)}: may be stored and mailed again. What was erased is gone.")
            return 0
        done = forget(engine, wanted, decision, lambda more: tick("octets of mail", more))
    if as_json:
        print_json({**asdict(done), "address": None})
        return 0 if done.wiped else 1
    click.echo(
        f"Erased as {done.name}: {plural(done.events, 'event')}, {plural(done.mails, 'mail')}, "
        f"{plural(done.leads, 'lead')}, {plural(done.sends, 'send')}, "
        f"{plural(done.actions, 'action')}; named in {plural(done.mentions, 'other row')}."
    )
    click.echo("Clear the row in the sheet by hand: it is yours. Older backups still have it all.")
    if done.undone:
        click.echo(f"Not carried out, so do it by hand: {', '.join(done.undone)}.")
    if not done.wiped:
        click.echo(
            "The log beside the ledger still has traces, as somebody reads it all the while: run "
            "this again, or wait for `bouncesink maintain`.",
            err=True,
        )
    return 0 if done.wiped else 1


def _own(config: Config) -> set[str | None]:
    """Give the addresses that we send from and take bounces at."""
    addresses = (*config.lmtp.recipients, *(each.address for each in config.mailboxes))
    return {normalise(each) for each in (*addresses, config.trust.bounce_address)}
