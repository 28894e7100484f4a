"""The intentions, in SQLite."""

# ruff: noqa: S608 - what is put into the SQL here are names of our own, never data

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta

from bouncesink.ledger import rows
from bouncesink.ledger.forgotten import Forgotten
from bouncesink.ledger.tables import IN_LIST, LAST, OPEN, first_of
from bouncesink.model import Action, ActionKind, ActionState

_CLOCK_STEP = timedelta(minutes=1)
"""By so much a clock may be put back without that anything is taken for the word of a wrong one."""


class Actions(Forgotten):
    """See `bouncesink.ledger.Ledger`."""

    def add_actions(self, actions: Sequence[Action]) -> list[bool]:
        with self._db.transaction():
            known = [rows.action_row(a) for a in self._known(actions, lambda each: each.address)]
            numbers = self._insert("actions", rows.NEW_ACTION, known)
        return first_of([rows.clean(action.key) for action in actions], numbers)

    def open_actions(self, addresses: Iterable[str]) -> list[Action]:
        sql = (
            f"SELECT {rows.ACTION} FROM actions WHERE address {IN_LIST} AND {OPEN} ORDER BY number"
        )
        return self._nouns(rows.action_of, self._db.all(sql, (rows.json_list(addresses),)))

    def cancel_actions(self, keys: Iterable[str], reason: str) -> None:
        with self._db.transaction():
            self._db.write(
                "UPDATE actions SET state = ?, reason = ?, actor = NULL, next_attempt_at = NULL "
                f"WHERE key {IN_LIST} AND {OPEN}",
                [(ActionState.CANCELLED.value, rows.clean(reason), rows.json_list(keys))],
            )

    def reopen_actions(self, keys: Iterable[str]) -> None:
        with self._db.transaction():
            self._db.write(
                "UPDATE actions SET state = ?, reason = NULL "
                f"WHERE key {IN_LIST} AND state = ? AND actor IS NULL",
                [(ActionState.PENDING, rows.json_list(keys), ActionState.CANCELLED)],
            )

    def move_action(  # noqa: PLR0913 - the columns of a move, each by its name
        self,
        key: str,
        states: Collection[ActionState],
        to: ActionState,
        *,
        at: datetime,
        actor: str | None = None,
        reason: str | None = None,
        next_attempt_at: datetime | None = None,
        error: str | None = None,
    ) -> bool:
        sql = (
            "UPDATE actions SET state = ?, moved_at = ?, actor = ?, reason = coalesce(?, reason), "
            "next_attempt_at = ?, last_error = coalesce(?, last_error), attempts = attempts + ? "
            f"WHERE key = ? AND state {IN_LIST} RETURNING key"
        )
        cells = (
            to.value,
            rows.time_text(at),
            rows.maybe(actor),
            rows.maybe(reason),
            rows.maybe_time_text(next_attempt_at),
            rows.maybe(error),
            int(error is not None),
            rows.clean(key),
            rows.json_list(states),
        )
        with self._db.transaction():
            return bool(self._db.all(sql, cells))

    def list_actions(
        self,
        kind: ActionKind | None = None,
        state: ActionState | Collection[ActionState] | None = None,
        limit: int = 100,
    ) -> list[Action]:
        states = [state] if isinstance(state, ActionState) else list(state or ActionState)
        where, cells = f"state {IN_LIST}", [rows.json_list(states)]
        if kind:
            where, cells = f"kind = ? AND {where}", [kind.value, *cells]
        sql = f"SELECT {rows.ACTION} FROM actions WHERE {where} ORDER BY priority, number LIMIT ?"
        return self._nouns(rows.action_of, self._db.all(sql, (*cells, limit)))

    def due_actions(
        self, kind: ActionKind, states: Collection[ActionState], now: datetime, limit: int
    ) -> list[Action]:
        # State by state: each is in order in an index, so that a long queue does not make it slow.
        sql = (
            f"SELECT priority, number, {rows.ACTION} FROM actions WHERE state = ? AND kind = ? "
            "AND (coalesce(next_attempt_at, ?) <= ? OR moved_at > ?) "
            "ORDER BY priority, number LIMIT ?"
        )
        time = rows.time_text(now)
        # What was put off by a clock that was ahead, by a year say, is not to wait for that year.
        ahead = rows.time_text(now + _CLOCK_STEP)
        unless_said = {state.value: "" for state in states} | {ActionState.CLAIMED.value: LAST}
        found: list[rows.Row] = []
        for state, default in unless_said.items():
            found += self._db.all(sql, (state, kind.value, default, time, ahead, limit))
        return self._nouns(rows.action_of, (row[2:] for row in sorted(found)[:limit]))

    def troubled_actions(self, limit: int) -> list[Action]:
        sql = (
            f"SELECT {rows.ACTION} FROM actions WHERE last_error IS NOT NULL "
            f"AND ({OPEN} OR state = 'failed') ORDER BY moved_at DESC, number DESC LIMIT ?"
        )
        return self._nouns(rows.action_of, self._db.all(sql, (limit,)))

    def find_actions(self, prefix: str, limit: int) -> list[Action]:
        sql = f"SELECT {rows.ACTION} FROM actions WHERE key >= ? AND key < ? ORDER BY key LIMIT ?"
        first = rows.clean(prefix)
        return self._nouns(rows.action_of, self._db.all(sql, (first, first + LAST, limit)))
