"""`bouncesink verify`: whether the ledger is whole."""

from typing import TYPE_CHECKING

import click

from bouncesink.cli.options import (
    actor_option,
    config_options,
    existing_ledger,
    json_option,
    open_engine,
    print_json,
)
from bouncesink.cli.show import plural, safe
from bouncesink.cli.ticker import ticker
from bouncesink.config import Config
from bouncesink.errors import LedgerError

if TYPE_CHECKING:  # the real import is slow, and help needs none of it
    from bouncesink.engine.verify import Finding, Verification

_MENDS = {
    "restore": "Restore the last good backup: `bouncesink restore FILE --replace`; what came since "
    "stays in the ledger that this sets aside, to be saved with `sqlite3 FILE .recover`.",
    "repair": "`bouncesink verify --repair` puts it right.",
    "look": "Look at it; it stops nothing.",
}


@click.command()
@click.option("--repair", "mend", is_flag=True, help="Count and fold anew what is only derived.")
@actor_option
@config_options
@json_option
def command(actor: str, config: Config, *, mend: bool, as_json: bool) -> int:
    """Look at the whole ledger: its pages, its counters, and whether each state is right.

    It may run beside the service, and takes as long as reading everything does. Exits with 3 when
    something is damaged, and says what to do.
    """
    from bouncesink.engine.verify import repair, verify
    from bouncesink.ledger import AuditLine

    existing_ledger(config)
    with open_engine(config) as engine, ticker() as tick:
        looking = ["pages"]

        def step(name: str) -> None:
            looking[:] = [name]
            tick(name, 0)

        found = verify(engine, step, lambda more: tick(looking[0], more))
        repaired = mend and bool(found.findings)
        if repaired and all(finding.mend != "restore" for finding in found.findings):
            repair(engine, found)
            found = verify(engine)
        try:
            said = f"{len(found.findings)} findings" if found.findings else "whole"
            act = "repair" if repaired else "verify"
            line = AuditLine(engine.clock(), actor, act, str(config.ledger.path), after=said)
            engine.ledger.add_audit([line])
        except LedgerError as error:  # that is what we are here to say
            click.echo(f"bouncesink: {safe(str(error))}", err=True)
    if as_json:
        print_json(_as_json(found))
    else:
        _say(config, found)
    return LedgerError.exit_code if any(f.mend != "look" for f in found.findings) else 0


def _say(config: Config, found: "Verification") -> None:
    counts = (
        f"{plural(found.mails, 'mail')}, {plural(found.events, 'event')}, "
        f"{plural(found.contacts, 'address', 'addresses')}"
    )
    if not found.findings:
        click.echo(f"{safe(str(config.ledger.path))}: is whole: {counts}.")
        return
    click.echo(f"{safe(str(config.ledger.path))}: is not as it should be; looked at {counts}.")
    for finding in found.findings:
        click.echo(f"\n{safe(finding.what)}")
        for where in finding.where:
            click.echo(f"  {safe(where, 200)}")
    click.echo("")
    for mend in dict.fromkeys(finding.mend for finding in found.findings):
        click.echo(_MENDS[mend])


def _as_json(found: "Verification") -> dict[str, object]:
    def shape(finding: "Finding") -> dict[str, object]:
        return {"what": finding.what, "mend": finding.mend, "where": list(finding.where)}

    return {
        "whole": not found.findings,
        "mails": found.mails,
        "events": found.events,
        "contacts": found.contacts,
        "actions": found.actions,
        "audit_lines": found.audit_lines,
        "findings": [shape(finding) for finding in found.findings],
    }
