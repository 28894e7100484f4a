"""`bouncesink explain`: why an address stands as it does."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import click

from bouncesink.address import normalise
from bouncesink.cli.options import config_options, json_option, print_json, read_ledger
from bouncesink.cli.shape import contact_as_json, event_as_json
from bouncesink.cli.show import event_lines, plural, safe
from bouncesink.config import Config
from bouncesink.errors import InputError
from bouncesink.fold import fold, strikes_at
from bouncesink.model import Contact, Event, TrustLevel


@click.command()
@click.argument("address")
@config_options
@json_option
def command(address: str, config: Config, *, as_json: bool) -> int:
    """Tell the whole story of ADDRESS: every event, the rule that spoke, and what came of it.

    Exits with 1 when the ledger knows nothing of it.
    """
    wanted = normalise(address)
    if wanted is None:
        raise InputError(f"{address!r} is not an e-mail address")
    with read_ledger(config) as ledger:
        events = ledger.events_of([wanted]).get(wanted, [])
        leads = ledger.leads_of([wanted]).get(wanted, [])
    events = sorted(events, key=lambda event: (event.occurred_at, event.id))
    steps = list(_steps(wanted, events, config))
    contact = steps[-1] if steps else Contact(wanted)
    if as_json:
        print_json(
            {
                **contact_as_json(contact),
                "leads": [lead.id for lead in leads],
                "events": [
                    event_as_json(event) | {"then": contact_as_json(state)}
                    for event, state in zip(events, steps, strict=True)
                ],
            }
        )
    else:
        for line in _story(contact, events, steps, [lead.id for lead in leads], config):
            click.echo(line)
    return 0 if events else 1


def _steps(address: str, events: Sequence[Event], config: Config) -> Iterator[Contact]:
    """Give the state after each event, by folding all up to it."""
    require = TrustLevel(config.trust.require)
    for number in range(1, len(events) + 1):
        yield fold(address, events[:number], config.policy, require)


def _story(
    contact: Contact,
    events: Sequence[Event],
    steps: Sequence[Contact],
    leads: Sequence[str],
    config: Config,
) -> Iterator[str]:
    who = f"lead {', '.join(map(safe, leads))}" if leads else "no lead"
    yield f"{safe(contact.address)} ({who})"
    if not events:
        yield "  No bounce was about it: it may be mailed."
        return
    before = Contact(contact.address)
    for event, after in zip(events, steps, strict=True):
        yield ""
        yield from event_lines(event)
        yield f"  then     {_state(after)}" + ("" if after != before else "  (unchanged)")
        before = after
    yield ""
    yield f"Now: {_state(contact)}."
    if contact.last_strike_at and not contact.hard_since:
        strikes = strikes_at(contact, datetime.now(UTC), config.policy)
        if strikes != contact.strikes:
            yield f"The strikes have decayed since: {strikes} left."


def _state(contact: Contact) -> str:
    gate = "may be mailed" if contact.mailable else "must not be mailed"
    reasons = f" ({', '.join(sorted(contact.suppressed))})" if contact.suppressed else ""
    kind = contact.bounce_type.value if contact.bounce_type else "not bounced"
    return (
        f"{kind}, {plural(contact.bounce_count, 'bounce')} counted, "
        f"{plural(contact.strikes, 'strike')}, {gate}{reasons}"
    )
