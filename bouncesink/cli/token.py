"""`bouncesink token`: tokens for programs that ask the gate."""

import click

from bouncesink.cli.options import json_option, print_json


@click.command()
@click.argument("name")
@json_option
def command(name: str, *, as_json: bool) -> None:
    """Make a token for the program NAME, and the line for the file of `web.tokens`.

    The file holds a hash: the token is shown once, and nobody can tell it from the file.
    """
    from bouncesink.web import require

    require()
    from bouncesink.web.tokens import new

    token, line = new(name)
    if as_json:
        print_json({"name": name, "token": token, "line": line})
        return
    click.echo(f"The token, for {name} alone:        {token}")
    click.echo(f"The line for the file web.tokens:  {line}")
