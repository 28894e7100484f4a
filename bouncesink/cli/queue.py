"""`bouncesink queue`: what is to be done, by people and by programs."""

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bouncesink.cli.options import (
    act_options,
    actor_option,
    config_options,
    json_option,
    limit_option,
    open_engine,
    print_json,
    read_ledger,
)
from bouncesink.cli.queue_work import work
from bouncesink.cli.show import plural, safe, table, when
from bouncesink.config import Config
from bouncesink.errors import AlreadyDecided, InputError
from bouncesink.model import OPEN, Action, ActionKind, ActionState
from bouncesink.shape import action_as_json

if TYPE_CHECKING:  # the real imports are slow, and help needs none of them
    from bouncesink.ledger import Ledger
    from bouncesink.outbox.queues import By, Move

_WANTED = (*OPEN, ActionState.FAILED)
_EVERY = 1_000_000

_KINDS = [kind for kind in ActionKind if kind is not ActionKind.REVIEW]  # see `review`
_Kind = click.Choice([kind.value for kind in _KINDS])
_kind_option = click.option("--kind", type=_Kind, help="Only of this kind.")
_all_option = click.option("--all", "every", is_flag=True, help="All of the --kind.")
_keys_argument = click.argument("keys", nargs=-1, metavar="KEY...")


@click.group("queue")
def command() -> None:
    """Work through what is to be done: by hand, or let a program do it.

    A KEY is the key of an action, the beginning of it, or an e-mail address.
    """


command.add_command(work)


@command.command("list")
@_kind_option
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([state.value for state in ActionState]),
    help="Only in this state; several may be given.  [default: what is open or failed]",
)
@limit_option(50)
@config_options
@json_option
def list_(
    kind: str | None, states: tuple[str, ...], limit: int, config: Config, *, as_json: bool
) -> None:
    """List what is to be done, with what failed."""
    wanted = [ActionState(state) for state in states] or list(_WANTED)
    with read_ledger(config) as ledger:
        actions: list[Action] = []
        for each in [ActionKind(kind)] if kind else _KINDS:
            actions += ledger.list_actions(each, wanted, limit - len(actions))
        totals = ledger.totals().actions
    if as_json:
        for action in actions:
            print_json(action_as_json(action))
        return
    if actions:
        click.echo(table(("key", "state", "since", "why"), map(_row, actions)))
    count = sum(
        number
        for (each, state), number in totals.items()
        if state in wanted and (each == kind if kind else each in _KINDS)
    )
    shown = f", {len(actions):,} shown" if len(actions) < count else ""
    click.echo(f"{plural(count, 'action')}{shown}.")


@command.command("show")
@click.argument("key")
@config_options
@json_option
def show(key: str, config: Config, *, as_json: bool) -> None:
    """Show all about KEY: what is to be done, who had it, how it went."""
    from bouncesink.outbox.queues import find

    with read_ledger(config) as ledger:
        actions = find(ledger, key)
    for action in actions:
        if as_json:
            print_json(action_as_json(action))
            continue
        for line in _story(action):
            click.echo(line)


@command.command("approve")
@_keys_argument
@_all_option
@_kind_option
@click.option("--reason", help="Why; it is kept with the action.")
@actor_option
@config_options
def approve(config: Config, **given: Any) -> int:
    """Let what is pending be carried out. Nothing is written to HubSpot before."""
    from bouncesink.outbox.queues import APPROVE, approve_all

    return _move(config, given, APPROVE, approve_all)


@command.command("reject")
@_keys_argument
@_all_option
@_kind_option
@act_options
@config_options
def reject(config: Config, **given: Any) -> int:
    """Let it not be done. With --all, what is pending."""
    from bouncesink.outbox.queues import REJECT, reject_all

    return _move(config, given, REJECT, reject_all)


