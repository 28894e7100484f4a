"""What becomes of notifications in their mailbox once the ledger has them, where it is configured.

What is owed is written down in the commit that takes a message, and struck off when the server has
done it. So whatever breaks, nothing is touched that was not taken, and the rest is made up for.
"""

from collections.abc import Iterator

import structlog

from bouncesink.config import MailboxConfig
from bouncesink.intake.imap.session import Session
from bouncesink.ledger import Ledger

_BATCH = 100

log = structlog.get_logger(__name__)


def owes(mailbox: MailboxConfig, *, arriving: bool) -> bool:
    """Say whether something is to be done with what is taken; `arriving` as for `tidied`."""
    imap = mailbox.imap
    return imap is not None and (imap.mark_read or (arriving and bool(imap.move_to)))


def tidied(
    session: Session, ledger: Ledger, mailbox: MailboxConfig, folder: str, *, arriving: bool
) -> Iterator[None]:
    """Mark and move what is owed of a folder; stops at each batch that is done.

    `arriving` is whether this is the folder in which new mail shows first: out of others nothing is
    moved. Raises Refused, Broken, LedgerError. What a server has done and we did not hear of is
    done again.
    """
    imap, cursor = mailbox.imap, ledger.folder_cursor(mailbox.address, folder)
    if imap is None or cursor is None or not owes(mailbox, arriving=arriving):
        return
    owed = ledger.owed(cursor)
    # A folder that is another one by now is mined anew, and owes anew what is found there.
    if not owed or session.select(folder).uidvalidity != cursor.uidvalidity:
        return
    if moving := arriving and bool(imap.move_to):
        session.make_folder(imap.move_to)
    while owed:
        batch = owed[:_BATCH]
        if imap.mark_read:
            session.mark_read(batch)
        if moving:
            session.move(batch, folder, imap.move_to)
        ledger.no_longer_owed(cursor, batch)
        log.info("mining.tidied", mailbox=mailbox.address, folder=folder, messages=len(batch))
        del owed[: len(batch)]
        yield
