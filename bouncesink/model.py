"""The nouns: frozen values that every room speaks in. Standard library only.

Times are timezone-aware UTC datetimes. Addresses are strings as mail carries them; `address` names
a normalised one (see `bouncesink.address`). An empty string never stands for "not known": that is
None, except in `envelope_from`, where "" is the null reverse-path `<>` of RFC 5321.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Kind(StrEnum):
    """What one arrival is."""

    FAILURE = "failure"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    RELAYED = "relayed"
    EXPANDED = "expanded"
    FEEDBACK = "feedback"
    AUTO_REPLY = "auto_reply"
    CHALLENGE = "challenge"
    DISPOSITION = "disposition"
    FORWARDING_CONFIRMATION = "forwarding_confirmation"
    UNSUBSCRIBE = "unsubscribe"
    DROPPED = "dropped"
    """A provider did not even try, because of a list of its own: an echo, no new evidence."""
    TEST_EVENT = "test_event"
    HUMAN = "human"
    UNREADABLE = "unreadable"


class Act(StrEnum):
    """What an operator did about an address; acts are events too."""

    CONFIRM = "confirm"
    DISMISS = "dismiss"
    REINSTATE = "reinstate"
    SUPPRESS = "suppress"
    UNSUPPRESS = "unsuppress"
    ERASE = "erase"


class DsnAction(StrEnum):
    """The Action field of RFC 3464, section 2.3.3."""

    FAILED = "failed"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    RELAYED = "relayed"
    EXPANDED = "expanded"


class Severity(StrEnum):
    """What a report means for the address."""

    HARD = "HARD"
    SOFT = "SOFT"
    BLOCK = "BLOCK"
    NONE = "NONE"
    UNKNOWN = "UNKNOWN"


class Fault(StrEnum):
    """Whose fault the failure is."""

    ADDRESS = "address"
    REMOTE = "remote"
    SENDER = "sender"
    NOBODY = "nobody"
    UNCLEAR = "unclear"


class Category(StrEnum):
    """Why it failed. Its severity and fault are fixed: see `CATEGORIES`."""

    USER_UNKNOWN = "user_unknown"
    DOMAIN_UNKNOWN = "domain_unknown"
    DOMAIN_NO_MAIL = "domain_no_mail"
    ADDRESS_SYNTAX = "address_syntax"
    MAILBOX_DISABLED = "mailbox_disabled"
    MOVED = "moved"
    OWNER_CHANGED = "owner_changed"

    MAILBOX_FULL = "mailbox_full"
    MAILBOX_INACTIVE_TEMPORARILY = "mailbox_inactive_temporarily"
    EXPIRED = "expired"
    SYSTEM_ERROR = "system_error"
    SYSTEM_FULL = "system_full"
    NETWORK = "network"
    DNS_TEMPORARY = "dns_temporary"
    LOOP = "loop"

    GREYLISTED = "greylisted"
    RATE_LIMITED = "rate_limited"
    SENDER_QUOTA = "sender_quota"
    REPUTATION = "reputation"
    BLOCKLISTED = "blocklisted"
    AUTHENTICATION = "authentication"
    REVERSE_DNS = "reverse_dns"
    POLICY = "policy"
    SPAM_CONTENT = "spam_content"
    VIRUS = "virus"
    TOO_BIG = "too_big"
    CONTENT = "content"
    RELAY_DENIED = "relay_denied"
    SENDER_REJECTED = "sender_rejected"
    RECIPIENT_RESTRICTED = "recipient_restricted"
    PROTOCOL = "protocol"

    DELAYED = "delayed"
    DELIVERED = "delivered"
    RELAYED = "relayed"
    EXPANDED = "expanded"
    AUTO_REPLY = "auto_reply"
    CHALLENGE = "challenge"
    DISPOSITION = "disposition"
    BOUNCE_OF_BOUNCE = "bounce_of_bounce"
    FORWARDING_CONFIRMATION = "forwarding_confirmation"
    TEST_EVENT = "test_event"
    DROPPED = "dropped"
    COMPLAINT = "complaint"
    UNSUBSCRIBE = "unsubscribe"

    UNKNOWN = "unknown"


def _categories() -> Mapping[Category, tuple[Severity, Fault]]:
    c = Category
    groups: list[tuple[Severity, Fault, list[Category]]] = [
        (
            Severity.HARD,
            Fault.ADDRESS,
            [
                c.USER_UNKNOWN,
                c.DOMAIN_UNKNOWN,
                c.DOMAIN_NO_MAIL,
                c.ADDRESS_SYNTAX,
                c.MAILBOX_DISABLED,
                c.MOVED,
                c.OWNER_CHANGED,
            ],
        ),
        (Severity.SOFT, Fault.ADDRESS, [c.MAILBOX_FULL, c.MAILBOX_INACTIVE_TEMPORARILY]),
        (
            Severity.SOFT,
            Fault.REMOTE,
            [c.EXPIRED, c.SYSTEM_ERROR, c.SYSTEM_FULL, c.NETWORK, c.DNS_TEMPORARY, c.LOOP],
        ),
        (
            Severity.BLOCK,
            Fault.SENDER,
            [
                c.GREYLISTED,
                c.RATE_LIMITED,
                c.SENDER_QUOTA,
                c.REPUTATION,
                c.BLOCKLISTED,
                c.AUTHENTICATION,
                c.REVERSE_DNS,
                c.POLICY,
                c.SPAM_CONTENT,
                c.VIRUS,
                c.TOO_BIG,
                c.CONTENT,
                c.RELAY_DENIED,
                c.SENDER_REJECTED,
                c.RECIPIENT_RESTRICTED,
                c.PROTOCOL,
            ],
        ),
        (Severity.UNKNOWN, Fault.UNCLEAR, [c.UNKNOWN]),
    ]
    table = {category: (severity, fault) for severity, fault, group in groups for category in group}
    return {category: table.get(category, (Severity.NONE, Fault.NOBODY)) for category in c}


CATEGORIES: Mapping[Category, tuple[Severity, Fault]] = _categories()


EVENTS = "events"
"""The source of what an operator gave as an events file."""
WEBHOOK = "webhook:"
"""How the source of what came by a provider's webhook begins, once it was verified."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """Bytes as received, before anyone has an opinion about them.

    `id` is a hash of `raw` and `envelope_to` (`bouncesink.identity.arrival_id`), so a redelivery is
    the same arrival. `media_type` is `message/rfc822` or `application/json`. `identity` is set once
    the bytes are no longer those that were received: what the notification said it was
    (`Notice.identity`), which less of it might not tell.
    """

    id: str
    source: str
    envelope_from: str
    envelope_to: str
    received_at: datetime
    raw: bytes
    media_type: str = "message/rfc822"
    identity: str | None = None

    @property
    def told_by(self) -> str | None:
        """Whose verified webhook told it: `ses`, of `webhook:ses` and of `webhook:ses/NAME`."""
        if not self.source.startswith(WEBHOOK) or self.media_type != "application/json":
            return None
        return self.source.removeprefix(WEBHOOK).partition("/")[0]


@dataclass(frozen=True, slots=True)
class Report:
    """Facts about one recipient, no opinion (RFC 3464, section 2.3)."""

    recipient: str
    action: DsnAction
    recognizer: str
    original_recipient: str | None = None
    status: str | None = None
    reply_code: int | None = None
    diagnostic: str | None = None
    remote_mta: str | None = None
    reporting_mta: str | None = None
    last_attempt: datetime | None = None

    @property
    def mailed(self) -> str:
        """The address that was mailed: the one to act on when an alias was expanded."""
        return self.original_recipient or self.recipient


@dataclass(frozen=True, slots=True)
class Original:
    """The identity of the returned message, as far as the notification gave it back.

    `campaign` holds the campaign headers that were found, by lower-case header name.
    `header_block` is the returned header section byte for byte, for DKIM (RFC 6376).
    `null_sender` is true when the returned message was itself sent from `<>`.
    """

    message_id: str | None = None
    from_: str | None = None
    to: str | None = None
    subject: str | None = None
    date: datetime | None = None
    campaign: Mapping[str, str] = field(default_factory=dict)
    header_block: bytes = b""
    null_sender: bool = False


FORWARDED_INLINE = "forwarded inline"
"""The damage of a notification of which a person's forward left only the text."""


