"""`bouncesink sends`: what we know we sent, to compare bounces with."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bouncesink.address import normalise
from bouncesink.cli.options import actor_option, config_options, json_option, print_json
from bouncesink.cli.refusals import Refusals, given_rows
from bouncesink.cli.show import plural
from bouncesink.config import Config
from bouncesink.errors import InputError
from bouncesink.model import Send

if TYPE_CHECKING:  # the real import is slow, and help needs none of it
    from bouncesink.ledger import SendCount

_BATCH = 1000
_MAX_LINE = 100_000
_MOST_SENT = 10**12


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


@command.command("import-log")
@click.argument("path", type=click.Path(path_type=Path, allow_dash=True))
@actor_option
@config_options
@json_option
def import_log(path: Path, actor: str, config: Config, *, as_json: bool) -> None:
    """Take what Postfix sent from its log; - for standard input, as of `journalctl -u postfix`.

    Run it on each log that was rotated, or once a day: what is there already stays as it is.
    """
    from bouncesink.intake.postfix_log import sends
    from bouncesink.ledger import AuditLine, open_ledger

    taken = new = 0
    now = datetime.now(UTC)
    with closing(open_ledger(config.ledger.path)) as ledger, _lines(path) as lines:
        found = sends(lines, now)
        while batch := list(islice(found, _BATCH)):
            taken += len(batch)
            new += sum(ledger.put_sends(batch))
        after = f"{plural(taken, 'send')}, {new:,} new"
        ledger.add_audit([AuditLine(now, actor, "sends import-log", str(path), after=after)])
    if as_json:
        print_json({"taken": taken, "new": new})
    else:
        click.echo(f"{plural(taken, 'send')} found, {new:,} new.")


@command.command("count")
@click.argument("path", type=click.Path(path_type=Path, allow_dash=True))
@actor_option
@config_options
@json_option
def count(path: Path, actor: str, config: Config, *, as_json: bool) -> int:
    """Take how much was sent on which day, where nothing tells of each message.

    CSV or JSON lines with the columns day (as in 2026-01-31) and sent, and where known campaign,
    mailbox and domain (of the recipients). A day's count for the same names takes the place of the
    last. Messages that are known one by one are counted besides: tell each one way only.
    """
    from bouncesink.ledger import AuditLine, open_ledger

    refusals = Refusals(path)
    taken = 0
    with closing(open_ledger(config.ledger.path)) as ledger:
        counts = _counts(path, refusals)
        while batch := list(islice(counts, _BATCH)):
            taken += len(batch)
            ledger.put_send_counts(batch)
        after = plural(taken, "count")
        ledger.add_audit(
            [AuditLine(datetime.now(UTC), actor, "sends count", str(path), after=after)]
        )
    refusals.close()
    if as_json:
        print_json({"taken": taken, "refused": refusals.count})
    else:
        click.echo(f"{plural(taken, 'count')} taken, {refusals.count:,} refused.")
    return 1 if refusals.count else 0


@contextmanager
def _lines(path: Path) -> Iterator[Iterator[str]]:
    """Open a log, a line of which is cut where it is endless. Raises InputError."""
    try:
        with click.open_file(str(path), encoding="utf-8", errors="replace") as file:
            yield iter(partial(file.readline, _MAX_LINE), "")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None


def _counts(path: Path, refusals: Refusals) -> "Iterator[SendCount]":
    from bouncesink.ledger import SendCount

    for row in given_rows(path, ("day", "sent"), refusals):
        values = row.values
        try:
            day = date.fromisoformat(values["day"])
        except ValueError:
            refusals.add(row.number, f"`day` is no date: {values['day'][:80]!r}")
            continue
        sent = values["sent"].replace(",", "")
        if not sent.isdecimal() or int(sent) > _MOST_SENT:
            refusals.add(row.number, f"`sent` is no number: {values['sent'][:80]!r}")
            continue
        mailbox, domain = values.get("mailbox", ""), values.get("domain", "")
        if mailbox and normalise(mailbox) is None:
            refusals.add(row.number, f"`mailbox` is no address: {mailbox[:80]!r}")
            continue
        yield SendCount(
            day,
            values.get("campaign", ""),
            normalise(mailbox) or "",
            domain.strip().lower(),
            int(sent),
        )


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
