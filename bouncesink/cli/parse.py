"""`bouncesink parse`: reads only, writes nothing."""

from collections.abc import Iterator
from itertools import tee
from typing import TYPE_CHECKING

import click

from bouncesink.cli.options import config_options, json_option, print_json, reader_pool
from bouncesink.cli.reading import problem_as_json, reading_as_json
from bouncesink.cli.show import safe, table
from bouncesink.config import Config

if TYPE_CHECKING:  # the real import is slow, and help needs none of it
    from bouncesink.reader import Reading


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@config_options
@json_option
def command(paths: tuple[str, ...], config: Config, *, as_json: bool) -> int:
    """Say what each mail is and what it says of whom.

    PATH is a mail, an mbox, an archive, a folder, a glob, or - for standard input. With --json:
    one line of JSON for each mail, as README.md describes it.
    """
    from bouncesink.engine import utcnow
    from bouncesink.intake.archive import Wanted
    from bouncesink.intake.files import find, to_arrival

    now = utcnow()
    problems = 0
    rows: list[tuple[object, ...]] = []
    with reader_pool(config) as pool:
        files, mails = tee(find(paths, Wanted(config.lmtp.max_message_size)))
        readings = pool.read_many(to_arrival(each, now) for each in mails if each.raw)
        for found in files:
            if found.problem:
                problems += 1
                click.echo(f"bouncesink: {safe(found.file)} {found.problem}", err=True)
                if as_json:
                    print_json(problem_as_json(found.file, found.problem))
            if not found.raw:
                continue
            reading = next(readings)
            if as_json:
                print_json(reading_as_json(found.file, reading))
            else:
                rows += _rows(found.file, reading)
    if rows:
        headers = ("file", "kind", "recipient", "means", "category", "code", "rule")
        click.echo(table(headers, rows))
    return 1 if problems else 0


def _rows(file: str, reading: "Reading") -> Iterator[tuple[object, ...]]:
    notice = reading.notice
    for report, verdict in zip(notice.reports, reading.verdicts, strict=True):
        code = report.status or report.reply_code
        yield (
            safe(file, 40),
            notice.kind.value,
            safe(report.mailed, 40),
            verdict.severity.value,
            verdict.category.value,
            code,
            verdict.rule,
        )
    if not notice.reports:
        yield safe(file, 40), notice.kind.value, None, None, None, None, notice.recognizer
