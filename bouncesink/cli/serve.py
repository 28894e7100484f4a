"""`bouncesink serve`: the service."""

import asyncio

import click

from bouncesink.cli.options import config_options
from bouncesink.config import Config
from bouncesink.errors import ConfigError


@click.command()
@config_options
def command(config: Config) -> None:
    """Take in bounces over LMTP, and do all that follows, until SIGTERM.

    Logs go to stderr, one event a line.
    """
    from bouncesink.logs import configure
    from bouncesink.service import serve

    if not config.lmtp.recipients and not config.mailboxes:
        raise ConfigError(
            "no recipient is configured, so no mail would be accepted. In the config file: "
            '[lmtp] recipients = ["bounces@example.com"]'
        )
    configure(config.log)
    asyncio.run(serve(config))
