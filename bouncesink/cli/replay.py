"""`bouncesink replay`: files through the same engine as the service, into a ledger."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bouncesink.cli.options import config_options, json_option, open_engine, print_json, reader_pool
from bouncesink.cli.shape import event_as_json
from bouncesink.cli.show import plural, progress, safe, table
from bouncesink.config import Config
from bouncesink.model import ActionKind, ActionState, Arrival, Kind, Severity, TrustLevel

if TYPE_CHECKING:  # the real imports are slow, and help needs none of them
    from bouncesink.engine import Engine, Outcome
    from bouncesink.intake.files import Found
    from bouncesink.reader import ReaderPool

_BATCH = 1000
_BATCH_BYTES = 32_000_000
_ROWS = 1000
"""Above so many files a table helps nobody: the summary stands alone, and --json has the rest."""


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--leads", type=click.Path(path_type=Path), help="A CSV of leads to reconcile with.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Where the reconciled copy of --leads goes.  [default: the config's, else "
    "./lead_details.csv]",
)
@config_options
@json_option
def command(
    paths: tuple[str, ...], leads: Path | None, out: Path | None, config: Config, *, as_json: bool
) -> int:
    """Read mails into the ledger, as if they had just come in.

    PATH is a mail, an mbox, a folder, a glob, or - for standard input. Replaying the same mail
    again changes nothing. With --leads a copy of the sheet gets the five columns; the given file
    is not touched.
    """
    from bouncesink.cli.sheet import copy_sheet, flush_sheet

    if leads:
        config = copy_sheet(config, leads, out)
    tally = Tally(as_json=as_json)
    flushed = ""
    with reader_pool(config) as pool, open_engine(config) as engine:
        if leads:
            flush_sheet(engine)  # first, so that each event finds its lead
        _replay(paths, engine, pool, tally)
        if leads:
            flushed = flush_sheet(engine)
        reviews = engine.ledger.totals().actions.get((ActionKind.REVIEW, ActionState.PENDING), 0)
    tally.show(reviews)
    if flushed and not as_json:
        click.echo(flushed)
    return 1 if tally.problems else 0


def _replay(paths: Sequence[str], engine: "Engine", pool: "ReaderPool", tally: "Tally") -> None:
    from bouncesink.intake.files import find, total_size

    found = find(paths, engine.config.lmtp.max_message_size)
    with progress(total_size(paths), "Reading") as advance:
        for batch in _batches(found, tally):
            arrivals = [arrival for arrival, _ in batch]
            tally.files.update({arrival.id: file for arrival, file in batch})
            new = engine.ledger.append(arrivals)
            tally.known.update(
                each.id for each, is_new in zip(arrivals, new, strict=True) if not is_new
            )
            engine.drain(pool, tally.observe)
            advance(sum(len(arrival.raw) for arrival in arrivals))


def _batches(found: "Iterable[Found]", tally: "Tally") -> Iterator[list[tuple[Arrival, str]]]:
    from bouncesink.engine import utcnow
    from bouncesink.intake.files import to_arrival

    batch: list[tuple[Arrival, str]] = []
    size = 0
    for each in found:
        if each.problem:
            tally.problems += 1
            click.echo(f"bouncesink: {safe(each.file)} {each.problem}", err=True)
            continue
        batch.append((to_arrival(each, utcnow()), each.file))
        size += len(each.raw)
        if len(batch) >= _BATCH or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


@dataclass(slots=True)
class Tally:
    """What a replay saw, kept small however long it runs."""

    as_json: bool
    files: dict[str, str] = field(default_factory=dict)
    rows: list[Sequence[object]] = field(default_factory=list)
    kinds: Counter[Kind] = field(default_factory=Counter)
    severities: Counter[Severity] = field(default_factory=Counter)
    read: int = 0
    known: set[str] = field(default_factory=set)
    same: int = 0
    unchecked: int = 0
    problems: int = 0

    def observe(self, outcome: "Outcome") -> None:
        """Take note of one arrival; those of other ways in are drained too, but not shown."""
        file = self.files.pop(outcome.arrival.id, None)
        if file is None:
            return
        self.known.discard(outcome.arrival.id)  # another process put it there, unread yet
        self.read += 1
        self.kinds[outcome.settlement.kind] += 1
        self.same += bool(outcome.reading.notice.reports) and not outcome.events
        for event in outcome.events:
            if event.verdict:
                self.severities[event.verdict.severity] += 1
            self.unchecked += bool(event.trust and event.trust.level is TrustLevel.UNCHECKED)
        if self.as_json:
            print_json(_line(file, outcome))
        elif self.read <= _ROWS:
            self.rows += _rows(file, outcome)

    def show(self, reviews: int) -> None:
        """Print the table and the summary; `reviews` is how many items wait in the ledger."""
        if self.as_json:
            return
        if self.rows and self.read <= _ROWS:
            headers = ("file", "kind", "recipient", "means", "why", "code")
            click.echo(table(headers, self.rows) + "\n")
        kinds = ", ".join(f"{n:,} {kind.value}" for kind, n in self.kinds.most_common())
        click.echo(f"{plural(self.read, 'mail')} read" + (f": {kinds}" if kinds else "") + ".")
        if self.severities:
            found = ", ".join(f"{n:,} {each.value}" for each, n in self.severities.most_common())
            click.echo(f"New in the ledger: {found}.")
        if self.known:
            click.echo(f"{plural(len(self.known), 'mail')} already in the ledger: nothing to do.")
        if self.same:
            click.echo(f"{plural(self.same, 'mail')} told what another had told: counted once.")
        if reviews:
            click.echo(f"{plural(reviews, 'item waits', 'items wait')} for `bouncesink review`.")
        if self.unchecked:
            click.echo(
                "No mailboxes are configured, so there was nothing to compare a bounce with: "
                "each was acted on."
            )
        if elsewhere := len(self.files) - len(self.known):
            click.echo(f"{plural(elsewhere, 'mail')} read by another process meanwhile.")
        if self.problems:
            click.echo(f"{plural(self.problems, 'file')} could not be taken, see above.")


def _line(file: str, outcome: "Outcome") -> dict[str, object]:
    return {
        "file": file,
        "arrival_id": outcome.arrival.id,
        "kind": outcome.settlement.kind.value,
        "state": outcome.settlement.state.value,
        "events": [event_as_json(event) for event in outcome.events],
        "damage": list(outcome.settlement.damage),
    }


def _rows(file: str, outcome: "Outcome") -> Iterator[Sequence[object]]:
    name, kind = Path(file).name[:40], outcome.settlement.kind.value
    for event in outcome.events:
        report, verdict = event.report, event.verdict
        yield (
            name,
            event.kind.value,
            safe(event.address, 44),
            verdict and verdict.severity.value,
            verdict and verdict.category.value,
            report and (report.status or report.reply_code),
        )
    if not outcome.events:
        said = outcome.settlement.note or (
            "as another mail said" if outcome.reading.notice.reports else ""
        )
        yield name, kind, safe(said, 44), None, None, None
