"""PURE. How sure we are that a bounce is about mail we sent.

Anyone can write a bounce to us, with any text and any header in it. What proves a bounce is what
only we, and the one we mailed, can know; what a stranger can look up makes it plausible at most.

contradicted
    A signed return path of ours, but for another address; or the returned Message-ID is that of a
    message that we sent to another address. Nothing outweighs this.
proven
    A signed return path of ours for this address, in time; or the returned Message-ID is that of a
    message that we sent to this address; or our DKIM signature verifies on the returned headers
    and what it covers is from a mailbox of ours to this address alone; or the way in itself vouches
    for who speaks.
plausible
    The returned From is one of our mailboxes, the recipient is a lead, and nothing speaks against
    it.
doubtful
    Anything else.
unchecked
    There is nothing to compare with: no mailboxes, no VERP key, no sends.

The From of a mailbox alone is weak: whoever it ever mailed knows it. So where stronger evidence
must be there, its absence leaves doubt: when the mailbox sends with a signed return path (there is
a VERP key, and the mailbox is not marked `verp = false`, as Gmail's must be), or when all sends
are known. Fields about the way (X-Forwarded-For, Received, Authentication-Results of strangers)
are no evidence at all: anyone can write them.

That our own mail server found the sender authentic is noted, and is no clue: everyone with a
mailbox at a provider passes for its domain, and can write what looks like its bounce. That DMARC
failed is a doubt. Neither speaks of the mail we sent.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Self

from bouncesink import auth_results, verp
from bouncesink.address import domain_of, normalise
from bouncesink.config import Config
from bouncesink.dkim_check import Signature
from bouncesink.model import FORWARDED_INLINE, Notice, Report, Trust, TrustLevel

SKEW = timedelta(days=1)
"""Clocks of other servers are wrong by hours, and their dates may lack a time zone."""

_NEVER = datetime.max.replace(tzinfo=UTC)
_MOST_HOPS = 10
_MOST_HEADER = 4000
_ANGLE_ADDR = re.compile(r"<([^<>]*)>")
_COMMENT = re.compile(r"\([^()]*\)")


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What the engine knows or looked up before it asks; addresses are normalised.

    `signed_mailboxes` are those of `mailboxes` whose mail carries a signed return path.
    `leads_known` and `sends_complete` say that to be absent there means something. `known_send` is
    about the returned Message-ID; `sent_to` and `sent_at` are None where not recorded. `dkim` is
    our signature on the returned headers, None where there is none, or no key to verify it with.
    `authserv_id` is our own mail server's (RFC 8601). `vouched` is true of what an operator
    gave as an events file; `told_by` is whose verified webhook told it, "" where none did.
    """

    mailboxes: frozenset[str] = frozenset()
    signed_mailboxes: frozenset[str] = frozenset()
    verp_keys: tuple[bytes, ...] = ()
    verp_max_age_days: int = 45
    leads_known: bool = True
    is_lead: bool = False
    sends_complete: bool = False
    known_send: bool = False
    sent_to: str | None = None
    sent_at: datetime | None = None
    dkim: Signature | None = None
    authserv_id: str = ""
    vouched: bool = False
    told_by: str = ""
    now: datetime = _NEVER

    @classmethod
    def of(cls, config: Config, verp_keys: Sequence[bytes] = ()) -> Self:
        """Give what the config knows; the rest is put in for each bounce."""
        ours = {normalise(box.address): box.verp for box in config.mailboxes}
        mailboxes = {address: signed for address, signed in ours.items() if address}
        return cls(
            mailboxes=frozenset(mailboxes),
            signed_mailboxes=frozenset(a for a, signed in mailboxes.items() if signed),
            verp_keys=tuple(verp_keys),
            verp_max_age_days=config.trust.verp_max_age_days,
            sends_complete=config.trust.sends_complete,
            authserv_id=config.trust.authserv_id,
        )

    @property
    def is_empty(self) -> bool:
        known = self.mailboxes or self.verp_keys or self.sends_complete or self.sent_to
        return not known and self.dkim is None and not self.vouched and not self.told_by


