"""`bouncesink init`: a config to start from."""

from importlib import resources
from pathlib import Path

import click

from bouncesink.errors import InputError


@click.command()
@click.argument("path", type=click.Path(path_type=Path), default="bouncesink.toml")
def command(path: Path) -> None:
    """Write a commented config file to PATH, by default bouncesink.toml."""
    text = resources.files("bouncesink").joinpath("bouncesink.example.toml").read_text("utf-8")
    try:
        file = path.open("x", encoding="utf-8")
    except FileExistsError:
        raise InputError(f"{path}: exists already, and is left as it is") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from None
    try:
        with file:
            file.write(text)
    except OSError as error:
        path.unlink()  # half a config would be taken for one, or be in the way of the next try
        raise InputError(f"{path}: cannot be written: {error.strerror}") from None
    click.echo(f"Wrote {path}. Set lmtp.recipients, then: bouncesink doctor --config {path}")
