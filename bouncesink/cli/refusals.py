"""Files of rows that a command takes: what is right goes in, what is not is named."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bouncesink.cli.show import safe
from bouncesink.errors import InputError

if TYPE_CHECKING:  # the real import waits until a command runs
    from bouncesink.intake.rows import Row

_MOST = 20


class Refusals:
    """Says on stderr what was refused, the first few by line and the rest by number."""

    def __init__(self, path: Path) -> None:
        self._name = "standard input" if str(path) == "-" else safe(str(path))
        self.count = 0

    def add(self, number: int, problem: str) -> None:
        self.count += 1
        if self.count <= _MOST:
            click.echo(f"bouncesink: {self._name}, line {number}: {safe(problem)}", err=True)

    def close(self) -> None:
        if self.count > _MOST:
            click.echo(f"bouncesink: {self._name}: and {self.count - _MOST:,} more", err=True)


def given_rows(path: Path, wanted: Collection[str], refusals: Refusals) -> Iterator["Row"]:
    """Give the rows of a file that have what is wanted; the others are refused."""
    from bouncesink.intake.rows import read_rows

    try:
        with click.open_file(str(path), "r", "utf-8-sig", "surrogateescape") as file:
            for row in read_rows(file, wanted):
                if row.problem:
                    refusals.add(row.number, row.problem)
                else:
                    yield row
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
