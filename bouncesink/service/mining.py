"""Mailboxes that are mined by the service: each has a thread, and fails on its own."""

from collections.abc import Callable
from contextlib import closing
from functools import partial

import structlog

from bouncesink.config import Config, MailboxConfig
from bouncesink.engine import utcnow
from bouncesink.errors import ConfigError, MailboxError
from bouncesink.intake import imap
from bouncesink.ledger import open_ledger
from bouncesink.service.chore import Chore

FIRST_PAUSE = 5.0
MAX_PAUSE = 900.0
"""Seconds: a server that is asked in vain too often locks the mailbox."""

_SHOWN = 5

log = structlog.get_logger(__name__)


def mining_chores(config: Config, on_arrivals: Callable[[], None]) -> dict[str, Chore]:
    """Give a chore for each mailbox that is mined. Raises ConfigError if the extra is missing."""
    mined = [mailbox for mailbox in config.mailboxes if mailbox.imap]
    if mined:
        imap.require()
    made = {}
    for mailbox in mined:
        assert mailbox.imap is not None
        name = f"{mailbox.address} over IMAP"
        step = partial(_mine, config, mailbox, mailbox.imap.poll_every, on_arrivals)
        made[name] = Chore(name, mailbox.imap.poll_every, step, config.ledger.path)
    return made


def _mine(
    config: Config,
    mailbox: MailboxConfig,
    poll_every: float,
    on_arrivals: Callable[[], None],
    chore: Chore,
) -> None:
    """Mine whenever mail has come, or a while has passed, until told to stop."""
    from bouncesink.intake.imap.mine import Miner

    pause = FIRST_PAUSE
    with (
        closing(open_ledger(config.ledger.path)) as ledger,
        closing(
            Miner(
                mailbox,
                ledger,
                config.lmtp.max_message_size,
                utcnow,
                stop=chore.stopping,
                beat=chore.beat,
            )
        ) as miner,
    ):
        while chore.goes_on():
            try:
                mined = miner.mine()
            except (MailboxError, ConfigError) as error:
                log.warning(
                    "mining.failed", mailbox=mailbox.address, error=str(error), again_in=pause
                )
                chore.trouble(str(error))
                miner.rest(pause)
                pause = min(2 * pause, MAX_PAUSE)
                continue
            pause = FIRST_PAUSE
            more = len(mined.problems) - _SHOWN
            shown = [*mined.problems[:_SHOWN], *([f"and {more:,} more"] if more > 0 else [])]
            chore.trouble("; ".join(shown))
            if mined.new:
                on_arrivals()
            tell = log.info if mined.looked_at else log.debug
            tell(
                "mining.done",
                mailbox=mailbox.address,
                looked_at=mined.looked_at,
                notifications=mined.notifications,
                new=mined.new,
            )
            miner.wait(poll_every)
