"""`bouncesink restore`: a backup becomes the ledger."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

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
from bouncesink.errors import LedgerBusy, LedgerError

if TYPE_CHECKING:  # the real imports are slow, and help needs none of them
    from bouncesink.engine import Engine
    from bouncesink.ledger import Forgot


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--replace", is_flag=True, help="Set the ledger that is there aside.")
@actor_option
@config_options
@json_option
def command(file: Path, actor: str, config: Config, *, replace: bool, as_json: bool) -> None:
    """Make the backup FILE the ledger. Stop the service first.

    FILE is checked before anything is touched, and stays as it is. What was the ledger is kept
    under another name. Whoever was forgotten since the backup is erased from it again.
    """
    from bouncesink.engine import utcnow
    from bouncesink.ledger import AuditLine
    from bouncesink.ledger.copies import check, put_back
    from bouncesink.service.claim import claim

    path = config.ledger.path
    checked = check(file)
    try:
        with claim(path):
            forgot, unread = _forgot(config)
            now = utcnow()
            aside = put_back(file, path, now.strftime("%Y%m%dT%H%M%SZ"), replace=replace)
            with open_engine(config) as engine:
                line = AuditLine(now, actor, "restore", str(file.absolute()))
                engine.ledger.add_audit([line])
                again = _forget_again(engine, forgot, actor)
    except LedgerBusy as error:
        raise LedgerBusy(f"{error}. Nothing was restored") from None
    if as_json:
        print_json(
            {
                "file": str(file),
                "ledger": str(path),
                "set_aside": str(aside) if aside else None,
                "events": checked.events,
                "contacts": checked.contacts,
                "forgotten_again": again,
            }
        )
        return
    click.echo(
        f"{safe(str(path))}: restored from {safe(str(file))}: {plural(checked.events, 'event')}, "
        f"{plural(checked.contacts, 'address', 'addresses')}."
    )
    if aside:
        click.echo(f"What was there before is {safe(str(aside))}.")
    if again:
        click.echo(f"{plural(again, 'address was', 'addresses were')} forgotten since: erased.")
    if unread:
        click.echo(
            "Who was forgotten since the backup cannot be told, as the old ledger cannot be read: "
            "`bouncesink forget` them once more."
        )


def _forgot(config: Config) -> tuple[list["Forgot"], bool]:
    """Read who was forgotten out of the ledger that is to go; whether that cannot be told."""
    from contextlib import closing

    from bouncesink.ledger import open_ledger

    if not config.ledger.path.exists():
        return [], False
    try:
        # Only to read: what may be damaged is set aside as it is.
        with closing(open_ledger(config.ledger.path, read_only=True)) as ledger:
            return ledger.all_forgotten(), False
    except LedgerBusy:
        raise
    except LedgerError:
        return [], True


def _forget_again(engine: "Engine", forgot: Sequence["Forgot"], actor: str) -> int:
    from bouncesink.engine.forget import forget_again

    try:
        return forget_again(engine, forgot, actor)
    except LedgerError as error:
        raise LedgerError(
            f"{engine.config.ledger.path}: was restored, but who was forgotten since is not erased "
            f"from it yet: {error}. Then run `bouncesink restore` once more"
        ) from None
