"""What Postfix sent, from its log (postlogd(8), syslog or the journal): no message is in it.

Three lines tell of a message, by its queue id: cleanup(8) gives the Message-ID, qmgr(8) the sender,
and a delivery agent each recipient. A message counts as sent with its first attempt, whatever came
of it. Notifications, which have no sender, and local deliveries do not.
"""

import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from bouncesink.address import normalise
from bouncesink.model import Send
from bouncesink.parse.original import message_id

MOST_OPEN = 100_000
"""Messages that are remembered at a time: the queue of a busy server."""

MAX_LINE = 10_000

_LINE = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:?\d\d)|[A-Z][a-z]{2} [ \d]\d [\d:]{8})\s+\S+\s+"
    r"postfix[\w-]*/(?:[\w-]+/)?(?P<daemon>cleanup|qmgr|smtp|relay|lmtp)\[\d+\]:\s+"
    r"(?P<queue>[0-9A-Za-z]{6,20}): (?P<rest>.*)"
)
_MESSAGE_ID = re.compile(r"message-id=(<.+>|\S+)")
_FROM = re.compile(r"from=<([^>]*)>, size=")
_TO = re.compile(r"to=<([^>]+)>, .*status=(?:sent|deferred|bounced|undeliverable)\b")


@dataclass(slots=True)
class _Message:
    message_id: str | None = None
    sender: str | None = None


def sends(lines: Iterable[str], now: datetime) -> Iterator[Send]:
    """Give what was sent, in the order of the log; the same may come twice.

    A log without years is of the twelve months up to `now`. Lines of others are passed over.
    """
    known: OrderedDict[str, _Message] = OrderedDict()
    for line in lines:
        found = _LINE.match(line[:MAX_LINE])
        if found is None:
            continue
        queue, rest = found["queue"], found["rest"]
        message = known.setdefault(queue, _Message())
        known.move_to_end(queue)
        if len(known) > MOST_OPEN:
            known.popitem(last=False)
        if (told := _MESSAGE_ID.match(rest)) and found["daemon"] == "cleanup":
            message.message_id = message_id(told[1])
        elif told := _FROM.match(rest):
            message.sender = normalise(told[1])
        elif rest == "removed":
            del known[queue]
        elif (told := _TO.match(rest)) and found["daemon"] in ("smtp", "relay"):
            recipient = normalise(told[1])
            if recipient and message.message_id and message.sender:
                at = _time(found["time"], now)
                yield Send(message.message_id, recipient, at, None, message.sender)


def _time(text: str, now: datetime) -> datetime | None:
    try:
        if text[0].isdigit():
            return datetime.fromisoformat(text).astimezone(UTC)
        for year in (now.year, now.year - 1):
            at = datetime.strptime(f"{year} {text}", "%Y %b %d %H:%M:%S").astimezone(UTC)
            if at <= now:
                return at
    except (ValueError, OverflowError, OSError):
        pass
    return None