@dataclass(frozen=True, slots=True)
class Notice:
    """What one arrival is, with a report for each recipient it speaks of.

    `identity` is what the notification says it is: its Message-ID, or `sha256:` and a hash of its
    body, so that the same notification is one by every way in. `text` is what a person would read,
    shortened. `via` lists our addresses that it came through, outermost first. `damage` names what
    was broken or cut, in stable words. The `confirmation_*` fields are Gmail's request to confirm a
    forwarding rule; `alternative` is the address an auto-reply gives in place of the old one.
    """

    kind: Kind
    recognizer: str
    identity: str
    reports: tuple[Report, ...] = ()
    original: Original = field(default_factory=Original)
    sent_at: datetime | None = None
    from_: str | None = None
    subject: str | None = None
    text: str = ""
    via: tuple[str, ...] = ()
    authentication_results: tuple[str, ...] = ()
    feedback_type: str | None = None
    confirmation_code: str | None = None
    confirmation_link: str | None = None
    alternative: str | None = None
    damage: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a report means, the id of the rule that spoke, and the words that it spoke about."""

    category: Category
    rule: str
    evidence: str = ""

    @property
    def severity(self) -> Severity:
        return CATEGORIES[self.category][0]

    @property
    def fault(self) -> Fault:
        return CATEGORIES[self.category][1]


class TrustLevel(StrEnum):
    """How sure we are that a bounce is about mail we sent, best first."""

    PROVEN = "proven"
    PLAUSIBLE = "plausible"
    UNCHECKED = "unchecked"
    DOUBTFUL = "doubtful"
    CONTRADICTED = "contradicted"


TRUST_RANK: Mapping[TrustLevel, int] = {level: rank for rank, level in enumerate(TrustLevel)}
"""How far from the best: 0 is the best."""


@dataclass(frozen=True, slots=True)
class Trust:
    """A level and the signals that led to it, each in a few words.

    UNCHECKED means that nothing is configured to compare a bounce with.
    """

    level: TrustLevel
    signals: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """An immutable ledger line: what one notification said of one address, or what an operator did.

    `id` is `bouncesink.identity.event_id`. Of an act, `actor` and `reason` are set, `target` is
    the id of the event that it confirms or dismisses (or the reason for review, all that waits for
    which it dismisses), and there is no verdict.
    """

    id: str
    kind: Kind | Act
    address: str
    occurred_at: datetime
    recorded_at: datetime
    source: str
    arrival_id: str | None = None
    report: Report | None = None
    verdict: Verdict | None = None
    trust: Trust | None = None
    message_id: str | None = None
    sender: str | None = None
    subject: str | None = None
    campaign: str | None = None
    lead_id: str | None = None
    actor: str | None = None
    reason: str | None = None
    target: str | None = None


class Reason(StrEnum):
    """Why an address must not be mailed; each stands by itself.

    DOMAIN is about all addresses of a domain, so it is in no Contact: see `bouncesink.engine.gate`.
    FORGOTTEN is all that is known of a person who was erased: see `bouncesink.engine.forget`.
    """

    HARD = "hard"
    STRIKES = "strikes"
    COMPLAINT = "complaint"
    UNSUBSCRIBE = "unsubscribe"
    MANUAL = "manual"
    DOMAIN = "domain"
    FORGOTTEN = "forgotten"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One counted bounce: when, what code it gave, about which message.

    The texts are printable, without spaces and `|`: they go into a cell as they are.
    """

    occurred_at: datetime
    code: str
    message_id: str


