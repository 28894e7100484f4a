"""The Ledger protocol: what is known, durably. `open_ledger` is the only door to one.

Every method may raise `bouncesink.errors.LedgerError` and nothing else. A method that writes has
committed with fsync when it returns, unless it is called inside `transaction()`, which commits all
at its end or nothing at all. A Ledger belongs to the thread that opened it.

Times are kept to the millisecond. A NUL or a lone surrogate in text is kept as U+FFFD, and an
address that is asked for with one is found; a reply code beyond 32 bits is kept as None.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import date, datetime
from pathlib import Path
from typing import Protocol

from bouncesink.ledger.nouns import (
    SERVICE,
    SHEET,
    ArrivalState,
    AuditLine,
    BlockCount,
    Cut,
    EventFilter,
    FailureCount,
    FailuresBy,
    FolderCursor,
    Forgot,
    Held,
    Kept,
    MinedMessage,
    Replay,
    SendCount,
    SentBy,
    Settlement,
    Totals,
    Trouble,
)
from bouncesink.model import (
    Action,
    ActionKind,
    ActionState,
    Arrival,
    Contact,
    Event,
    Lead,
    Reason,
    Send,
)

__all__ = [
    "SERVICE",
    "SHEET",
    "ArrivalState",
    "AuditLine",
    "BlockCount",
    "Cut",
    "EventFilter",
    "FailureCount",
    "FailuresBy",
    "FolderCursor",
    "Forgot",
    "Held",
    "Kept",
    "Ledger",
    "MinedMessage",
    "Replay",
    "SendCount",
    "SentBy",
    "Settlement",
    "Totals",
    "Trouble",
    "open_ledger",
]


class Ledger(Protocol):
    """See the module. Sequences come back oldest first; unknown ids are left out."""

    def close(self) -> None: ...

    def transaction(self) -> AbstractContextManager[None]:
        """Take the one writer's lock now; commit at the end, or roll back on any exception."""

    # intake
    def append(self, arrivals: Sequence[Arrival]) -> list[bool]:
        """Store arrivals; of each, whether it was new."""

    # engine
    def pending(self, limit: int) -> list[Arrival]:
        """At most `limit`, and no more after 64 MiB of bytes: what one batch may hold in memory."""

    def arrivals(self, ids: Iterable[str]) -> list[Arrival]: ...
    def all_arrivals(self, batch: int) -> Iterator[list[Arrival]]:
        """Every arrival that still has its bytes, in batches, for `rebuild`."""

    def settlements(self, ids: Iterable[str]) -> dict[str, Settlement]: ...
    def settle(self, settlements: Sequence[Settlement]) -> None: ...
    def in_review(self) -> Iterator[Settlement]:
        """Arrivals that wait for a person."""

    def add_events(self, events: Sequence[Event]) -> list[bool]:
        """Store events; of each, whether it was new."""

    def raise_trust(self, events: Sequence[Event]) -> list[bool]:
        """Give stored events the trust of these, where that is better; of each, whether it was."""

    def replace_events(self, arrival_id: str, events: Sequence[Event]) -> None:
        """Put these in the place of what this arrival gave before; acts are never touched."""

    def events_of_arrivals(self, ids: Iterable[str]) -> dict[str, list[Event]]: ...
    def events_of(self, addresses: Iterable[str]) -> dict[str, list[Event]]: ...
    def contacts(self, addresses: Iterable[str]) -> dict[str, Contact]: ...
    def all_contacts(self, batch: int) -> Iterator[list[Contact]]: ...
    def suppressed_contacts(self, batch: int) -> Iterator[list[Contact]]:
        """Those that must not be mailed, by address."""

    def unknown_domains(self, domains: Iterable[str]) -> set[str]:
        """Of these, the ones with an address that is HARD because there is no such domain."""

    def addresses_to_review(self) -> list[str]:
        """Those of every event that a person may have to decide about, by severity and trust."""

    def put_contacts(self, contacts: Sequence[Contact]) -> None: ...

    # floods
    def crowded(self, addresses: Iterable[str], most: int) -> set[str]:
        """Of these, the ones with more events than `most`."""

    def leave_unfolded(self, addresses: Iterable[str]) -> None:
        """Note that the contacts of these are behind their events."""

    def unfolded(self) -> list[str]: ...
    def folded(self, addresses: Iterable[str]) -> None:
        """Note that the contacts of these are what their events amount to."""

    # sends
    def put_sends(self, sends: Sequence[Send]) -> list[bool]:
        """Store what was sent; of each, whether it was new by its Message-ID and recipient."""

    def sends_of(self, message_ids: Iterable[str]) -> dict[str, list[Send]]: ...

    def all_sends(self) -> Iterator[Send]: ...

    # leads
    def put_leads(self, leads: Sequence[Lead]) -> None:
        """Make these all the leads there are."""

    def leads_of(self, addresses: Iterable[str]) -> dict[str, list[Lead]]: ...
    def all_leads(self) -> Iterator[Lead]: ...

    # actions
    def add_actions(self, actions: Sequence[Action]) -> list[bool]:
        """Store intentions; of each, whether it was new by its key."""

    def open_actions(self, addresses: Iterable[str]) -> list[Action]:
        """Those that are pending, approved or claimed."""

    def cancel_actions(self, keys: Iterable[str], reason: str) -> None:
        """Close what is open of these, as no longer called for."""

    def reopen_actions(self, keys: Iterable[str]) -> None:
        """Make pending again what `cancel_actions` closed of these; what a person closed stays."""

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
        """Bring an action from one of `states` to another; whether it was in one of them.

        Of several who try at once, one succeeds. An `error` counts as a failed attempt; `reason`
        and `error` stay what they were where None is given.
        """

    def list_actions(
        self,
        kind: ActionKind | None = None,
        state: ActionState | Collection[ActionState] | None = None,
        limit: int = 100,
    ) -> list[Action]:
        """By priority, then oldest first."""

    def due_actions(
        self, kind: ActionKind, states: Collection[ActionState], now: datetime, limit: int
    ) -> list[Action]:
        """Those in `states` whose time has come, and claimed ones whose `next_attempt_at` is past.

        By priority, then oldest first.
        """

    def troubled_actions(self, limit: int) -> list[Action]:
        """Those with an error that are open or failed, the latest moved first."""

    def find_actions(self, prefix: str, limit: int) -> list[Action]:
        """Those whose key begins so, by key."""

    # watch
    def put_send_counts(self, counts: Sequence[SendCount]) -> None:
        """Keep how much was sent; a day's count for the same names takes the place of the last."""

    def sent_by(self, by: SentBy, since: datetime, until: datetime) -> dict[str, int]:
        """Give how many messages went out; "" is where that is not known, as below."""

    def hard_by(self, by: SentBy, since: datetime, until: datetime) -> dict[str, int]:
        """Give how many messages bounced hard; the mailbox is the From field as it was."""

    def blocked_between(self, since: datetime, until: datetime) -> list[BlockCount]: ...
    def failures(
        self, since: datetime, turn: datetime, until: datetime
    ) -> dict[FailuresBy, list[FailureCount]]:
        """Of the two spans before and from `turn` on: failures that are not doubtful."""

    def domain_counts(self, domains: Iterable[str]) -> dict[str, tuple[int, int]]:
        """Of each domain, how many of its addresses were mailed and how many are HARD."""

    def contacts_at_risk(self, limit: int) -> list[Contact]:
        """Those that may be mailed and have strikes, the most first; without the decay since."""

    # mining
    def folder_cursor(self, mailbox: str, folder: str) -> FolderCursor | None: ...
    def move_cursor(self, cursor: FolderCursor, messages: Sequence[MinedMessage] = ()) -> None:
        """Take note of messages that were looked at, and move the cursor: forward only.

        Another UIDVALIDITY than the stored one makes a new start, and forgets the old messages.
        A message that has been fetched stays so.
        """

    def mined_uids(self, cursor: FolderCursor, uids: Iterable[int]) -> set[int]:
        """Of these messages of a folder, those that were looked at, and need no more of it."""

    def mined_gmail_ids(self, mailbox: str, gmail_ids: Iterable[str]) -> set[str]:
        """Of these, those that were looked at under whatever label."""

    def unfetched(self, mailbox: str, folder: str) -> list[MinedMessage]:
        """Those that the server did not give us, by UID."""

    def forget_mined(self, cursor: FolderCursor, before: datetime) -> None:
        """Forget messages of a folder that are older, without a problem, and not owed."""

    def owed(self, cursor: FolderCursor) -> list[int]:
        """Give the UIDs of a folder's messages that are still to be marked or moved."""

    def no_longer_owed(self, cursor: FolderCursor, uids: Iterable[int]) -> None: ...

    # webhooks
    def latest_of(self, source: str, since: datetime, limit: int) -> Sequence[bytes]:
        """Give the whole bytes of arrivals of a source from then on: the latest, oldest first."""

    # replays
    def put_replays(self, replays: Iterable[Replay], at: datetime) -> None:
        """Say how far these have been replayed by now."""

    def replay(self, id_: str) -> Replay | None:
        """Give how far an archive was replayed, by the hash that it is known by."""

    # privacy: what is about a forgotten address is not stored, and `contacts` says that it is one
    def forgotten(self, addresses: Iterable[str]) -> set[str]:
        """Of these, the ones that were erased. Raises LedgerError when their key is missing."""

    def forgotten_name(self, address: str) -> str:
        """Give what takes an address's place where it is erased; makes the key, if need be."""

    def put_forgotten(self, address: str, at: datetime) -> None: ...
    def all_forgotten(self) -> list[Forgot]: ...
    def add_forgotten(self, found: Sequence[Forgot]) -> None: ...
    def remove_forgotten(self, address: str) -> bool:
        """Let an address be stored again; whether it was forgotten."""

    def erase_address(self, address: str) -> dict[str, int]:
        """Delete the rows that are about an address; of each table, how many."""

    def mentioned(self, spellings: Sequence[str]) -> Iterator[Held]:
        """Find every row of any table with one of these lower-case texts in it."""

    def redact(self, found: Sequence[Held], pattern: re.Pattern[str], name: str) -> None:
        """Put the name in the place of what matches."""

    def wipe(self, spellings: Sequence[str]) -> bool:
        """See that no trace of these texts is left in the files; False when it cannot be done now.

        Somebody who reads all the while keeps the WAL as it is; `tidy` empties it later.
        """

    def add_audit(self, lines: Sequence[AuditLine]) -> None:
        """Say what an operator did, unless that is an event or a move: these say it themselves."""

    def audit(self, since: datetime) -> Iterator[AuditLine]:
        """Give what operators did since then, oldest first."""

    # wholeness
    def damaged_pages(self) -> list[str]:
        """Say what SQLite finds wrong with the file."""

    def miscounted(self) -> Iterator[tuple[str, int, int]]:
        """Give each counter that is wrong, with its value and the right one."""

    def recount(self) -> None:
        """Put the counters right."""

    def strange_rows(self) -> Iterator[tuple[str, list[str]]]:
        """Give each rule about rows that does not hold, and some of the rows."""

    def digests(self) -> Iterator[tuple[str, str, bytes, str | None]]:
        """Give of each mail its id, envelope recipient and bytes, and the hash of cut ones."""

    def addresses_with_wrong_gate(self) -> list[str]:
        """Give some addresses whose gate, as SQL sees it, is not what their reasons say."""

    def addresses_without_contact(self) -> list[str]:
        """Give some addresses that have events and no state."""

    def all_actions(self) -> Iterator[Action]: ...

    # retention
    def arrivals_kept(
        self, kept: Collection[Kept], before: datetime, batch: int
    ) -> Iterator[list[Arrival]]:
        """Arrivals that are done and were received before then, of whose bytes so much is kept."""

    def cut(self, cuts: Sequence[Cut]) -> None:
        """Put less in the place of arrivals' bytes; an arrival that is in review keeps all."""

    def erase_bytes(self, ids: Iterable[str], *, names_too: bool = False) -> None:
        """Delete arrivals' bytes, and with `names_too` their envelopes and subjects."""

    def arrivals_outlived(self, before: datetime, limit: int) -> list[str]:
        """Arrivals from before then that have bytes, but no event that is whole."""

    def addresses_with_events_before(self, before: datetime) -> Iterator[list[str]]:
        """Addresses with whole events that occurred and were recorded before then."""

    def thin_out(self, spare: Iterable[str], bare: Iterable[str]) -> int:
        """Delete the spare events, and cut the bare ones to what counts; how many went."""

    def remove_told(self, before: datetime, limit: int) -> int:
        """Delete what others were told before then, as nobody asks for it again; how many."""

    def tidy(self) -> bool:
        """Have SQLite look after itself, and empty the WAL; whether that could be done now."""

    # pages
    def events_page(
        self, wanted: EventFilter, before: int | None, limit: int
    ) -> list[tuple[int, Event]]:
        """Give the latest events, each with a number that the next page goes on `before`."""

    def events(self, ids: Iterable[str]) -> dict[str, Event]:
        """Give the events with these ids, under them, however many their addresses have."""

    def days(self, since: date) -> list[tuple[str, str, int]]:
        """Of each day (UTC) from `since`: the day, a severity, and how many events had it."""

    def contacts_page(
        self, begins: str, after: str, limit: int, *, blocked_only: bool, reason: Reason | None
    ) -> list[Contact]:
        """Those whose address `begins` so, by address; the next page goes on `after` the last."""

    def actions_page(
        self,
        kind: ActionKind,
        states: Collection[ActionState],
        after: tuple[int, int],
        limit: int,
    ) -> list[tuple[tuple[int, int], Action]]:
        """By priority, then oldest first, each with what the next page goes on `after`."""

    def latest_audit(self, limit: int) -> Sequence[AuditLine]:
        """Give what operators did last, latest first."""

    # gate
    def said(self, events: Iterable[str], most: int) -> dict[str, str]:
        """Of each of these events, by id, the sentence that it told, cut to `most` characters."""

    def gate_events(self, addresses: Iterable[str]) -> dict[str, list[Event]]:
        """Acts, complaints and unsubscribe requests: what `fold.closed_since` needs."""

    # trouble
    def put_trouble(self, part: str, text: str, at: datetime) -> None:
        """Say what a part of the service has trouble with; "" when it has none any more."""

    def troubles(self) -> list[Trouble]:
        """Give what there is trouble with now, by part."""

    # health
    def put_beat(self, part: str, at: datetime) -> None:
        """Note that a part of the service has done its work at `at`."""

    def beats(self) -> dict[str, datetime]:
        """Give when each part of the service last did its work."""

    def oldest_open_actions(self) -> dict[tuple[ActionKind, ActionState], datetime]:
        """Give when the oldest of each kind and open state was made."""

    def standing_alerts(self) -> list[Action]:
        """Those that tell that something has begun, of which none tells yet that it is over.

        See `bouncesink.fold.alert`.
        """

    def arrivals_between(self, since: datetime, until: datetime, most: int) -> int:
        """Count arrivals of a time, up to `most`, taking them to have come in their order."""

    # reading
    def totals(self) -> Totals: ...
    def confirmations(self, limit: int) -> list[Settlement]:
        """Gmail's requests to confirm a forwarding rule, latest first."""

    def all_events(self) -> Iterator[Event]:
        """Every event, in the order in which they were recorded."""

    def events_since(self, since: datetime) -> Iterator[Event]:
        """Those that occurred at `since` or later, by that."""


def open_ledger(path: Path, *, read_only: bool = False, busy_timeout: float = 10.0) -> Ledger:
    """Open the ledger at `path`; unless read-only, create it and bring it up to date.

    `busy_timeout` is in seconds. Raises LedgerTooNew, LedgerBusy, LedgerFull or LedgerError.
    """
    from bouncesink.ledger.sqlite import SqliteLedger

    return SqliteLedger(path, read_only=read_only, busy_timeout=busy_timeout)
