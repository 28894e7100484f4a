"""How far something is whose end nobody knows, on a terminal only."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

import click

_EVERY = 0.2
"""Seconds between two lines."""


@contextmanager
def ticker() -> Iterator[Callable[[str, int], None]]:
    """Give a function that is told what was done, and how many more of it."""
    if not sys.stderr.isatty():
        yield lambda _what, _more: None
        return
    counts: dict[str, int] = {}
    shown = 0.0

    def tick(what: str, more: int) -> None:
        nonlocal shown
        counts[what] = counts.get(what, 0) + more
        if monotonic() - shown >= _EVERY:
            shown = monotonic()
            click.echo(f"\r\x1b[K{what}: {counts[what]:,}", nl=False, err=True)

    try:
        yield tick
    finally:
        if shown:
            click.echo("\r\x1b[K", nl=False, err=True)