@dataclass(frozen=True, slots=True)
class Contact:
    """The state of one address: a fold of its events.

    `bounce_type` is None, SOFT or HARD and is sticky once HARD. `strikes` is as of
    `last_strike_at`; `bouncesink.fold.strikes_at` applies the decay since. `evidence` is oldest
    first, an entry for each message that is in `bounce_count`; of more than one cell holds only the
    newest are here. `hard_event` is the id of the event that made it HARD. `reinstated` counts the
    reinstatements.
    """

    address: str
    bounce_type: Severity | None = None
    bounce_count: int = 0
    last_bounce_at: datetime | None = None
    strikes: int = 0
    last_strike_at: datetime | None = None
    hard_since: datetime | None = None
    hard_event: str | None = None
    suppressed: frozenset[Reason] = frozenset()
    evidence: tuple[Evidence, ...] = ()
    reinstated: int = 0

    @property
    def mailable(self) -> bool:
        """The gate: False blocks any further e-mail outreach."""
        return not self.suppressed


class ActionKind(StrEnum):
    """What an intention is for."""

    HUBSPOT_PROPOSAL = "hubspot_proposal"
    SMARTLEAD_REMOVAL = "smartlead_removal"
    POSTCARD = "postcard"
    ADVISORY = "advisory"
    REVIEW = "review"
    REVERIFY = "reverify"
    ALERT = "alert"
    CAMPAIGN_PAUSE = "campaign_pause"
    WEBHOOK = "webhook"


class ActionState(StrEnum):
    """How far an intention has come."""

    PENDING = "pending"
    APPROVED = "approved"
    CLAIMED = "claimed"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


OPEN = (ActionState.PENDING, ActionState.APPROVED, ActionState.CLAIMED)
"""The states in which an intention still wants somebody."""


@dataclass(frozen=True, slots=True)
class Action:
    """An intention. Two with the same `key` are one, so performing it twice is harmless.

    From `actor` on it is what came of it: who brought it into its state (an operator, a worker),
    when and why, and how its attempts went.
    """

    key: str
    kind: ActionKind
    created_at: datetime
    address: str | None = None
    lead_id: str | None = None
    event_id: str | None = None
    arrival_id: str | None = None
    payload: Mapping[str, str] = field(default_factory=dict)
    state: ActionState = ActionState.PENDING
    actor: str | None = None
    moved_at: datetime | None = None
    reason: str | None = None
    attempts: int = 0
    next_attempt_at: datetime | None = None
    last_error: str | None = None


@dataclass(frozen=True, slots=True)
class Send:
    """A message that we know we sent. `recipient` is normalised; `message_id` has no brackets."""

    message_id: str
    recipient: str
    sent_at: datetime | None = None
    campaign: str | None = None
    mailbox: str | None = None


@dataclass(frozen=True, slots=True)
class Lead:
    """One row of the sheet. `email` is as written there, `address` is normalised."""

    id: str
    email: str
    address: str
