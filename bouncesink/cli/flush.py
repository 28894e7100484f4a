"""`bouncesink flush`: make the sheet say what the ledger knows."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from bouncesink.cli.options import config_options, json_option, open_engine, print_json, read_ledger
from bouncesink.cli.show import plural, safe, table
from bouncesink.config import Config
from bouncesink.errors import InputError

if TYPE_CHECKING:  # the real import is slow, and help needs none of it
    from bouncesink.outbox import FlushResult

_SHOWN = 50
"""Changes that a person is shown; JSON has all."""


@click.command()
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@config_options
@json_option
def command(config: Config, *, dry_run: bool, as_json: bool) -> None:
    """Bring leads in from the sheet, and the five columns out to it.

    It is what `serve` does all the time. A flush that was cut off is made good by the next.
    """
    from bouncesink.engine.stand_watch import stand_watch
    from bouncesink.ledger import SHEET
    from bouncesink.outbox import flush, open_sheet, preview

    sheet = open_sheet(config)
    if sheet is None:
        raise InputError(
            f"{config.sheet.path}: there is no such sheet. Put the leads there, or name another in "
            "[sheet] path; `bouncesink leads import` is for leads without a sheet"
        )
    if dry_run:
        with read_ledger(config) as ledger:
            result = preview(sheet, ledger, config)
    else:
        with open_engine(config) as engine:
            result = flush(sheet, engine.ledger, config, redecide=engine.redecide)
            engine.ledger.put_beat(SHEET, engine.clock())
            stand_watch(engine.ledger, config, engine.clock())
    if as_json:
        print_json({"sheet": sheet.name, "dry_run": dry_run, **_as_json(result)})
        return
    for line in _lines(sheet.name, result, dry_run=dry_run):
        click.echo(line)


def _lines(name: str, result: "FlushResult", *, dry_run: bool) -> Iterator[str]:
    shown = result.changes[:_SHOWN] if dry_run else ()
    if shown:
        headers = ("row", "key", "e-mail", "column", "is", "becomes")
        rows = ((c.row, c.key, c.email, c.column, _cell(c.before), _cell(c.after)) for c in shown)
        yield table(headers, rows)
    if len(result.changes) > len(shown) > 0:
        yield f"and {len(result.changes) - len(shown):,} more (--json shows all)"
    would = "would be " if dry_run else ""
    added = f", {would}added: {', '.join(result.added)}" if result.added else ""
    cells = plural(len(result.changes), "cell")
    yield f"{safe(name)}: {plural(result.leads, 'lead')}, {cells} {would}written{added}."
    for problem in result.problems:
        yield f"{safe(name)}: {safe(problem)}"


def _cell(value: object) -> str:
    text = safe(str(value).upper() if isinstance(value, bool) else str(value), 40)
    return text or "(empty)"


def _as_json(result: "FlushResult") -> dict[str, Any]:
    return {
        "rows": result.rows,
        "leads": result.leads,
        "cells": result.cells,
        "added": list(result.added),
        "repairs": result.repairs,
        "changes": [
            {
                "row": change.row,
                "key": change.key,
                "email": change.email,
                "column": change.column,
                "before": change.before,
                "after": change.after,
            }
            for change in result.changes
        ],
        "problems": list(result.problems),
    }
