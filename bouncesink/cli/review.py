"""`bouncesink review`: what waits for a person, and what the person says."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from bouncesink.cli.options import (
    act_options,
    an_address,
    config_options,
    json_option,
    limit_option,
    open_engine,
    print_json,
    read_ledger,
)
from bouncesink.cli.show import event_lines, plural, safe, table, when
from bouncesink.config import Config
from bouncesink.errors import InputError
from bouncesink.model import OPEN, Action, ActionKind, Category, Contact, Event, Severity
from bouncesink.shape import action_as_json, event_as_json

if TYPE_CHECKING:  # the real imports are slow, and help needs none of them
    from bouncesink.ledger import Ledger

_PREFIX = f"{ActionKind.REVIEW}:"
_EVENT_ID = 10
"""Characters of an event's id that are shown: enough to tell a million apart."""
_MOST_EVENTS = 20
_MOST_LINES = 120
_MOST_OCTETS = 64_000


@click.group("review")
def command() -> None:
    """Decide about what no rule could: unknown, doubtful, unreadable, finally refused."""


@command.command("list")
@limit_option(50)
@config_options
@json_option
def list_(limit: int, config: Config, *, as_json: bool) -> None:
    """List what waits: first what hurts our own standing, last what may be forged."""
    with read_ledger(config) as ledger:
        actions = ledger.list_actions(ActionKind.REVIEW, OPEN, limit)
        totals = ledger.totals().actions
    if as_json:
        for action in actions:
            print_json(action_as_json(action))
        return
    if actions:
        headers = ("key", "address", "why", "category", "what it said")
        click.echo(table(headers, map(_row, actions)))
    count = sum(totals.get((ActionKind.REVIEW, state), 0) for state in OPEN)
    shown = f", {len(actions):,} shown" if len(actions) < count else ""
    click.echo(f"{plural(count, 'item')} in review{shown}.")


@command.command("show")
@click.argument("key")
@config_options
@json_option
def show(key: str, config: Config, *, as_json: bool) -> None:
    """Show all about the item whose KEY begins so, with the mail itself."""
    from bouncesink.engine.review import behind, find

    with read_ledger(config) as ledger:
        action = find(ledger, key)
        events = behind(ledger, config, action)
        raw = _mail(ledger, action, events)
    if as_json:
        shape = action_as_json(action) | {"events": [event_as_json(event) for event in events]}
        print_json(shape | {"mail": raw[:_MOST_OCTETS].decode("utf-8", "replace")})
        return
    for line in _story(action, events):
        click.echo(line)
    for line in _mail_lines(raw):
        click.echo(line)


@command.command("confirm")
@click.argument("key")
@click.option("--address", help="Which address has failed, where the mail names none.")
@click.option("--event", help="Which event, where the item stands for many.")
@act_options
@config_options
def confirm(  # noqa: PLR0917 - click passes them by name
    key: str, address: str | None, event: str | None, reason: str, actor: str, config: Config
) -> None:
    """Make it count: the address is HARD from now on (a complaint counts as a complaint).

    Exits with 1 when somebody has decided about it already.
    """
    from bouncesink.engine.review import Decision, confirm, find

    wanted = None if address is None else an_address(address)
    with open_engine(config) as engine:
        action = find(engine.ledger, key)
        decision = Decision(actor, reason)
        act = confirm(engine, action, decision, address=wanted, event=event)
        contact = engine.ledger.contacts([act.address])[act.address]
    gate = "may still be mailed" if contact.mailable else "must not be mailed"
    click.echo(f"Confirmed: {safe(act.address)} {gate}.")


@command.command("dismiss")
@click.argument("key")
@act_options
@config_options
def dismiss(key: str, reason: str, actor: str, config: Config) -> None:
    """Make it count as nothing; of an item that stands for many, all of them.

    Exits with 1 when somebody has decided about it already.
    """
    from bouncesink.engine.review import Decision, dismiss, find

    with open_engine(config) as engine:
        action = find(engine.ledger, key)
        count = dismiss(engine, action, Decision(actor, reason))
    click.echo(f"Dismissed: {plural(count, 'notification')}.")


@command.command("reinstate")
@click.argument("address")
@act_options
@config_options
def reinstate(address: str, reason: str, actor: str, config: Config) -> None:
    """Let ADDRESS be mailed again: takes HARD and the strikes away, and keeps the history."""
    from bouncesink.engine.review import Decision, reinstate

    with open_engine(config) as engine:
        act = reinstate(engine, an_address(address), Decision(actor, reason))
        contact = engine.ledger.contacts([act.address])[act.address]
    say_reinstated(contact)


