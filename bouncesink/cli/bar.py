"""How far a long reading of mails is, on a terminal."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click._termui_impl import ProgressBar  # what click.progressbar gives has no public name

_LONG = 1_000_000
"""Octets of mail above which reading takes long enough to show how far it is."""
_STEPS = 2000
_CLEAR = "\r\x1b[K"


class Bar:
    """Counts octets and mails; shows them where there is a bar to show them on."""

    def __init__(self, bar: "ProgressBar[str | None] | None" = None) -> None:
        self._bar = bar
        self._mails = 0
        self._since = time.monotonic()

    def advance(self, octets: int, mails: int) -> None:
        """Take so much for read."""
        self._mails += mails
        if self._bar:
            self._bar.update(octets, self._rate())

    def shorten(self, octets: int) -> None:
        """Leave out what need not be read: the time that is left goes by the speed of reading."""
        if self._bar and self._bar.length:
            self._bar.length = max(self._bar.length - octets, 0)

    def say(self, text: str) -> None:
        """Print a line on stderr, not into the bar."""
        click.echo((_CLEAR if self._bar else "") + text, err=True)

    def _rate(self) -> str:
        spent = time.monotonic() - self._since
        rate = f", {self._mails / spent:,.0f} a second" if spent > 1 else ""
        return f"{self._mails:,} mails{rate}"


@contextmanager
def progress(total: int, label: str) -> Iterator[Bar]:
    """Show a bar of `total` octets on stderr, if that is a terminal and they are many."""
    if total < _LONG or not sys.stderr.isatty():
        yield Bar()
        return
    with click.progressbar(
        length=total,
        label=label,
        width=0,
        file=sys.stderr,
        item_show_func=lambda text: text,
        update_min_steps=max(1, total // _STEPS),
    ) as shown:
        yield Bar(shown)
