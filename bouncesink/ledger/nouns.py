"""What a ledger gives and takes besides the nouns of `bouncesink.model`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Literal

from bouncesink.model import ActionKind, ActionState, Kind

SERVICE = "service"
SHEET = "sheet"
"""Parts whose beats are kept: see `Ledger.put_beat`."""


class ArrivalState(StrEnum):
    """How far an arrival has come. In `review` it waits for a person, and nothing of it is lost."""

    PENDING = "pending"
    DONE = "done"
    REVIEW = "review"


@dataclass(frozen=True, slots=True)
class Settlement:
    """What came of one arrival."""

    arrival_id: str
    state: ArrivalState
    kind: Kind
    recognizer: str
    identity: str
    subject: str | None = None
    note: str = ""
    confirmation_code: str | None = None
    confirmation_link: str | None = None
    damage: tuple[str, ...] = ()


class Kept(StrEnum):
    """How much of an arrival's bytes is kept: see `bouncesink.engine.retention`.

    ALL as received, NO_BODY without the returned message's body, WHOLE because less of it would
    read differently, STATUS its headers and the delivery status.
    """

    ALL = "all"
    NO_BODY = "no_body"
    WHOLE = "whole"
    STATUS = "status"


@dataclass(frozen=True, slots=True)
class Cut:
    """What is to be left of an arrival's bytes."""

    arrival_id: str
    raw: bytes
    kept: Kept


@dataclass(frozen=True, slots=True)
class AuditLine:
    """What an operator did: when, who, what, on what, why, and how it stood before and since."""

    at: datetime
    actor: str
    act: str
    subject: str | None = None
    reason: str | None = None
    before: str | None = None
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Forgot:
    """What is left of somebody who was erased: a keyed hash, and which key it is of."""

    key_id: str
    digest: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Held:
    """The text cells of a row that names somebody."""

    table: str
    number: int
    cells: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Trouble:
    """What a part of the service has trouble with, and since when."""

    part: str
    text: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Totals:
    """What `status` shows; kept as counters, so that no table is scanned."""

    arrivals: Mapping[ArrivalState, int] = field(default_factory=dict)
    kinds: Mapping[str, int] = field(default_factory=dict)
    events: int = 0
    severities: Mapping[str, int] = field(default_factory=dict)
    contacts: int = 0
    suppressed: int = 0
    leads: int = 0
    actions: Mapping[tuple[ActionKind, ActionState], int] = field(default_factory=dict)
    last_arrival_at: datetime | None = None
    oldest_pending_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SendCount:
    """How many messages went out on a day (UTC); "" is what is not known.

    `mailbox` is the address that they were sent from, `domain` that of the recipients.
    """

    day: date
    campaign: str
    mailbox: str
    domain: str
    sent: int


SentBy = Literal["campaign", "mailbox", "domain"]
"""What sends and their bounces are counted by; `domain` is the recipient's."""


@dataclass(frozen=True, slots=True)
class BlockCount:
    """How many messages were blocked on one day, and one of the sentences that said so.

    `days_ago` is whole days before the end of the span.
    """

    domain: str
    remote_mta: str
    days_ago: int
    said: str
    count: int


FailuresBy = Literal["day", "category", "rule", "campaign", "subject", "sender", "host"]
"""What failures are counted by; `host` is the recipient's domain, a space, and the remote MTA."""


@dataclass(frozen=True, slots=True)
class FailureCount:
    """How many messages failed under a name, each counted once; "" is none.

    `later` is whether that was in the later one of two spans.
    """

    later: bool
    name: str
    severity: str
    count: int


@dataclass(frozen=True, slots=True)
class FolderCursor:
    """How far a folder of a mailbox has been read over IMAP.

    Messages up to `last_uid` were looked at; it means something only as long as the folder's
    UIDVALIDITY stays the same (RFC 3501, section 2.3.1.1). `mined_at` is when the folder was last
    read to its end, None until it was.
    """

    mailbox: str
    folder: str
    uidvalidity: int
    last_uid: int = 0
    mined_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class MinedMessage:
    """A message of a folder that was looked at, and when the mailbox received it.

    `gmail_id` is its X-GM-MSGID; `problem` is why it could not be fetched, None when it was. One
    that is `owed` is still to be marked or moved, as configured.
    """

    uid: int
    received_at: datetime
    gmail_id: str | None = None
    problem: str | None = None
    owed: bool = False


@dataclass(frozen=True, slots=True)
class Replay:
    """How far an mbox or an archive was replayed: see `bouncesink.intake.archive`.

    `entry` is which of its files comes next, `offset` how many octets of that one were read, `seam`
    how many of the last of them are hashed, and the hash. `mails` counts those that were seen, with
    those `passed_over`.
    """

    id: str
    path: str
    entry: int = 0
    offset: int = 0
    seam: str = ""
    mails: int = 0
    passed_over: int = 0
    done: bool = False


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events are wanted: those that have each value that is given."""

    severity: str | None = None
    category: str | None = None
    campaign: str | None = None
    domain: str | None = None
    rule: str | None = None
