"""`bouncesink suppress`: who must not be mailed, and what a person adds to it."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bouncesink.address import normalise
from bouncesink.cli.options import (
    act_options,
    an_address,
    config_options,
    json_option,
    open_engine,
    print_json,
    read_ledger,
)
from bouncesink.cli.refusals import Refusals, given_rows
from bouncesink.cli.show import plural, safe, table, when
from bouncesink.config import Config
from bouncesink.errors import ConfigError
from bouncesink.model import Act, Contact, Reason
from bouncesink.shape import contact_as_json

if TYPE_CHECKING:  # the real imports are slow, and help needs none of them
    from bouncesink.engine import Engine
    from bouncesink.ledger import Ledger

_BATCH = 200
_OF_ADDRESSES = [
    reason.value for reason in Reason if reason not in (Reason.DOMAIN, Reason.FORGOTTEN)
]


@click.group("suppress")
def command() -> None:
    """List who must not be mailed, and add to it by hand.

    Reasons stand by themselves: hard, strikes, complaint, unsubscribe, manual. What is done here is
    `manual`; the others go by `review reinstate` and `review dismiss`.
    """


@command.command("add")
@click.argument("addresses", nargs=-1, required=True, metavar="ADDRESS...")
@act_options
@config_options
def add(addresses: tuple[str, ...], reason: str, actor: str, config: Config) -> None:
    """Block each ADDRESS, whatever it did."""
    wanted = _normalised(addresses)
    with open_engine(config) as engine:
        count = _act(engine, Act.SUPPRESS, [(address, reason) for address in wanted], actor)
    known = f"; {len(wanted) - count:,} already were" if count < len(wanted) else ""
    click.echo(f"{plural(count, 'address', 'addresses')} suppressed{known}.")


@command.command("remove")
@click.argument("addresses", nargs=-1, required=True, metavar="ADDRESS...")
@act_options
@config_options
def remove(addresses: tuple[str, ...], reason: str, actor: str, config: Config) -> int:
    """Take back what `add` did about each ADDRESS; exits with 1 when one stays blocked."""
    wanted = _normalised(addresses)
    with open_engine(config) as engine:
        _act(engine, Act.UNSUPPRESS, [(address, reason) for address in wanted], actor)
        contacts = engine.ledger.contacts(wanted)
    for address in wanted:
        left = sorted(contacts.get(address, Contact(address)).suppressed)
        said = f"still blocked: {', '.join(left)}" if left else "may be mailed"
        click.echo(f"{safe(address)}: {said}")
    return 1 if any(contact.suppressed for contact in contacts.values()) else 0


@command.command("list")
@click.option("--reason-kind", type=click.Choice(_OF_ADDRESSES), help="Only for this reason.")
@config_options
@json_option
def list_(reason_kind: str | None, config: Config, *, as_json: bool) -> None:
    """List the addresses that must not be mailed."""
    from bouncesink.outbox.suppression import suppressed

    with read_ledger(config) as ledger:
        contacts = suppressed(ledger, Reason(reason_kind) if reason_kind else None)
        if as_json:
            for contact in contacts:
                print_json(contact_as_json(contact))
            return
        rows = [
            (
                contact.address,
                ", ".join(sorted(contact.suppressed)),
                when(contact.hard_since) if contact.hard_since else "",
            )
            for contact in contacts
        ]
    if rows:
        click.echo(table(("address", "reasons", "hard since"), rows))
    click.echo(f"{plural(len(rows), 'address', 'addresses')} must not be mailed.")


@command.command("export")
@click.option("--format", "form", type=click.Choice(["csv", "json"]), default="csv")
@click.option("--reason-kind", type=click.Choice(_OF_ADDRESSES), help="Only for this reason.")
@config_options
def export(form: str, reason_kind: str | None, config: Config) -> None:
    """Print the addresses that must not be mailed, as CSV or as a JSON object a line."""
    from bouncesink.outbox.suppression import as_csv, as_json, suppressed

    with read_ledger(config) as ledger:
        contacts = suppressed(ledger, Reason(reason_kind) if reason_kind else None)
        for line in (as_csv if form == "csv" else as_json)(contacts):
            click.echo(line, nl=False)


@command.command("import")
@click.argument("path", type=click.Path(path_type=Path, allow_dash=True))
@act_options
@config_options
@json_option
def import_(path: Path, reason: str, actor: str, config: Config, *, as_json: bool) -> int:
    """Block the addresses of a CSV file or of JSON lines; - for standard input.

    Columns: address, and where it has its own, reason. A row that is not right is refused by its
    line and the rest go in; exits with 1 then.
    """
    refusals = Refusals(path)
    taken = new = 0
    with open_engine(config) as engine:
        entries = _entries(path, reason, refusals)
        while batch := list(islice(entries, _BATCH)):
            taken += len(batch)
            new += _act(engine, Act.SUPPRESS, batch, actor)
    refusals.close()
    if as_json:
        print_json({"taken": taken, "new": new, "refused": refusals.count})
    else:
        click.echo(
            f"{plural(taken, 'address', 'addresses')} taken, {new:,} new, "
            f"{refusals.count:,} refused."
        )
    return 1 if refusals.count else 0


@command.command("requalify")
@click.option("--dry-run", is_flag=True, help="Only say which.")
@config_options
def requalify(config: Config, *, dry_run: bool) -> None:
    """Let addresses go that were suppressed by hand longer ago than [policy] requalify_days.

    Only where nothing else is against them: HARD, complaints and unsubscribe requests stay. It is
    recorded as an act of `policy`. Run it by a timer.
    """
    from bouncesink.engine import utcnow

    days = config.policy.requalify_days
    if not days:
        raise ConfigError("never, by the config. In the config file: [policy] requalify_days = 180")
    with open_engine(config) as engine:
        due = list(_due(engine.ledger, utcnow() - timedelta(days=days)))
        for start in range(0, 0 if dry_run else len(due), _BATCH):
            batch = [(address, f"after {days} days") for address in due[start : start + _BATCH]]
            _act(engine, Act.UNSUPPRESS, batch, "policy")
    for address in due:
        click.echo(safe(address))
    would = " would be" if dry_run else ""
    click.echo(f"{plural(len(due), 'address', 'addresses')}{would} let go.", err=True)


def _due(ledger: "Ledger", before: datetime) -> Iterator[str]:
    for contacts in ledger.suppressed_contacts(_BATCH):
        manual = [c.address for c in contacts if c.suppressed == {Reason.MANUAL}]
        for address, events in ledger.events_of(manual).items():
            if all(e.occurred_at <= before for e in events if e.kind is Act.SUPPRESS):
                yield address


def _act(engine: "Engine", act: Act, entries: Sequence[tuple[str, str]], actor: str) -> int:
    """Record an act about each address that it changes; give how many those are."""
    from bouncesink.engine.acts import operator_act

    with engine.ledger.transaction():
        contacts = engine.ledger.contacts(address for address, _ in entries)
        now = engine.clock()
        events = {
            address: operator_act(act, address, actor, reason, now)
            for address, reason in entries
            if bool(
                {Reason.MANUAL, Reason.FORGOTTEN}
                & contacts.get(address, Contact(address)).suppressed
            )
            is (act is Act.UNSUPPRESS)
        }
        engine.record(list(events.values()))
    return len(events)


def _entries(path: Path, reason: str, refusals: Refusals) -> Iterator[tuple[str, str]]:
    for row in given_rows(path, ("address",), refusals):
        address = normalise(row.values["address"])
        if address is None:
            refusals.add(row.number, f"`address` is none: {row.values['address'][:80]!r}")
        else:
            yield address, row.values.get("reason") or reason


def _normalised(addresses: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(map(an_address, addresses)))
