"""`bouncesink check`: whether an address may be mailed."""

import click

from bouncesink.address import normalise
from bouncesink.cli.options import config_options, json_option, print_json, read_ledger
from bouncesink.cli.show import safe
from bouncesink.config import Config
from bouncesink.errors import InputError
from bouncesink.model import Contact


@click.command()
@click.argument("addresses", nargs=-1, required=True, metavar="ADDRESS...")
@config_options
@json_option
def command(addresses: tuple[str, ...], config: Config, *, as_json: bool) -> int:
    """Say whether each ADDRESS may be mailed, and why not.

    Exits with 0 when all may be, with 1 when one may not. An address that no bounce was about may
    be mailed.
    """
    wanted = {}
    for given in addresses:
        address = normalise(given)
        if address is None:
            raise InputError(f"{given!r} is not an e-mail address")
        wanted[given] = address
    with read_ledger(config) as ledger:
        known = ledger.contacts(wanted.values())
    mailable = True
    for given, address in wanted.items():
        contact = known.get(address, Contact(address))
        mailable = mailable and contact.mailable
        reasons = sorted(contact.suppressed)
        if as_json:
            print_json({"address": address, "mailable": contact.mailable, "reasons": reasons})
        else:
            verdict = "may be mailed" if contact.mailable else f"blocked: {', '.join(reasons)}"
            click.echo(f"{safe(given)}: {verdict}")
    return 0 if mailable else 1
