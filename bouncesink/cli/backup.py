"""`bouncesink backup`: a checked copy of the ledger, while it is in use."""

from pathlib import Path

import click

from bouncesink.cli.options import (
    actor_option,
    config_options,
    json_option,
    open_engine,
    print_json,
)
from bouncesink.cli.show import plural, safe
from bouncesink.config import Config


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--replace", is_flag=True, help="Write over FILE, once the new copy is complete.")
@actor_option
@config_options
@json_option
def command(file: Path, actor: str, config: Config, *, replace: bool, as_json: bool) -> None:
    """Copy the ledger to FILE, as it is at one moment, while mail goes on coming in.

    FILE is complete, checked and on the disk when this says so; else there is no FILE. The key of
    forgotten addresses is not in it: keep a copy of that elsewhere (see deploy/privacy.md).
    """
    from bouncesink.engine import utcnow
    from bouncesink.ledger import AuditLine
    from bouncesink.ledger.copies import back_up
    from bouncesink.ledger.forgotten import key_path

    copied = back_up(config.ledger.path, file, replace=replace)
    with open_engine(config) as engine:
        engine.ledger.add_audit([AuditLine(utcnow(), actor, "backup", str(file.absolute()))])
    key = key_path(config.ledger.path)
    if as_json:
        print_json(
            {
                "file": str(file),
                "octets": copied.octets,
                "arrivals": copied.arrivals,
                "events": copied.events,
                "contacts": copied.contacts,
                "key": str(key) if key.exists() else None,
            }
        )
        return
    click.echo(
        f"{safe(str(file))}: {copied.octets:,} octets, checked: {plural(copied.arrivals, 'mail')}, "
        f"{plural(copied.events, 'event')}, {plural(copied.contacts, 'address', 'addresses')}."
    )
    if key.exists():
        click.echo(f"Not in it: {safe(str(key))}, which tells forgotten addresses. Keep that, too.")
