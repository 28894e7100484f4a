"""What webhooks told of late, in SQLite."""

from collections.abc import Sequence
from contextlib import closing
from datetime import datetime

from bouncesink.ledger import rows
from bouncesink.ledger.tables import Tables


class Webhooks(Tables):
    """See `bouncesink.ledger.Ledger`."""

    def latest_of(self, source: str, since: datetime, limit: int) -> Sequence[bytes]:
        sql = (
            "SELECT received_at, CASE WHEN source = ? AND kept = 'all' THEN raw END "
            "FROM arrivals JOIN arrival_bytes USING (number) ORDER BY number DESC"
        )
        found: list[bytes] = []
        with closing(self._db.each(sql, (rows.clean(source),))) as each:
            for received_at, raw in each:
                if received_at < rows.time_text(since) or len(found) >= limit:
                    break
                if raw is not None:
                    found.append(bytes(raw))
        return found[::-1]