class _Side(Enum):
    """What a signal speaks for."""

    PROOF = 1
    CLUE = 2
    NOTE = 3
    DOUBT = 4
    CONTRADICTION = 5


_Signal = tuple[_Side, str]


def assess(notice: Notice, report: Report | None, envelope_to: str, knowledge: Knowledge) -> Trust:
    """Weigh what speaks for a bounce. Without a report it is about who sent the notice."""
    address = _subject(notice, report)
    about_the_notice = [*_form(notice), *_authentication(notice, address, knowledge)]
    if knowledge.is_empty and not any(side is _Side.DOUBT for side, _ in about_the_notice):
        return Trust(TrustLevel.UNCHECKED, ("nothing configured to compare with",))
    signals = [
        *_way(knowledge),
        *about_the_notice,
        *_return_path(address, (envelope_to, *notice.via[:_MOST_HOPS]), knowledge),
        *_message_id(notice, address, knowledge),
        *_dkim(notice, address, knowledge),
        *_returned_from(notice, knowledge),
        *_returned_to(notice, address),
        *_dates(notice, knowledge),
    ]
    sides = {side for side, _ in signals}
    if _Side.CONTRADICTION in sides:
        level = TrustLevel.CONTRADICTED
    elif _Side.PROOF in sides:
        level = TrustLevel.PROVEN
    elif _Side.CLUE in sides and _Side.DOUBT not in sides:
        level = TrustLevel.PLAUSIBLE
    else:
        level = TrustLevel.DOUBTFUL
    return Trust(level, tuple(words for _, words in signals))


def _way(knowledge: Knowledge) -> Iterator[_Signal]:
    if knowledge.vouched:
        yield _Side.PROOF, "came by a way that vouches for it"
    if knowledge.told_by:
        yield _Side.PROOF, f"by the verified webhook of {knowledge.told_by}"


def _form(notice: Notice) -> Iterator[_Signal]:
    if FORWARDED_INLINE in notice.damage:
        yield _Side.DOUBT, "forwarded inline by a person, only its text is left"


def _authentication(notice: Notice, address: str, knowledge: Knowledge) -> Iterator[_Signal]:
    found = auth_results.read(notice.authentication_results, knowledge.authserv_id)
    if found is None:
        return
    theirs = f".{domain_of(address)}"
    if found.dmarc_failed:
        yield _Side.DOUBT, "sender fails DMARC, our mail server says"
    elif any(theirs.endswith(f".{d}") or f".{d}".endswith(theirs) for d in found.domains):
        yield _Side.NOTE, "sender is authentic and of the recipient's domain, our mail server says"
    elif found.domains:
        yield _Side.NOTE, "sender is authentic, our mail server says"


def _subject(notice: Notice, report: Report | None) -> str:
    if report is not None:
        return normalise(report.mailed) or normalise(report.recipient) or ""
    return next(iter(_addresses(notice.from_)), "")


def _return_path(address: str, ways: Sequence[str], knowledge: Knowledge) -> Iterator[_Signal]:
    if not knowledge.verp_keys:
        return
    tokens = dict.fromkeys(token for way in ways if (token := verp.token_of(way)))
    if not tokens:
        yield _Side.NOTE, "return path is not signed"
    today = knowledge.now.date()
    for token in tokens:
        check = verp.verify(token, address, knowledge.verp_keys, today, knowledge.verp_max_age_days)
        yield _BY_TOKEN[check]


_BY_TOKEN = {
    verp.Check.VALID: (_Side.PROOF, "signed return path for this address"),
    verp.Check.OTHER_ADDRESS: (_Side.CONTRADICTION, "signed return path for another address"),
    verp.Check.EXPIRED: (_Side.DOUBT, "signed return path has expired"),
    verp.Check.NOT_OURS: (_Side.DOUBT, "return path has a signature that is not ours"),
}


