"""Mining: from a mailbox into the ledger, a batch at a time, and on from there the next time.

Each batch is committed together with the cursor, so that whatever breaks, nothing is passed over
and the same is taken again at the most. What a server finds by a date or under a label may come
late: so the last days are looked at again, without what is known of them.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from email.utils import parseaddr

import structlog

from bouncesink.config import MailboxConfig
from bouncesink.errors import MailboxError
from bouncesink.identity import arrival_id
from bouncesink.intake.imap.folders import folders_to_mine
from bouncesink.intake.imap.login import Login
from bouncesink.intake.imap.session import (
    Broken,
    Examined,
    Glance,
    Refused,
    Session,
    Unreachable,
    connect,
)
from bouncesink.intake.imap.tidy import owes, tidied
from bouncesink.ledger import FolderCursor, Ledger, MinedMessage
from bouncesink.model import Arrival
from bouncesink.parse.likely import may_be_notification
from bouncesink.parse.mime import Headers

SOURCE = "imap"
FIRST_DAYS = 30
"""How far back the first run goes."""
OVERLAP_DAYS = 7
"""How far a later run goes back behind the last one."""

_SLACK = timedelta(days=2)
"""SINCE is about dates, in a time zone that only the server knows."""
_BATCH = 100
_BATCH_OCTETS = 8_000_000
_SETBACKS = 6
"""How often in a row a connection may break before anything is done."""
_BEAT = 10.0
_STRIKES = 3
"""How often a message may break the connection, alone in its batch, before it is left for later."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Mined:
    """What one pass over a mailbox did; `problems` are for a person."""

    mailbox: str
    folders: int = 0
    looked_at: int = 0
    notifications: int = 0
    new: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Pass:
    """How far one pass is; it outlives the connections that it takes."""

    started: datetime
    days: int | None
    done: Mined
    connected: bool = False
    arriving: str = ""
    """The folder in which new mail shows first."""
    finished: set[str] = field(default_factory=set)
    batch: int = _BATCH
    steps: int = 0
    left: int = 0
    """Messages of the folder in hand that `observe` heard of as found, and not yet as done."""
    strikes: Counter[tuple[str, int]] = field(default_factory=Counter)


