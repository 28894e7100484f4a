"""Addresses whose contact is behind their events, in SQLite."""

# ruff: noqa: S608 - what is put into the SQL here are names of our own, never data

from collections.abc import Iterable

from bouncesink.ledger import rows
from bouncesink.ledger.tables import IN_LIST, Tables


class Unfolded(Tables):
    """See `bouncesink.ledger.Ledger`."""

    def crowded(self, addresses: Iterable[str], most: int) -> set[str]:
        asked = {rows.clean(address): address for address in addresses}
        sql = (
            "SELECT value FROM json_each(?) AS asked WHERE "
            "(SELECT count(*) FROM (SELECT 1 FROM events WHERE address = asked.value LIMIT ?)) > ?"
        )
        cells = (rows.json_list(asked), most + 1, most)
        return {asked[address] for (address,) in self._db.all(sql, cells)}

    def leave_unfolded(self, addresses: Iterable[str]) -> None:
        with self._db.transaction():
            self._insert("unfolded", "address", [(rows.clean(each),) for each in addresses])

    def unfolded(self) -> list[str]:
        found = self._db.all("SELECT address FROM unfolded ORDER BY rowid")
        return [address for (address,) in found]

    def folded(self, addresses: Iterable[str]) -> None:
        with self._db.transaction():
            sql = f"DELETE FROM unfolded WHERE address {IN_LIST}"
            self._db.write(sql, [(rows.json_list(addresses),)])
