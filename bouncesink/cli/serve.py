"""`bouncesink serve`: the service."""

import asyncio
import faulthandler
import sys

import click

from bouncesink.cli.options import config_again, config_options
from bouncesink.config import Config
from bouncesink.errors import ConfigError


@click.command()
@config_options
@click.pass_context
def command(ctx: click.Context, config: Config) -> None:
    """Take in bounces over LMTP, and do all that follows, until SIGTERM.

    Logs go to stderr, one event a line. SIGHUP has the config read again.
    """
    from bouncesink.logs import configure
    from bouncesink.service import serve

    def checked(config: Config) -> Config:
        if not (config.lmtp.recipients or config.mailboxes or config.providers):
            raise ConfigError(
                "no recipient is configured, so no mail would be accepted. In the config file: "
                '[lmtp] recipients = ["bounces@example.com"]'
            )
        return config

    checked(config)
    configure(config.log)
    # systemd's watchdog ends what is stuck with SIGABRT: then the log tells where it was.
    faulthandler.enable(sys.__stderr__ or 2)
    asyncio.run(serve(config, lambda: checked(config_again(ctx))))