@dataclass(slots=True)
class Miner:
    """Mines one mailbox into one ledger; it belongs to one thread, as its ledger does.

    `max_size` is in octets: of a larger message only so many are taken. `observe` is called with
    how many more messages were found, and how many more are done; `beat` whenever it waits or has
    done something. Once `stop` is set, no more is begun.
    """

    mailbox: MailboxConfig
    ledger: Ledger
    max_size: int
    clock: Callable[[], datetime]
    stop: threading.Event = field(default_factory=threading.Event)
    observe: Callable[[int, int], None] = lambda _found, _done: None
    beat: Callable[[], None] = lambda: None
    _login: Login = field(init=False)
    _session: Session | None = field(init=False, default=None)
    _watched: tuple[str, int] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._login = Login(self.mailbox)

    def close(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

    def mine(self, days: int | None = None) -> Mined:
        """Bring what is new into the ledger, or look at the last `days` once more.

        Raises MailboxError when the mailbox cannot be reached, or its server breaks off again and
        again; LedgerError; ConfigError for a secret. What is done by then is kept.
        """
        run = _Pass(self.clock(), days, Mined(self.mailbox.address))
        setbacks = 0
        while self._goes_on():
            steps = run.steps
            try:
                session = self._connected()
                run.connected = True
                self._mine_folders(session, run)
                break
            except Broken as error:
                self.close()
                setbacks = 1 if run.steps > steps else setbacks + 1
                never = isinstance(error, Unreachable) and not run.connected
                if setbacks > _SETBACKS or never:
                    raise
                log.info("mining.broken", mailbox=self.mailbox.address, error=str(error))
                self.rest(0.1 * 2**setbacks if setbacks > 1 else 0.0)
            except MailboxError:
                self.close()
                raise
        return run.done

    def wait(self, seconds: float) -> None:
        """Wait until mail comes where the server tells (IDLE), until `stop`, or so long."""
        session, begun = self._session, self.clock()
        if session is not None and session.can_idle and self._watched is not None:
            try:
                session.idle(*self._watched, seconds, self._goes_on)
                return
            except MailboxError as error:
                log.info("mining.idle_ended", mailbox=self.mailbox.address, error=str(error))
                waited = (self.clock() - begun).total_seconds()
                seconds = max(0.0, min(seconds, 10.0) - waited)
        self.close()
        self.rest(seconds)

    def rest(self, seconds: float) -> None:
        """Do nothing for so long, or until `stop`."""
        while seconds > 0 and self._goes_on():
            self.stop.wait(min(seconds, _BEAT))
            seconds -= _BEAT

    def _goes_on(self) -> bool:
        self.beat()
        return not self.stop.is_set()

    def _connected(self) -> Session:
        if self._session is None:
            assert self.mailbox.imap is not None
            self._session = connect(self.mailbox.imap, self._login)
        return self._session

    def _mine_folders(self, session: Session, run: _Pass) -> None:
        names = folders_to_mine(session.folders())
        if not names:
            raise MailboxError(f"{self.mailbox.address}: the server shows no folder to read")
        run.arriving = names[0]
        for name in names:
            if name in run.finished or self.stop.is_set():
                continue
            try:
                examined = session.examine(name)
                self._mine_folder(session, name, examined, run)
            except Refused as error:
                run.done.problems.append(f"{name}: {error}")
            else:
                run.done.folders += 1
                if name == run.arriving:
                    self._watched = name, examined.uidnext
            run.finished.add(name)
            run.steps += 1
        # Last, so that a server which fails at that has given all there is to read.
        for name in names:
            if self._goes_on():
                self._tidy(session, name, run)

    def _tidy(self, session: Session, name: str, run: _Pass) -> None:
        arriving = name == run.arriving
        try:
            for _ in tidied(session, self.ledger, self.mailbox, name, arriving=arriving):
                run.steps += 1
                if not self._goes_on():
                    return
        except Refused as error:
            run.done.problems.append(f"{name}: what was taken is left as it was: {error}")

    def _mine_folder(self, session: Session, name: str, examined: Examined, run: _Pass) -> None:
        cursor, since = self._start(name, examined, run)
        found = set(session.search((since - _SLACK).date(), cursor.last_uid))
        troubled = {each.uid for each in self.ledger.unfetched(cursor.mailbox, name)}
        fresh = sorted(found - troubled - self.ledger.mined_uids(cursor, found))
        again = [uid for uid in sorted(troubled) if run.strikes[name, uid] < _STRIKES]
        self.observe(len(fresh) + len(again) - run.left, 0)
        run.left = len(fresh) + len(again)
        while fresh:
            if not self._goes_on():
                return
            batch = fresh[: run.batch]
            self._take(session, cursor, batch, run)
            del fresh[: len(batch)]
        for uid in again:  # once in each pass
            run.strikes[name, uid] = _STRIKES - 1
            self._take(session, cursor, [uid], run)
            run.strikes[name, uid] = _STRIKES
        last = max([examined.uidnext - 1, cursor.last_uid, *found])
        self.ledger.move_cursor(replace(cursor, last_uid=last, mined_at=run.started))
        self.ledger.forget_mined(cursor, run.started - timedelta(days=OVERLAP_DAYS) - 2 * _SLACK)
        run.done.problems += [
            f"{name}, UID {each.uid}: {each.problem}"
            for each in self.ledger.unfetched(cursor.mailbox, name)
        ]

    def _start(self, name: str, examined: Examined, run: _Pass) -> tuple[FolderCursor, datetime]:
        """Give where to go on, and the time from which on messages are looked at again."""
        cursor = self.ledger.folder_cursor(self.mailbox.address, name)
        if cursor is None:
            cursor = FolderCursor(self.mailbox.address, name, examined.uidvalidity)
        elif cursor.uidvalidity != examined.uidvalidity:
            log.warning("mining.uidvalidity", mailbox=self.mailbox.address, folder=name)
            cursor = replace(cursor, uidvalidity=examined.uidvalidity, last_uid=0)
            self.ledger.move_cursor(cursor)
        if run.days is not None:
            return cursor, run.started - timedelta(days=run.days)
        if cursor.mined_at is None:
            return cursor, run.started - timedelta(days=FIRST_DAYS)
        return cursor, cursor.mined_at - timedelta(days=OVERLAP_DAYS)

    def _take(
        self, session: Session, cursor: FolderCursor, uids: Sequence[int], run: _Pass
    ) -> None:
        """Settle messages: each is fetched, left alone, or noted as one that cannot be fetched."""
        try:
            self._settle(session, cursor, uids, run)
        except Refused as error:
            if len(uids) == 1:
                self._leave(cursor, uids[0], f"the server refuses it: {error}", run)
            else:
                for uid in uids:
                    self._take(session, cursor, [uid], run)
        except Broken as error:
            # So steep that the one message that breaks it is found before patience ends.
            run.batch = max(1, len(uids) // 10)
            if len(uids) == 1:
                run.strikes[cursor.folder, uids[0]] += 1
                if run.strikes[cursor.folder, uids[0]] >= _STRIKES:
                    self._leave(cursor, uids[0], f"fetching it fails: {error}", run)
            raise
        else:
            run.batch = min(2 * run.batch, _BATCH)

    def _leave(self, cursor: FolderCursor, uid: int, why: str, run: _Pass) -> None:
        run.strikes[cursor.folder, uid] = _STRIKES
        log.warning(
            "mining.left", mailbox=cursor.mailbox, folder=cursor.folder, uid=uid, problem=why
        )
        left = MinedMessage(uid, self.clock(), problem=why)
        self._commit(replace(cursor, last_uid=uid), [left], [], run)

    def _settle(
        self, session: Session, cursor: FolderCursor, uids: Sequence[int], run: _Pass
    ) -> None:
        looks = session.glance(uids)
        settled = self._not_shown(session, [uid for uid in uids if uid not in looks])
        known = self.ledger.mined_gmail_ids(
            cursor.mailbox, (look.gmail_id for look in looks.values() if look.gmail_id)
        )
        wanted: list[Glance] = []
        for look in looks.values():
            if look.gmail_id not in known and may_be_notification(look.header):
                wanted.append(look)
            else:
                settled.append(_mined(look))
        for group in _groups(sorted(wanted, key=lambda look: look.uid), self.max_size):
            taken = self._fetched(session, cursor, group, run)
            self._commit(cursor, [each for each, _ in taken], [a for _, a in taken if a], run)
        self._commit(replace(cursor, last_uid=max(uids)), settled, [], run)

    def _not_shown(self, session: Session, uids: Sequence[int]) -> list[MinedMessage]:
        if not uids:
            return []
        left = session.those_left(uids)
        return [
            MinedMessage(
                uid, self.clock(), problem="the server does not show it" if uid in left else None
            )
            for uid in uids
        ]

    def _fetched(
        self, session: Session, cursor: FolderCursor, group: Sequence[Glance], run: _Pass
    ) -> list[tuple[MinedMessage, Arrival | None]]:
        cut = group[0].size > self.max_size
        raws = session.whole([look.uid for look in group], self.max_size if cut else None)
        if cut:
            log.warning(
                "mining.cut",
                mailbox=cursor.mailbox,
                folder=cursor.folder,
                uid=group[0].uid,
                octets=group[0].size,
            )
        owed = owes(self.mailbox, arriving=cursor.folder == run.arriving)
        return [
            (replace(_mined(look), owed=owed), self._arrival(look, raw))
            if (raw := raws.get(look.uid))
            else (replace(_mined(look), problem="the server does not give it"), None)
            for look in group
        ]

    def _arrival(self, look: Glance, raw: bytes) -> Arrival:
        return Arrival(
            id=arrival_id(raw, self.mailbox.address),
            source=SOURCE,
            envelope_from=_envelope_from(look.header),
            envelope_to=self.mailbox.address,
            received_at=self.clock(),
            raw=raw,
        )

    def _commit(
        self,
        cursor: FolderCursor,
        messages: Sequence[MinedMessage],
        arrivals: Sequence[Arrival],
        run: _Pass,
    ) -> None:
        with self.ledger.transaction():
            new = self.ledger.append(arrivals)
            self.ledger.move_cursor(cursor, messages)
        run.steps += len(messages)
        run.left -= len(messages)
        run.done.looked_at += len(messages)
        run.done.notifications += len(arrivals)
        run.done.new += sum(new)
        self.observe(0, len(messages))


def _mined(look: Glance) -> MinedMessage:
    return MinedMessage(look.uid, look.received_at, look.gmail_id)


def _groups(looks: Sequence[Glance], max_size: int) -> Iterator[list[Glance]]:
    """Part messages into what is fetched at once; one over the limit stands alone."""
    group: list[Glance] = []
    octets = 0
    for look in looks:
        if look.size > max_size:
            yield [look]
            continue
        if group and octets + look.size > _BATCH_OCTETS:
            yield group
            group, octets = [], 0
        group.append(look)
        octets += look.size
    if group:
        yield group


def _envelope_from(header: bytes) -> str:
    """Give the reverse-path that the delivering server wrote down, else the author's address."""
    headers = Headers(header.decode("latin-1").replace("\r\n", "\n"))
    path = headers.get("return-path")
    return path.strip().strip("<>") if path is not None else parseaddr(headers.get("from") or "")[1]