def _message_id(notice: Notice, address: str, knowledge: Knowledge) -> Iterator[_Signal]:
    if knowledge.known_send:
        if knowledge.sent_to is None:
            # Whoever we mailed knows one such: it says nothing about this address.
            yield _Side.NOTE, "returned Message-ID is one we sent, to whom is not recorded"
        elif normalise(knowledge.sent_to) != address:
            yield _Side.CONTRADICTION, "returned Message-ID is of a message to another address"
        else:
            # Who was mailed knows the Message-ID too; with an impossible date it proves less.
            side = _Side.CLUE if _precedes(notice, knowledge) else _Side.PROOF
            yield side, "returned Message-ID is of our message to this address"
    elif knowledge.sends_complete:
        missing = notice.original.message_id is None
        words = "no Message-ID came back" if missing else "returned Message-ID is not one we sent"
        yield _Side.DOUBT, words


def _dkim(notice: Notice, address: str, knowledge: Knowledge) -> Iterator[_Signal]:
    """Weigh our signature. Each whom a message was to has it, and could use it about the others."""
    signature = knowledge.dkim
    if signature is None:
        return
    senders, recipients = _addresses(signature.from_), _addresses(signature.to)
    if not signature.verifies:
        # Not a doubt: servers on the way may change headers, and the signature with them.
        yield _Side.NOTE, "our DKIM signature does not verify"
    elif not senders or not senders <= knowledge.mailboxes:
        # At a provider of mailboxes, the domain signs for strangers, too.
        yield _Side.NOTE, "our DKIM signature verifies, but not for one of our mailboxes"
    elif recipients == {address}:
        side = _Side.CLUE if _precedes(notice, knowledge) else _Side.PROOF
        yield side, "our DKIM signature verifies, and is for this address"
    elif address in recipients or not recipients:
        yield _Side.NOTE, "our DKIM signature verifies, but not for this address alone"
    else:
        yield _Side.DOUBT, "our DKIM signature verifies, but for another address"


def _returned_from(notice: Notice, knowledge: Knowledge) -> Iterator[_Signal]:
    if not knowledge.mailboxes:
        return
    claimed = _addresses(notice.original.from_)
    ours = claimed & knowledge.mailboxes
    if not claimed:
        yield _Side.NOTE, "no From came back"
    elif not ours:
        yield _Side.DOUBT, "returned From is not one of our mailboxes"
    elif knowledge.verp_keys and ours <= knowledge.signed_mailboxes:
        yield _Side.NOTE, "returned From is a mailbox that sends with a signed return path"
    elif knowledge.is_lead or not knowledge.leads_known:
        yield _Side.CLUE, "returned From is one of our mailboxes"
    else:
        yield _Side.NOTE, "returned From is one of our mailboxes"
    if knowledge.leads_known and not knowledge.is_lead:
        yield _Side.NOTE, "recipient is not a lead"


def _returned_to(notice: Notice, address: str) -> Iterator[_Signal]:
    recipients = _addresses(notice.original.to)
    if recipients and address not in recipients:
        yield _Side.DOUBT, "returned message was to another address"


def _dates(notice: Notice, knowledge: Knowledge) -> Iterator[_Signal]:
    if notice.sent_at is not None and _aware(notice.sent_at) - knowledge.now > SKEW:
        yield _Side.DOUBT, "bounce is dated in the future"
    if _precedes(notice, knowledge):
        yield _Side.DOUBT, "bounce is older than the message it is about"


def _precedes(notice: Notice, knowledge: Knowledge) -> bool:
    mailed = knowledge.sent_at or notice.original.date
    if notice.sent_at is None or mailed is None:
        return False
    return _aware(mailed) - _aware(notice.sent_at) > SKEW


def _addresses(header: str | None) -> frozenset[str]:
    """Read the addresses of From or To as returned: often cut, decoded, or badly quoted.

    The standard library gives up on `Team, Sales <sales@example.com>`, which real mail has.
    """
    text = (header or "")[:_MOST_HEADER]
    found = _ANGLE_ADDR.findall(text) or _COMMENT.sub("", text).split(",")
    return frozenset(known for each in found if (known := normalise(each)) is not None)


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
