"""The ledger in one SQLite file (WAL). Several processes may write to it, one at a time."""

from contextlib import AbstractContextManager

from bouncesink.ledger.actions import Actions
from bouncesink.ledger.arrivals import Arrivals
from bouncesink.ledger.audit import Audit
from bouncesink.ledger.beats import Beats
from bouncesink.ledger.erasing import Erasing
from bouncesink.ledger.events import Events
from bouncesink.ledger.gate import Gate
from bouncesink.ledger.keeping import Keeping
from bouncesink.ledger.leads import LeadsAndSends
from bouncesink.ledger.mining import Mining
from bouncesink.ledger.pages import Paged
from bouncesink.ledger.replays import Replays
from bouncesink.ledger.standing import Standing
from bouncesink.ledger.unfolded import Unfolded
from bouncesink.ledger.watch import Watched
from bouncesink.ledger.webhooks import Webhooks
from bouncesink.ledger.wholeness import Wholeness


class SqliteLedger(
    Arrivals,
    Events,
    LeadsAndSends,
    Actions,
    Standing,
    Watched,
    Unfolded,
    Mining,
    Beats,
    Replays,
    Keeping,
    Audit,
    Erasing,
    Wholeness,
    Webhooks,
    Paged,
    Gate,
):
    """See `bouncesink.ledger.Ledger`; each table has a module of its own."""

    def close(self) -> None:
        self._db.close()

    def transaction(self) -> AbstractContextManager[None]:
        return self._db.transaction()
