"""What several commands share: the config, the ledger, --json."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bouncesink.address import normalise
from bouncesink.config import Config, LedgerConfig, LogConfig, load
from bouncesink.errors import InputError, LedgerError

if TYPE_CHECKING:  # the real imports are slow, and help needs none of them
    from bouncesink.engine import Engine
    from bouncesink.ledger import Ledger
    from bouncesink.reader import ReaderPool


_PATH = f"{__name__}.config"
_LEDGER = f"{__name__}.ledger"


def config_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --config and --ledger; the function gets the `config` they make."""
    function = click.option(
        "--ledger",
        "ledger_path",
        type=click.Path(path_type=Path),
        expose_value=False,
        callback=_set_ledger,
        help="The ledger's file.  [default: the config's, else ./bouncesink.db]",
    )(function)
    return click.option(
        "--config",
        "config",
        type=click.Path(path_type=Path),
        envvar="BOUNCESINK_CONFIG",
        is_eager=True,
        callback=_load_config,
        help="The config file.  [default: $BOUNCESINK_CONFIG, else built-in defaults]",
    )(function)


def config_again(ctx: click.Context) -> Config:
    """Give the config of these same options as it is now. Raises ConfigError."""
    path, ledger = ctx.meta.get(_PATH), ctx.meta.get(_LEDGER)
    config = load(path) if path else Config()
    return replace(config, ledger=LedgerConfig(path=ledger)) if ledger else config


def json_option(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(function)


def limit_option(default: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add --limit, how many rows are shown; its greatest is SQLite's greatest integer."""
    return click.option(
        "--limit", default=default, show_default=True, type=click.IntRange(1, 2**63 - 1)
    )


def an_address(given: str) -> str:
    """Normalise an address that a person typed. Raises InputError."""
    address = normalise(given)
    if address is None or any("\ud800" <= c <= "\udfff" for c in address):  # not UTF-8
        raise InputError(f"{given!r} is not an e-mail address")
    return address


def act_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --reason and --actor, which every recorded act has."""
    return click.option(
        "--reason", required=True, callback=_words, help="Why; it is kept with the act."
    )(actor_option(function))


def actor_option(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--actor",
        default=_login,
        show_default="your login name",
        callback=_words,
        help="Who decides.",
    )(function)


def print_json(value: Any) -> None:
    """Print one line of JSON; ASCII, so that no terminal acts on what a bounce put in it."""
    click.echo(json.dumps(value, ensure_ascii=True, separators=(", ", ": ")))


def reader_pool(config: Config) -> "ReaderPool":
    """Open a pool for a command that has the machine to itself: a worker for each core."""
    from bouncesink.reader import ReaderPool

    workers = max(config.parse.workers, os.cpu_count() or 1)
    return ReaderPool(replace(config.parse, workers=workers), config.classify.rules)


@contextmanager
def open_engine(config: Config) -> Iterator["Engine"]:
    """Open the ledger and an engine over it, for a command that writes."""
    from bouncesink.engine import Engine
    from bouncesink.ledger import open_ledger
    from bouncesink.logs import configure

    configure(LogConfig(level="warning"))
    ledger = open_ledger(config.ledger.path)
    try:
        yield Engine(ledger, config)
    finally:
        ledger.close()


def existing_ledger(config: Config) -> None:
    """Refuse to make a ledger, where only one that is there can be meant. Raises LedgerError."""
    if not config.ledger.path.exists():
        raise LedgerError(f"{config.ledger.path}: there is no such ledger")


@contextmanager
def read_ledger(config: Config) -> Iterator["Ledger"]:
    """Open the ledger for a command that only reads."""
    from bouncesink.ledger import open_ledger

    ledger = open_ledger(config.ledger.path, read_only=True)
    try:
        yield ledger
    finally:
        ledger.close()


def _login() -> str:
    """Give who is behind a sudo, else the user."""
    return os.environ.get("SUDO_USER") or os.environ.get("USER") or f"uid {os.getuid()}"


def _words(_ctx: click.Context, param: click.Parameter, text: str) -> str:
    if not text.strip():
        raise click.BadParameter("some words are wanted", param=param)
    return text.strip()


def _load_config(ctx: click.Context, _param: click.Parameter, path: Path | None) -> Config:
    ctx.meta[_PATH] = path
    return config_again(ctx)


def _set_ledger(ctx: click.Context, _param: click.Parameter, path: Path | None) -> None:
    if path:
        ctx.meta[_LEDGER] = path
        config: Config = ctx.params["config"]
        ctx.params["config"] = replace(config, ledger=LedgerConfig(path=path))
