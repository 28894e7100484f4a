"""The commands: thin, all wiring. Each module is one command, imported when it is called."""

import importlib
import io
import os
import sys
from contextlib import suppress

import click

from bouncesink import __version__
from bouncesink.cli.show import safe
from bouncesink.errors import BouncesinkError, InputError

_COMMANDS = {
    "audit": "audit",
    "backup": "backup",
    "check": "check",
    "doctor": "doctor",
    "explain": "explain",
    "export": "export",
    "flush": "flush",
    "forget": "forget",
    "ingest": "ingest",
    "init": "init",
    "leads": "leads",
    "maintain": "maintain",
    "mine": "mine",
    "parse": "parse",
    "postcards": "postcards",
    "queue": "queue",
    "rebuild": "rebuild",
    "replay": "replay",
    "report": "report",
    "report-bounces": "report_bounces",
    "restore": "restore",
    "reverify": "reverify",
    "review": "review",
    "risk": "risk",
    "rules": "rules",
    "sends": "sends",
    "serve": "serve",
    "status": "status",
    "suppress": "suppress",
    "token": "token",
    "user": "user",
    "verify": "verify",
    "verp": "verp",
}


class _Commands(click.Group):
    """Imports a command's module only when it is wanted, so that each starts fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"bouncesink.cli.{_COMMANDS[cmd_name]}")
        command: click.Command = module.command
        return command

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # click would make it a 1, which means something else here
            raise _NobodyReadsError from None


class _NobodyReadsError(Exception):
    """The reader of our output has gone, as `head` does."""


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def cli() -> None:
    """Read bounces, keep what they say, and know which addresses may be mailed.

    Exit codes: 0 done; 1 done, but not for all (a file that is no mail, an address that must not
    be mailed); 2 wrong usage, config or input; 3 the ledger; 4 a sink; 130 interrupted; 141 nobody
    reads the output any more.
    """


def main(args: list[str] | None = None) -> None:
    """Run a command. A person's mistake ends in one line on stderr, never in a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a locale that lacks a letter must not end us
            stream.reconfigure(errors="backslashreplace")
    try:
        sys.exit(cli.main(args, prog_name="bouncesink", standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except BouncesinkError as error:
        click.echo(f"bouncesink: {safe(str(error))}", err=True)
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except (_NobodyReadsError, BrokenPipeError):
        # Python must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:
        # What nobody foresaw, as a folder on the way that may not be entered.
        where = f"{error.filename}: " if error.filename else ""
        click.echo(f"bouncesink: {safe(f'{where}{error.strerror or error}')}", err=True)
        sys.exit(InputError.exit_code)
    finally:
        _let_go()


def _let_go() -> None:
    """Leave Python nothing to write at exit to a log that nobody reads: it would exit with 120."""
    try:
        sys.stderr.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
