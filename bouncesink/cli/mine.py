"""`bouncesink mine`: bounces out of the mailboxes, over IMAP."""

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import click

from bouncesink.address import normalise
from bouncesink.cli.options import config_options, json_option, open_engine, print_json, reader_pool
from bouncesink.cli.show import plural, safe, table
from bouncesink.config import Config, MailboxConfig
from bouncesink.errors import BouncesinkError, ConfigError, InputError, LedgerError

if TYPE_CHECKING:  # the real imports are slow, and help needs none of them
    from bouncesink.intake.imap.mine import Mined

_PATIENCE = 3.0
"""Seconds that an interrupted run waits for what is being committed."""


@click.command()
@click.option("--source", "names", multiple=True, metavar="NAME", help="Only this mailbox.")
@click.option(
    "--days",
    type=click.IntRange(1, 3650),
    help="Look back so far, also at what was looked at.  [default: 30 on the first run, then 7]",
)
@config_options
@json_option
def command(names: tuple[str, ...], days: int | None, config: Config, *, as_json: bool) -> int:
    """Take bounces out of the mailboxes into the ledger, over IMAP.

    Those of [[mailboxes]] that have `imap` are read side by side, each from where it was read up
    to. Nothing in them is changed. What cannot be fetched is tried again the next time.
    """
    from bouncesink.intake import imap

    runs = [_Run(mailbox) for mailbox in _chosen(config, names)]
    imap.require()
    with reader_pool(config) as pool, open_engine(config) as engine:
        with _progress() as observe:
            _mine_all(runs, config, days, observe)
        engine.drain(pool)
    for run in runs:
        for problem in run.problems:
            click.echo(f"bouncesink: {safe(problem)}", err=True)
    if as_json:
        for run in runs:
            print_json(run.as_json())
    else:
        _show(runs)
    return 1 if any(run.problems for run in runs) else 0


@dataclass(slots=True)
class _Run:
    """One mailbox, and what came of mining it: a result or an error."""

    mailbox: MailboxConfig
    result: "Mined | None" = None
    error: Exception | None = None
    thread: threading.Thread | None = field(default=None, repr=False)

    @property
    def problems(self) -> list[str]:
        if self.error is not None:
            return [f"{self.mailbox.address}: {self.error}"]
        problems = self.result.problems if self.result else []
        return [f"{self.mailbox.address}: {each}" for each in problems]

    def as_json(self) -> dict[str, object]:
        if self.result is None:
            return {"mailbox": self.mailbox.address, "error": str(self.error)}
        return asdict(self.result) | {"error": None}


def _chosen(config: Config, names: Sequence[str]) -> list[MailboxConfig]:
    mined = {normalise(each.address): each for each in config.mailboxes if each.imap}
    if not mined:
        raise ConfigError(
            "no mailbox is mined. In the config file, to [[mailboxes]]: "
            'imap = { host = "imap.example.com", password_file = "mailbox.password" }'
        )
    for name in names:
        if normalise(name) not in mined:
            known = ", ".join(each.address for each in mined.values())
            raise InputError(f"{name}: is not mined; [[mailboxes]] with imap are: {known}")
    wanted = {normalise(name) for name in names}
    return [each for address, each in mined.items() if not wanted or address in wanted]


def _mine_all(
    runs: Sequence[_Run], config: Config, days: int | None, observe: Callable[[int, int], None]
) -> None:
    """Mine side by side. Raises LedgerError if one had it: then all have."""
    stop = threading.Event()
    for run in runs:
        run.thread = threading.Thread(
            target=_mine, args=(run, config, days, stop, observe), daemon=True
        )
        run.thread.start()
    try:
        for run in runs:
            assert run.thread is not None
            run.thread.join()
    except KeyboardInterrupt:
        stop.set()
        for run in runs:
            if run.thread is not None:
                run.thread.join(_PATIENCE)
        raise
    for run in runs:
        if isinstance(run.error, LedgerError):
            raise run.error


def _mine(
    run: _Run,
    config: Config,
    days: int | None,
    stop: threading.Event,
    observe: Callable[[int, int], None],
) -> None:
    from bouncesink.engine import utcnow
    from bouncesink.intake.imap.mine import Miner
    from bouncesink.ledger import open_ledger

    size = config.lmtp.max_message_size
    try:
        with (
            closing(open_ledger(config.ledger.path)) as ledger,
            closing(Miner(run.mailbox, ledger, size, utcnow, stop, observe)) as miner,
        ):
            run.result = miner.mine(days)
    except BouncesinkError as error:
        run.error = error
    except Exception as error:
        run.error = BouncesinkError(f"an error of bouncesink's own, please report it: {error!r}")


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """Give what several threads may tell their progress to; shown on stderr if a terminal."""
    if not sys.stderr.isatty():
        yield lambda _found, _done: None
        return
    lock = threading.Lock()
    with click.progressbar(
        length=0, label="Reading", show_pos=True, show_percent=False, file=sys.stderr
    ) as bar:

        def observe(found: int, done: int) -> None:
            with lock:
                bar.length = (bar.length or 0) + found
                bar.update(done)

        yield observe


def _show(runs: Sequence[_Run]) -> None:
    results = [run.result for run in runs if run.result]
    if results:
        rows = [
            (each.mailbox, each.folders, each.looked_at, each.notifications, each.new)
            for each in results
        ]
        click.echo(table(("mailbox", "folders", "looked at", "fetched", "new"), rows) + "\n")
    new = sum(each.new for each in results)
    click.echo(f"{plural(new, 'mail')} new in the ledger.")
    if failed := sum(run.error is not None for run in runs):
        click.echo(f"{plural(failed, 'mailbox', 'mailboxes')} could not be read, see above.")