@command.command("claim")
@_keys_argument
@_kind_option
@click.option(
    "--count",
    default=0,
    type=click.IntRange(0, 10_000),
    help="So many of the --kind, oldest first.",
)
@actor_option
@config_options
@json_option
def claim(
    keys: tuple[str, ...],
    kind: str | None,
    count: int,
    actor: str,
    config: Config,
    *,
    as_json: bool,
) -> int:
    """Take actions to do yourself, so that nobody else does; print them."""
    from bouncesink.outbox.queues import CLAIM, By, claim, find, move

    if bool(keys) == bool(count) or (count and not kind):
        raise InputError("give the KEYs to claim, or how many: --count N --kind KIND")
    with open_engine(config) as engine:
        by = By(actor, engine.clock())
        if count:
            claimed = claim(engine.ledger, ActionKind(kind or ""), count, by)
            code = 0
        else:
            chosen = _chosen(engine.ledger, keys, kind)
            claimed, code = _each(chosen, lambda one: move(engine.ledger, one, CLAIM, by))
        claimed = [action for one in claimed for action in find(engine.ledger, one.key)]
    for action in claimed:
        if as_json:
            print_json(action_as_json(action))
        else:
            click.echo("\n".join(_story(action)))
    if not as_json:
        click.echo(f"Claimed by {safe(actor)}: {plural(len(claimed), 'action')}.")
    return code


@command.command("done")
@_keys_argument
@_all_option
@_kind_option
@click.option("--reason", help="What was done; it is kept with the action.")
@actor_option
@config_options
def done(config: Config, **given: Any) -> int:
    """Say that it has been done. With --all, what you have claimed."""
    from bouncesink.outbox.queues import DONE, finish_all

    return _move(config, given, DONE, finish_all)


@command.command("retry")
@_keys_argument
@_all_option
@_kind_option
@click.option("--reason", help="Why; it is kept with the action.")
@actor_option
@config_options
def retry(config: Config, **given: Any) -> int:
    """Have it tried again now: what failed, what waits for its time, what a person claimed.

    What failed is approved by that. With --all, all that failed.
    """
    from bouncesink.outbox.queues import By, retry, retry_all

    if given["every"]:
        return _move_all(config, given, retry_all, "to be tried again")
    with open_engine(config) as engine:
        by = By(given["actor"], engine.clock(), given["reason"])
        chosen = _chosen(engine.ledger, given["keys"], given["kind"])
        moved, code = _each(chosen, lambda one: _say(one, retry(engine.ledger, one, by)))
    click.echo(f"{plural(len(moved), 'action')}.")
    return code


@command.command("export")
@click.option("--kind", type=_Kind, required=True, help="Of this kind.")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([state.value for state in ActionState]),
    help="Only in this state; several may be given.  [default: what may be carried out]",
)
@click.option(
    "--format", "form", default="csv", show_default=True, type=click.Choice(["csv", "json"])
)
@click.option("--out", type=click.Path(path_type=Path), help="The file.  [default: stdout]")
@config_options
def export(kind: str, states: tuple[str, ...], form: str, out: Path | None, config: Config) -> None:
    """Write a queue as CSV or JSON, to carry it out elsewhere; then `queue done` what you did.

    Of proposals for HubSpot that is the approved ones, of all others what is open. The advisories
    are the addresses that enrichment must not bring back: leave them open, and they go by
    themselves when the address is reinstated.
    """
    from bouncesink.outbox.export import columns, csv_line, rows

    wanted = [ActionState(state) for state in states] or list(_exported(ActionKind(kind), config))
    with read_ledger(config) as ledger:
        found = list(rows(ledger.list_actions(ActionKind(kind), wanted, _EVERY)))
    if form == "csv":
        lines = [csv_line(columns(ActionKind(kind)))]
        lines += [csv_line(list(row.values())) for row in found]
        text = "".join(lines)
    else:
        import json

        text = json.dumps(found, indent=1) + "\n"
    if out is None and sys.stdout.isatty():
        click.echo("\n".join(map(safe, text.splitlines())))  # for the eye: fit for a terminal
        return
    if out is None:
        click.echo(text.encode(), nl=False)
        return
    try:
        out.write_bytes(text.encode())
    except OSError as error:
        raise InputError(f"{out}: cannot be written: {error.strerror}") from None
    click.echo(f"{safe(str(out))}: {plural(len(found), 'action')}.")


