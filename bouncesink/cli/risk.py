"""`bouncesink risk`: what speaks against an address before it is mailed."""

import click

from bouncesink.cli.options import an_address, config_options, json_option, print_json, read_ledger
from bouncesink.cli.show import safe
from bouncesink.config import Config
from bouncesink.errors import InputError


@click.command()
@click.argument("addresses", nargs=-1, required=True, metavar="ADDRESS...")
@click.option("--dns", "ask_dns", is_flag=True, help="Ask the DNS for the domain's MX, too.")
@config_options
@json_option
def command(addresses: tuple[str, ...], config: Config, *, ask_dns: bool, as_json: bool) -> int:
    """Say from 0 to 100 what speaks against mailing each ADDRESS, and why.

    From what the ledger knows of it and of its domain. Exits with 1 when one is blocked (100).
    """
    from bouncesink.engine import utcnow
    from bouncesink.engine.risk import Assessor

    try:
        wanted = {given: an_address(given) for given in addresses}
    except InputError as error:
        raise InputError(f"{error}; it would be refused before it is sent") from None
    with read_ledger(config) as ledger:
        found = Assessor(ledger, config, utcnow(), ask_dns=ask_dns).assess(wanted.values())
    for given, address in wanted.items():
        risk = found[address]
        if as_json:
            print_json(
                {
                    "address": address,
                    "score": risk.score,
                    "level": risk.level,
                    "reasons": [{"points": g.points, "words": g.words} for g in risk.grounds],
                }
            )
            continue
        click.echo(f"{safe(given)}: {risk.score}, {risk.level}")
        for ground in risk.grounds:
            click.echo(f"  {ground.points:3}  {ground.words}")
    return 1 if any(risk.level == "blocked" for risk in found.values()) else 0
