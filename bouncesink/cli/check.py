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
    from bouncesink.engine.gate import reasons_of

    wanted = {given: an_address(given) for given in addresses}
    with read_ledger(config) as ledger:
        blocked = reasons_of(ledger, wanted.values(), config.policy)
    for given, address in wanted.items():
        reasons = sorted(blocked[address])
        if as_json:
            print_json({"address": address, "mailable": not reasons, "reasons": reasons})
        else:
            verdict = f"blocked: {', '.join(reasons)}" if reasons else "may be mailed"
            click.echo(f"{safe(given)}: {verdict}")
    return 1 if any(blocked.values()) else 0
