"""PURE. What the events of an address amount to, and what that calls for.

The rules, all of them functions of the set of events, whatever their order of arrival:

1.  An event counts as its verdict's severity. Profile `rfc5321`: every failed 5yz is HARD and every
    failed 4yz SOFT, by the class of the status, else of the reply code; what says nothing about
    the address (auto-replies, delays, complaints, bounces of bounces) stays NONE.
2.  An event below the required trust counts as nothing; CONTRADICTED never counts, UNCHECKED
    always does (there was nothing to compare with).
3.  `confirm` makes its target count as HARD whatever its verdict and trust, from the moment of the
    act on (a complaint or an unsubscribe request counts as what it is). `dismiss` makes its target
    count as nothing. Of several acts about one event the last one holds. `dismiss` without a
    target settles all that waits for review and was recorded up to it, and with a reason for review
    (`doubtful`, ...) as its target, all that waits for this one; it changes nothing else.
4.  Only HARD and SOFT bounces are counted: BLOCK, UNKNOWN and NONE leave the five columns alone.
5.  One original message (by Message-ID; without one each event stands for a message of its own) is
    one in the count and one in the evidence, dated by the first of its worst bounces; at no time
    does it make more than one strike.
6.  A HARD bounce makes the address HARD (`Reason.HARD`); so do `strikes` SOFT ones
    (`Reason.STRIKES`). Both reasons are kept when both hold. HARD is sticky: no bounce, however
    late or old, takes it away.
7.  More than `decay_days` without a counted bounce set the strikes back to zero. The count, the
    date, the type and the evidence stay.
8.  `reinstate` clears HARD, the strikes and the type for all that occurred up to it, also for what
    arrives later but is older, and for what repeats a verdict on a message that had already
    bounced by then. A worse verdict, or another message, counts anew. The count, the date and the
    evidence stay. It clears no complaint, no unsubscribe request and nothing that `suppress` set.
9.  Complaints and unsubscribe requests close the gate for reasons of their own, until their event
    is dismissed. `suppress` and `unsuppress` close and open it for the reason `manual`.
10. An event that claims to be from the future, or from before 1990, is dated by when it was
    recorded.

A change of policy or of the required trust changes past states only through a refold.
"""

from bouncesink.fold.cells import Columns, columns
from bouncesink.fold.changes import announce
from bouncesink.fold.intentions import contain, decide, waiting
from bouncesink.fold.judgement import Rulings, counts, effective, rulings, when
from bouncesink.fold.retry import Advice, advise, advise_after
from bouncesink.fold.state import closed_since, fold, strikes_at

__all__ = [
    "Advice",
    "Columns",
    "Rulings",
    "advise",
    "advise_after",
    "announce",
    "closed_since",
    "columns",
    "contain",
    "counts",
    "decide",
    "effective",
    "fold",
    "rulings",
    "strikes_at",
    "waiting",
    "when",
]
