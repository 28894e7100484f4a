"""`bouncesink check`: whether an address may be mailed."""

import click

from bouncesink.cli.options import an_address, config_options, json_option, print_json, read_ledger
from bouncesink.cli.show import safe
from bouncesink.config import Config


@click.command()
@click.argument("addresses", nargs=-1, required=True, metavar="ADDRESS...")
@config_options
@json_option
def command(addresses: tuple[str, ...], config: Config, *, as_json: bool) -> int:
    """Say whether each ADDRESS may be mailed, and why not.

    Exits with 0 when all may be, with 1 when one may not. An address that no bounce was about may
    be mailed.
    """
    from bouncesink.engine.answers import answers

    wanted = {given: an_address(given) for given in addresses}
    with read_ledger(config) as ledger:
        found = answers(ledger, wanted.values(), config)
    for given, address in wanted.items():
        answer = found[address]
        if as_json:
            print_json(answer.as_json())
        else:
            reasons = ", ".join(answer.reasons)
            click.echo(f"{safe(given)}: {f'blocked: {reasons}' if reasons else 'may be mailed'}")
    return 0 if all(answer.mailable for answer in found.values()) else 1
