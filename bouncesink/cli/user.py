"""`bouncesink user`: who may see the page, and who may act."""

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bouncesink.cli.options import config_options, json_option, print_json
from bouncesink.cli.show import plural, safe, table
from bouncesink.config import Config
from bouncesink.errors import InputError

if TYPE_CHECKING:
    from bouncesink.web.access.users import Entry

_ROLES = ("read", "act")


@click.group("user")
def command() -> None:
    """Keep the file web.users: who may see the page, and who may act.

    The service reads it again by itself. It holds no passwords, only hashes of them (scrypt).
    """


@command.command("add")
@click.argument("name")
@click.option("--role", type=click.Choice(_ROLES), default="read", show_default=True)
@config_options
def add(name: str, role: str, config: Config) -> None:
    """Add the user NAME, or change their password and role. Asks for the password.

    A password that is not typed comes from standard input, one line.
    """
    from bouncesink.web.access.users import Entry, Role, User, check_name, hashed

    path, entries = _entries(config)
    check_name(name)
    known = name in entries
    entries[name] = Entry(User(name, Role(role)), hashed(_password(name)))
    _write(path, entries)
    click.echo(f"{safe(name)} may {role}: {'changed' if known else 'added'} in {safe(str(path))}.")


@command.command("remove")
@click.argument("name")
@config_options
def remove(name: str, config: Config) -> None:
    """Take the user NAME off the list; what they have open ends."""
    path, entries = _entries(config)
    if entries.pop(name, None) is None:
        raise InputError(f"{path}: has no user {name!r}")
    _write(path, entries)
    click.echo(f"{safe(name)} is removed from {safe(str(path))}.")


@command.command("list")
@config_options
@json_option
def list_(config: Config, *, as_json: bool) -> None:
    """List the users and what they may do."""
    _, entries = _entries(config)
    users = [entry.user for entry in entries.values()]
    if as_json:
        for user in users:
            print_json({"name": user.name, "role": user.role})
        return
    if users:
        click.echo(table(("name", "may"), [(user.name, user.role) for user in users]))
    click.echo(f"{plural(len(users), 'user')}.")


def _entries(config: Config) -> "tuple[Path, dict[str, Entry]]":
    from bouncesink.web import require

    require()
    from bouncesink.web.access.users import load

    path = config.web.users
    if path is None:
        raise InputError('web.users is not set; add `users = "users"` to [web] of the config')
    return path, load(path) if path.exists() else {}


def _password(name: str) -> str:
    stdin = sys.stdin
    if not stdin.isatty():
        return stdin.readline().rstrip("\r\n")
    typed: str = click.prompt(
        f"Password of {name}", hide_input=True, confirmation_prompt=True, err=True
    )
    return typed


def _write(path: Path, entries: "dict[str, Entry]") -> None:
    """Put the file in place whole, with the rights of the one before, or for its owner alone."""
    from bouncesink.web.access.users import text_of

    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text_of(entries.values()))
            file.flush()
            with suppress(OSError):  # there was none, or it is not ours to give away
                status = path.stat()
                os.fchmod(file.fileno(), status.st_mode & 0o777)
                os.fchown(file.fileno(), status.st_uid, status.st_gid)
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from None
    finally:
        part.unlink(missing_ok=True)
