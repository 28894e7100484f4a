"""`bouncesink leads`: whose addresses these are."""

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bouncesink.address import normalise
from bouncesink.cli.options import (
    actor_option,
    config_options,
    json_option,
    limit_option,
    open_engine,
    print_json,
    read_ledger,
)
from bouncesink.cli.show import plural, safe, table
from bouncesink.config import Config
from bouncesink.errors import InputError
from bouncesink.model import Action, Contact, Lead
from bouncesink.shape import action_as_json, contact_as_json

if TYPE_CHECKING:  # the real import is slow, and help needs none of it
    from bouncesink.ledger import Ledger


@click.group("leads")
def command() -> None:
    """Know the leads: they come from the sheet at each flush.

    A bounce of an address that is no lead is recorded and closes its gate, and starts no action
    unless [leads] act_on_unknown says so.
    """


@command.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@actor_option
@config_options
@json_option
def import_(file: Path, actor: str, config: Config, *, as_json: bool) -> None:
    """Make the rows of FILE, a CSV, all the leads there are; for whoever has no sheet.

    The file needs the columns that [sheet] names, and is never written.
    """
    from bouncesink.ledger import AuditLine
    from bouncesink.outbox import flush
    from bouncesink.outbox.imported import ImportedLeads

    if config.sheets.spreadsheet or config.sheet.path.exists():
        where = "Google Sheets" if config.sheets.spreadsheet else str(config.sheet.path)
        raise InputError(
            f"the leads come from {where} at each flush, which would undo an import: edit them "
            "there, then `bouncesink flush`"
        )
    with open_engine(config) as engine:
        source = ImportedLeads(file, config.sheet)
        result = flush(source, engine.ledger, config, redecide=engine.redecide)
        after = plural(result.leads, "lead")
        line = AuditLine(engine.clock(), actor, "leads import", str(file.absolute()), after=after)
        engine.ledger.add_audit([line])
    if as_json:
        print_json(
            {
                "leads": result.leads,
                "decided_anew": sorted(result.addresses),
                "problems": list(result.problems),
            }
        )
        return
    click.echo(
        f"{safe(source.name)}: {plural(result.leads, 'lead')}; decided anew: "
        f"{plural(len(result.addresses), 'address', 'addresses')} with a history."
    )
    for problem in result.problems:
        click.echo(f"{safe(source.name)}: {safe(problem)}")


@command.command("list")
@limit_option(50)
@config_options
@json_option
def list_(limit: int, config: Config, *, as_json: bool) -> None:
    """List the leads in the order of the sheet, with their gate."""
    with read_ledger(config) as ledger:
        leads = list(islice(ledger.all_leads(), limit))
        contacts = ledger.contacts({lead.address for lead in leads})
        count = ledger.totals().leads
    shapes = [_as_json(lead, contacts.get(lead.address)) for lead in leads]
    if as_json:
        for shape in shapes:
            print_json(shape)
        return
    if shapes:
        headers = ("lead", "e-mail", "bounce", "count", "gate")
        click.echo(table(headers, (_row(shape) for shape in shapes)))
    shown = f", {len(leads):,} shown" if len(leads) < count else ""
    click.echo(f"{plural(count, 'lead')}{shown}.")


@command.command("show")
@click.argument("lead")
@config_options
@json_option
def show(lead: str, config: Config, *, as_json: bool) -> int:
    """Show a LEAD, by its id or e-mail address: its gate, and what is to be done about it.

    Exits with 1 when there is none.
    """
    with read_ledger(config) as ledger:
        leads = _find(ledger, lead)
        addresses = {each.address for each in leads}
        contacts = ledger.contacts(addresses)
        actions = ledger.open_actions(addresses)
    if not leads:
        click.echo(f"No lead has the id or the address {safe(lead)!r}.", err=True)
        return 1
    for each in leads:
        contact = contacts.get(each.address, Contact(each.address))
        its = [action for action in actions if action.address == each.address]
        if as_json:
            shape = {"id": each.id, "email": each.email, **contact_as_json(contact)}
            print_json(shape | {"actions": [action_as_json(action) for action in its]})
            continue
        for line in _story(each, contact, its):
            click.echo(line)
    return 0


def _find(ledger: "Ledger", text: str) -> Sequence[Lead]:
    by_id = [lead for lead in ledger.all_leads() if lead.id == text]
    address = normalise(text)
    return by_id or (ledger.leads_of([address]).get(address, []) if address else [])


def _as_json(lead: Lead, contact: Contact | None) -> dict[str, Any]:
    contact = contact or Contact(lead.address)
    return {
        "id": lead.id,
        "email": lead.email,
        "address": lead.address,
        "mailable": contact.mailable,
        "reasons": sorted(contact.suppressed),
        "bounce_type": contact.bounce_type,
        "bounce_count": contact.bounce_count,
    }


def _row(shape: dict[str, Any]) -> Sequence[object]:
    gate = "open" if shape["mailable"] else f"closed: {', '.join(shape['reasons'])}"
    bounce = shape["bounce_type"] or ""
    return safe(shape["id"], 30), safe(shape["email"], 50), bounce, shape["bounce_count"], gate


def _story(lead: Lead, contact: Contact, actions: Iterable[Action]) -> Iterable[str]:
    reasons = ", ".join(sorted(contact.suppressed))
    yield f"lead {safe(lead.id)}: {safe(lead.email)}"
    yield f"  gate     {'open' if contact.mailable else f'closed: {reasons}'}"
    yield f"  bounces  {contact.bounce_count:,} counted, {contact.bounce_type or 'none'}"
    for action in actions:
        yield f"  to do    {safe(action.key)} ({action.state.value})"
    yield f"  why      `bouncesink explain {safe(lead.address)}`"