def _exported(kind: ActionKind, config: Config) -> tuple[ActionState, ...]:
    if kind is ActionKind.HUBSPOT_PROPOSAL and config.hubspot.approve == "manual":
        return (ActionState.APPROVED,)
    return OPEN


def _move(
    config: Config,
    given: dict[str, Any],
    what: "Move",
    of_all: Callable[["Ledger", ActionKind, "By"], int],
) -> int:
    """Move the given actions, each as far as nobody was quicker."""
    from bouncesink.outbox.queues import By, move

    if given["every"]:
        return _move_all(config, given, of_all, what.word)
    with open_engine(config) as engine:
        by = By(given["actor"], engine.clock(), given["reason"])
        chosen = _chosen(engine.ledger, given["keys"], given["kind"])
        moved, code = _each(chosen, lambda one: move(engine.ledger, one, what, by))
    click.echo(f"{plural(len(moved), 'action')} {what.word}.")
    return code


def _move_all(
    config: Config,
    given: dict[str, Any],
    of_all: Callable[["Ledger", ActionKind, "By"], int],
    word: str,
) -> int:
    from bouncesink.outbox.queues import By

    if given["keys"] or not given["kind"]:
        raise InputError("--all goes with --kind KIND, and without KEYs")
    with open_engine(config) as engine:
        by = By(given["actor"], engine.clock(), given["reason"])
        count = of_all(engine.ledger, ActionKind(given["kind"]), by)
    click.echo(f"{plural(count, 'action')} {word}.")
    return 0


def _chosen(ledger: "Ledger", keys: Sequence[str], kind: str | None) -> list[Action]:
    """Give what the keys mean; nothing is done unless all of them mean something."""
    from bouncesink.outbox.queues import find

    if not keys:
        raise InputError("which? give KEYs, or --all with --kind")
    wanted = ActionKind(kind) if kind else None
    found = {action.key: action for key in keys for action in find(ledger, key, wanted)}
    return list(found.values())


def _each(actions: Sequence[Action], act: Callable[[Action], None]) -> tuple[list[Action], int]:
    """Do it with each; give those with which it went well, and the exit code."""
    went_well: list[Action] = []
    for action in actions:
        try:
            act(action)
            went_well.append(action)
        except AlreadyDecided as error:
            click.echo(f"bouncesink: {safe(str(error))}", err=True)
    return went_well, 0 if len(went_well) == len(actions) else 1


def _say(action: Action, word: str) -> None:
    click.echo(f"{safe(action.key)}: {word}")


def _row(action: Action) -> Sequence[object]:
    payload = action.payload
    about = f"HARD since {payload['hard_since']}" if "hard_since" in payload else payload.get("why")
    why = action.last_error or action.reason or about
    since = (action.moved_at or action.created_at).strftime("%Y-%m-%d %H:%M")
    return safe(action.key, 100), action.state.value, since, safe(why, 60)


def _story(action: Action) -> Iterator[str]:
    from bouncesink.outbox.export import link

    field = partial("  {:8} {}".format)
    yield safe(action.key)
    yield field(
        "state", f"{action.state.value}, since {when(action.moved_at or action.created_at)}"
    )
    if action.actor or action.reason:
        yield field("by", f"{safe(action.actor) or 'nobody'}: {safe(action.reason, 300)}")
    if action.lead_id:
        yield field("lead", safe(action.lead_id))
    for name, value in sorted(action.payload.items()):
        yield field(safe(name), safe(value, 300))
    if found := link(action):
        yield field("link", found)
    if action.attempts:
        yield field("attempts", f"{action.attempts:,} failed, the last: {safe(action.last_error)}")
    if action.next_attempt_at:
        word = "until" if action.state is ActionState.CLAIMED else "again at"
        yield field(word, when(action.next_attempt_at))
