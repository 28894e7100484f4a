"""`bouncesink sends`: what we know we sent, to compare bounces with."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import click

from bouncesink.address import normalise
from bouncesink.cli.options import actor_option, config_options, json_option, print_json
from bouncesink.cli.refusals import Refusals, given_rows
from bouncesink.cli.show import plural
from bouncesink.config import Config
from bouncesink.model import Send

_BATCH = 1000


@click.group("sends")
def command() -> None:
    """Know what was sent, so that a bounce of it is proven and any other is doubtful."""


@command.command("import")
@click.argument("path", type=click.Path(path_type=Path, allow_dash=True))
@actor_option
@config_options
@json_option
def import_(path: Path, actor: str, config: Config, *, as_json: bool) -> int:
    """Take messages that were sent from a CSV file or JSON lines; - for standard input.

    Columns: message_id, recipient, and where known sent_at (ISO 8601 or as in mail), campaign and
    mailbox. What is there already stays as it is. A row that is not right is refused by its line
    and the rest go in; exits with 1 then.
    """
    from bouncesink.ledger import AuditLine, open_ledger

    refusals = Refusals(path)
    taken = new = 0
    ledger = open_ledger(config.ledger.path)
    try:
        sends = _sends(path, refusals)
        while batch := list(islice(sends, _BATCH)):
            taken += len(batch)
            new += sum(ledger.put_sends(batch))
        now, after = datetime.now(UTC), f"{plural(taken, 'send')}, {new:,} new"
        ledger.add_audit([AuditLine(now, actor, "sends import", str(path), after=after)])
    finally:
        ledger.close()
    refusals.close()
    if as_json:
        print_json({"taken": taken, "new": new, "refused": refusals.count})
    else:
        click.echo(f"{plural(taken, 'send')} taken, {new:,} new, {refusals.count:,} refused.")
        if new:
            click.echo("`bouncesink rebuild` weighs by them what came before.")
    return 1 if refusals.count else 0


def _sends(path: Path, refusals: Refusals) -> Iterator[Send]:
    from bouncesink.parse.original import message_id

    for row in given_rows(path, ("message_id", "recipient"), refusals):
        values = row.values
        known, recipient = message_id(values["message_id"]), normalise(values["recipient"])
        sent_at = _time(values.get("sent_at"))
        if known is None:
            refusals.add(row.number, f"`message_id` is none: {values['message_id'][:80]!r}")
        elif recipient is None:
            refusals.add(row.number, f"`recipient` is no address: {values['recipient'][:80]!r}")
        elif values.get("sent_at") and sent_at is None:
            refusals.add(row.number, f"`sent_at` is no date: {values['sent_at'][:80]!r}")
        else:
            campaign, mailbox = values.get("campaign"), values.get("mailbox")
            yield Send(known, recipient, sent_at, campaign or None, mailbox or None)


def _time(text: str | None) -> datetime | None:
    from bouncesink.parse.dates import parse_date

    try:
        time = datetime.fromisoformat(text or "")
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return parse_date(text)