@command.command("suggest-rule")
@click.argument("key")
@click.option(
    "--category",
    type=click.Choice([category.value for category in Category]),
    help="What the reply means.  [default: as decided, where that tells]",
)
@config_options
def suggest_rule(key: str, category: str | None, config: Config) -> None:
    """Print a rule that would know the reply of this item, for a rules file of your own.

    Nothing is taught by itself: look at it, put it into the file that [classify] rules names, and
    run `bouncesink rules check` and `bouncesink rebuild`.
    """
    from bouncesink.classify.suggest import suggest
    from bouncesink.engine.review import behind, find

    with read_ledger(config) as ledger:
        action = find(ledger, key)
        events = [event for event in behind(ledger, config, action) if _said(event)]
        contact = ledger.contacts([action.address or ""]).get(action.address or "")
    if not events:
        raise InputError("this item has no reply that a rule could be made of")
    event = events[-1]
    confirmed = (action.reason or "").startswith("confirmed")
    meant = Category(category) if category else _category(event)
    if meant is None and confirmed and contact and contact.bounce_type is Severity.HARD:
        meant = Category.USER_UNKNOWN
    if meant is None:
        raise InputError("say with --category what the reply means")
    by = f"confirmed by {action.actor}" if confirmed else "seen in review"
    click.echo(
        suggest(_said(event), meant, f"our own: {by}, event {event.id[:_EVENT_ID]}"), nl=False
    )


def say_reinstated(contact: Contact) -> None:
    left = ", ".join(sorted(contact.suppressed))
    said = f"still must not be mailed ({left})" if left else "may be mailed"
    click.echo(f"Reinstated: {safe(contact.address)} {said}.")


def _said(event: Event) -> str:
    return (event.report.diagnostic or "") if event.report else ""


def _category(event: Event) -> Category | None:
    known = event.verdict is not None and event.verdict.category is not Category.UNKNOWN
    return event.verdict.category if event.verdict and known else None


def _row(action: Action) -> Sequence[object]:
    said = action.payload.get("diagnostic") or action.payload.get("note", "")
    who = action.address or ("many" if "flood" in action.payload else "none")
    count = action.payload.get("count")
    why = action.payload.get("why", "")
    return (
        _handle(action),
        safe(who, 44),
        f"{why}, {count} or more" if count else why,
        action.payload.get("category", ""),
        safe(said, 60),
    )


def _handle(action: Action) -> str:
    """Give the beginning of a key that people type: whole where it is not a long hash."""
    name = action.key.removeprefix(_PREFIX)
    if action.event_id is not None:
        return name[:_EVENT_ID]
    if action.arrival_id is not None:
        return name[: len("arrival:") + _EVENT_ID]
    return name


def _story(action: Action, events: Sequence[Event]) -> Iterator[str]:
    yield f"{action.key.removeprefix(_PREFIX)}"
    yield f"  state    {action.state.value}, since {when(action.moved_at or action.created_at)}"
    if action.actor or action.reason:
        yield f"  by       {safe(action.actor) or 'nobody'}: {safe(action.reason)}"
    yield f"  why      {safe(action.payload.get('why'))}"
    if note := action.payload.get("note"):
        yield f"  note     {safe(note)}"
    if action.address:
        yield f"  address  {safe(action.address)}"
    for event in events[:_MOST_EVENTS]:
        yield ""
        yield f"event {event.id[:_EVENT_ID]}  {safe(event.address)}"
        yield from event_lines(event)
    if len(events) > _MOST_EVENTS:
        yield f"and {len(events) - _MOST_EVENTS:,} more"


def _mail(ledger: "Ledger", action: Action, events: Sequence[Event]) -> bytes:
    wanted = action.arrival_id or next((e.arrival_id for e in reversed(events)), None)
    return next((arrival.raw for arrival in ledger.arrivals([wanted or ""])), b"")


def _mail_lines(raw: bytes) -> Iterator[str]:
    """Give the beginning of a mail as it is, but for what a terminal would act on."""
    if not raw:
        return
    lines: list[Any] = raw[:_MOST_OCTETS].decode("utf-8", "replace").splitlines()
    yield ""
    yield f"the mail, {len(raw):,} octets"
    for line in lines[:_MOST_LINES]:
        yield f"  | {safe(line, 200)}"
    if len(lines) > _MOST_LINES or len(raw) > _MOST_OCTETS:
        yield "  (and more: `sqlite-utils query` gives it whole, see the README)"
