"""`bouncesink verp`: return paths that prove a bounce is about mail we sent."""

import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime

import click

from bouncesink.address import normalise
from bouncesink.cli.options import an_address, config_options, json_option, print_json
from bouncesink.cli.show import safe
from bouncesink.config import Config
from bouncesink.errors import ConfigError, InputError


@click.group("verp")
def command() -> None:
    """Sign return paths and check them (variable envelope return paths, VERP)."""


@command.command("sign")
@click.argument("addresses", nargs=-1, required=True, metavar="ADDRESS...")
@click.option("--bounce-address", help="Where bounces come home.  [default: the config's]")
@click.option("--separator", type=click.Choice(["+", "-"]), default="+", show_default=True)
@config_options
@json_option
def sign(
    addresses: tuple[str, ...],
    bounce_address: str | None,
    separator: str,
    config: Config,
    *,
    as_json: bool,
) -> None:
    """Print the envelope sender for mail to each ADDRESS, sent today; - reads them from stdin."""
    from bouncesink.verp import return_path

    key, today = _keys(config)[0], _today()
    home = bounce_address or config.trust.bounce_address or next(iter(config.lmtp.recipients), "")
    if not home:
        raise ConfigError(
            "no address for bounces is configured. In the config file: "
            '[trust] bounce_address = "bounces@example.com"'
        )
    for address in _given(addresses):
        try:
            path = return_path(home, address, key, today, separator)
        except ValueError as error:
            raise InputError(str(error)) from None
        if as_json:
            print_json({"address": normalise(address), "return_path": path})
        else:
            click.echo(path)


@command.command("verify")
@click.argument("recipient")
@click.argument("address")
@config_options
@json_option
def verify(recipient: str, address: str, config: Config, *, as_json: bool) -> int:
    """Say whether a bounce that came for RECIPIENT proves that we mailed ADDRESS.

    Exits with 1 when it does not.
    """
    from bouncesink.verp import Check, token_of, verify

    wanted, token = an_address(address), token_of(recipient)
    check = token and verify(token, wanted, _keys(config), _today(), config.trust.verp_max_age_days)
    words = {
        Check.VALID: f"we mailed {address}",
        Check.OTHER_ADDRESS: f"signed by us, but not for {address}",
        Check.EXPIRED: "signed by us for this address, but not within "
        f"{config.trust.verp_max_age_days} days",
        Check.NOT_OURS: "not signed by us",
    }
    if as_json:
        print_json({"recipient": recipient, "address": address, "check": check})
    else:
        said = words[Check(check)] if check else "there is no token in it"
        click.echo(f"{safe(recipient)}: {safe(said)}")
    return 0 if check is Check.VALID else 1


def _keys(config: Config) -> tuple[bytes, ...]:
    from bouncesink.engine import verp_keys

    keys = verp_keys(config)
    if not keys:
        raise ConfigError(
            "no key is configured. `openssl rand -hex 32 > verp.key` makes one; "
            'then, in the config file: [trust] verp_key_file = "verp.key"'
        )
    return keys


def _given(addresses: Iterable[str]) -> Iterator[str]:
    for address in addresses:
        if address == "-":
            yield from (line.strip() for line in sys.stdin if line.strip())
        else:
            yield address


def _today() -> date:
    return datetime.now(UTC).date()
