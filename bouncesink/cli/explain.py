"""`bouncesink explain`: why an address stands as it does."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import click

from bouncesink.cli.options import an_address, config_options, json_option, print_json, read_ledger
from bouncesink.cli.show import event_lines, plural, safe, when
from bouncesink.config import Config
from bouncesink.fold import Advice, advise_after, fold, strikes_at
from bouncesink.model import Contact, Event, Reason, TrustLevel
from bouncesink.shape import contact_as_json, event_as_json, time_as_json

_MOST_FOLDED = 300_000
"""Events that are folded in all to tell what came of each: about a second's work."""


@click.command()
@click.argument("address")
@config_options
@json_option
def command(address: str, config: Config, *, as_json: bool) -> int:
    """Tell the whole story of ADDRESS: every event, the rule that spoke, and what came of it.

    Exits with 1 when the ledger knows nothing of it.
    """
    from bouncesink.engine.gate import reasons_of

    wanted = an_address(address)
    with read_ledger(config) as ledger:
        events = ledger.events_of([wanted]).get(wanted, [])
        leads = ledger.leads_of([wanted]).get(wanted, [])
        reasons = reasons_of(ledger, [wanted], config.policy)[wanted] & {
            Reason.DOMAIN,
            Reason.FORGOTTEN,
        }
    events = sorted(events, key=lambda event: (event.occurred_at, event.id))
    steps = list(_steps(wanted, events, config))
    contact = next(reversed(steps), None) or Contact(wanted)
    contact = replace(contact, suppressed=contact.suppressed | reasons)
    if as_json:
        print_json(
            {
                **contact_as_json(contact),
                "leads": [lead.id for lead in leads],
                "advice": _advice_as_json(contact, events),
                "events": [
                    event_as_json(event) | {"then": contact_as_json(state) if state else None}
                    for event, state in zip(events, steps, strict=True)
                ],
            }
        )
    else:
        for line in _story(contact, events, steps, [lead.id for lead in leads], config):
            click.echo(line)
    return 0 if events else 1


def _steps(address: str, events: Sequence[Event], config: Config) -> Iterator[Contact | None]:
    """Give the state after each event, by folding all up to it; None for the old ones of many."""
    require = TrustLevel(config.trust.require)
    count = len(events)
    shown = count if count * count // 2 <= _MOST_FOLDED else max(1, _MOST_FOLDED // count)
    for number in range(1, count + 1):
        told = number > count - shown
        yield fold(address, events[:number], config.policy, require) if told else None


def _story(
    contact: Contact,
    events: Sequence[Event],
    steps: Sequence[Contact | None],
    leads: Sequence[str],
    config: Config,
) -> Iterator[str]:
    who = f"lead {', '.join(map(safe, leads))}" if leads else "no lead"
    yield f"{safe(contact.address)} ({who})"
    if not events:
        yield f"  No bounce was about it: it {_gate(contact)}."
        return
    before = Contact(contact.address)
    for event, after in zip(events, steps, strict=True):
        yield ""
        yield from event_lines(event)
        if after is not None:
            yield f"  then     {_state(after)}" + ("" if after != before else "  (unchanged)")
            before = after
    yield ""
    yield f"Now: {_state(contact)}."
    if contact.last_strike_at and not contact.hard_since:
        strikes = strikes_at(contact, datetime.now(UTC), config.policy)
        if strikes != contact.strikes:
            yield f"The strikes have decayed since: {strikes} left."
    if advice := _advice(contact, events):
        yield f"Advice: {advice}."


def _advised(contact: Contact, events: Sequence[Event]) -> tuple[Event, Advice] | None:
    return advise_after(events) if contact.mailable else None


def _advice(contact: Contact, events: Sequence[Event]) -> str:
    """Say when to try again, where there is something to be said."""
    found = _advised(contact, events)
    if found is None:
        return ""
    last, advice = found
    if advice.wait:
        return f"do not try again before {when(last.occurred_at + advice.wait)}"
    if advice.persistent:
        return "it fails in this way again and again, so do not try it any more"
    return "find out what the reply is about before you try again"


def _advice_as_json(contact: Contact, events: Sequence[Event]) -> dict[str, Any] | None:
    found = _advised(contact, events)
    if found is None:
        return None
    last, advice = found
    not_before = last.occurred_at + advice.wait if advice.wait else None
    return {"not_before": time_as_json(not_before), "persistent": advice.persistent}


def _state(contact: Contact) -> str:
    kind = contact.bounce_type.value if contact.bounce_type else "not bounced"
    return (
        f"{kind}, {plural(contact.bounce_count, 'bounce')} counted, "
        f"{plural(contact.strikes, 'strike')}, {_gate(contact)}"
    )


def _gate(contact: Contact) -> str:
    if contact.mailable:
        return "may be mailed"
    return f"must not be mailed ({', '.join(sorted(contact.suppressed))})"
