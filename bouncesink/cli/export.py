"""`bouncesink export`: all that is held about an address."""

import json
from typing import TYPE_CHECKING, Any

import click

from bouncesink.cli.options import an_address, config_options, json_option, read_ledger
from bouncesink.cli.ticker import ticker
from bouncesink.config import Config
from bouncesink.model import Arrival
from bouncesink.shape import action_as_json, contact_as_json, event_as_json, time_as_json

if TYPE_CHECKING:  # the real import is slow, and help needs none of it
    from bouncesink.ledger import Ledger

_BATCH = 200
_OWN = {"events", "contacts", "leads", "sends", "actions", "arrivals"}


@click.command()
@click.argument("address")
@config_options
@json_option
def command(address: str, config: Config, *, as_json: bool) -> int:  # noqa: ARG001 - JSON it is
    """Print all that is held about ADDRESS, as one JSON object (GDPR, article 15).

    Mails are there as they are kept: some name other people, so read before you hand it over.
    Exits with 1 when nothing is held.
    """
    wanted = an_address(address)
    with read_ledger(config) as ledger, ticker() as tick:
        if ledger.forgotten([wanted]):
            click.echo(json.dumps({"address": wanted, "forgotten": True}, indent=1))
            return 0
        held = _held(ledger, wanted, lambda more: tick("octets of mail", more))
    click.echo(json.dumps({"address": wanted, "forgotten": False, **held}, indent=1))
    return 0 if any(held.values()) else 1


def _held(ledger: "Ledger", address: str, advance: Any) -> dict[str, Any]:
    from bouncesink.engine.mentions import Mentions, spellings

    events = ledger.events_of([address]).get(address, [])
    contact = ledger.contacts([address]).get(address)
    ids = {event.arrival_id for event in events}
    named = Mentions(address)
    arrivals: list[dict[str, Any]] = []
    for batch in ledger.all_arrivals(_BATCH):
        arrivals += [_mail(each) for each in batch if each.id in ids or named(each.raw)]
        advance(sum(len(each.raw) for each in batch))
    elsewhere = list(ledger.mentioned(spellings(address)))
    return {
        "contact": contact_as_json(contact) if contact else None,
        "evidence": [
            {"at": time_as_json(e.occurred_at), "code": e.code, "message_id": e.message_id}
            for e in (contact.evidence if contact else ())
        ],
        "events": [event_as_json(event) for event in events],
        "leads": [
            {"id": lead.id, "email": lead.email}
            for lead in ledger.leads_of([address]).get(address, [])
        ],
        "sends": [dict(row.cells) for row in elsewhere if row.table == "sends"],
        "actions": [
            action_as_json(action) for action in ledger.all_actions() if action.address == address
        ],
        "arrivals": arrivals,
        "audit": [dict(row.cells) for row in elsewhere if row.table == "audit"],
        "elsewhere": [
            {"table": row.table, **row.cells}
            for row in elsewhere
            if row.table not in {*_OWN, "audit"}
            or (row.table in {"events", "actions"} and row.cells["address"] != address)
        ],
    }


def _mail(arrival: Arrival) -> dict[str, Any]:
    return {
        "id": arrival.id,
        "source": arrival.source,
        "received_at": time_as_json(arrival.received_at),
        "envelope_from": arrival.envelope_from,
        "envelope_to": arrival.envelope_to,
        "raw": arrival.raw.decode("utf-8", "backslashreplace"),
    }
