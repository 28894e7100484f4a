"""`bouncesink replay`: files through the same engine as the service, into a ledger."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bouncesink.cli.bar import Bar, progress
from bouncesink.cli.options import config_options, json_option, open_engine, reader_pool
from bouncesink.cli.show import safe
from bouncesink.cli.tally import Tally
from bouncesink.config import Config
from bouncesink.model import ActionKind, ActionState, Arrival

if TYPE_CHECKING:  # the real imports are slow, and help needs none of them
    from bouncesink.engine import Engine
    from bouncesink.intake.archive import Wanted
    from bouncesink.intake.found import Found
    from bouncesink.ledger import Replay
    from bouncesink.reader import ReaderPool

_BATCH = 1000
_BATCH_BYTES = 32_000_000
_BATCH_READ = 128_000_000
"""Octets of archives after which it is noted how far they are read, whatever was taken of them."""


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--leads", type=click.Path(path_type=Path), help="A CSV of leads to reconcile with.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Where the reconciled copy of --leads goes.  [default: the config's, else "
    "./lead_details.csv]",
)
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="Take every mail of an mbox, an archive or a Maildir, people's own too.",
)
@click.option(
    "--restart", is_flag=True, help="Read an mbox or an archive from its start once more."
)
@config_options
@json_option
def command(
    paths: tuple[str, ...],
    leads: Path | None,
    out: Path | None,
    config: Config,
    *,
    everything: bool,
    restart: bool,
    as_json: bool,
) -> int:
    """Read mails into the ledger, as if they had just come in.

    PATH is a mail, an mbox, a Maildir, an archive (.zip, .tar, .tgz, .gz: of mails or mboxes, as
    from Google Takeout), a folder of any of these, a glob, or - for standard input. Replaying the
    same mail again changes nothing, and an mbox or an archive that was stopped goes on where it
    was. Of those and of a Maildir, mails that no machine wrote are passed over and not kept. With
    --leads a copy of the sheet gets the five columns; the given file is not touched.
    """
    from bouncesink.cli.sheet import copy_sheet, flush_sheet
    from bouncesink.intake.archive import Wanted

    if leads:
        config = copy_sheet(config, leads, out)
    tally = Tally(as_json=as_json)
    flushed = ""
    with reader_pool(config) as pool, open_engine(config) as engine:
        if leads:
            flush_sheet(engine)  # first, so that each event finds its lead
        wanted = Wanted(config.lmtp.max_message_size, everything=everything)
        if not restart:
            wanted = replace(wanted, resume=engine.ledger.replay)
        _replay(paths, wanted, engine, pool, tally)
        if leads:
            flushed = flush_sheet(engine)
        reviews = engine.ledger.totals().actions.get((ActionKind.REVIEW, ActionState.PENDING), 0)
    tally.show(reviews)
    if flushed and not as_json:
        click.echo(flushed)
    return 1 if tally.problems else 0


def _replay(
    paths: Sequence[str], wanted: "Wanted", engine: "Engine", pool: "ReaderPool", tally: Tally
) -> None:
    from bouncesink.intake.files import find, total_size

    ledger = engine.ledger
    with progress(total_size(paths) if sys.stderr.isatty() else 0, "Reading") as bar:
        for batch in _batches(find(paths, wanted), tally, bar):
            with ledger.transaction():
                new = ledger.append(batch.arrivals)
                # With the mails, or not at all: whatever stops us, none is left out.
                ledger.put_replays(batch.marks.values(), engine.clock())
            tally.begin(batch.arrivals, batch.files, new)
            engine.drain(pool, tally.observe)
            tally.end()
    tally.left = engine.drain(pool).arrivals  # by a replay that was killed, for one


@dataclass(slots=True)
class _Batch:
    """Mails that are taken at once, and how far that brings each archive, by its id."""

    arrivals: list[Arrival] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    marks: dict[str, "Replay"] = field(default_factory=dict)
    octets: int = 0
    read: int = 0

    @property
    def is_full(self) -> bool:
        return (
            len(self.arrivals) >= _BATCH
            or self.octets >= _BATCH_BYTES
            or (bool(self.marks) and self.read >= _BATCH_READ)
        )


def _batches(found: "Iterable[Found]", tally: Tally, bar: Bar) -> Iterator[_Batch]:
    from bouncesink.engine import utcnow
    from bouncesink.intake.files import to_arrival

    batch = _Batch()
    for each in found:
        if each.resumed:
            bar.shorten(each.read)
            if not each.resumed.done:
                bar.say(f"{safe(each.file)}: goes on after {each.resumed.mails:,} mails")
        else:
            is_mail = bool(each.raw or each.problem or each.passed_over)
            bar.advance(each.read, int(is_mail))
        if each.problem:
            bar.say(f"bouncesink: {safe(each.file)} {each.problem}")
        tally.find(each)
        if each.mark:
            batch.marks[each.mark.id] = each.mark
        if each.raw:
            batch.arrivals.append(to_arrival(each, utcnow()))
            batch.files.append(each.file)
        batch.octets += len(each.raw)
        batch.read += each.read
        if batch.is_full:
            yield batch
            batch = _Batch()
    yield batch
