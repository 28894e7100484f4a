"""What is found in files: a mail, or why there is none."""

import re
from dataclasses import dataclass
from enum import StrEnum

from bouncesink.ledger import Replay
from bouncesink.parse.likely import MAX_BLOCK, may_be_notification

HEAD = MAX_BLOCK
"""How far into a file a header must come for it to be taken as a mail, in octets."""

_HEADER = re.compile(
    rb"^(?:return-path|received|delivered-to|from|to|cc|subject|date|message-id|mime-version"
    rb"|content-[a-z-]+|auto-submitted|reply-to|sender|x-[a-z0-9-]+)[ \t]*:",
    re.IGNORECASE | re.MULTILINE,
)
_HEADER_END = re.compile(rb"\n\r?\n|\r\r")
_BODY_START = 4096


class PassedOver(StrEnum):
    """Why a mail or a file among many is not taken, and need not be: nothing is wrong with it."""

    ORDINARY = "ordinary"
    NO_MAIL = "no mail"


@dataclass(frozen=True, slots=True)
class Found:
    """One mail in a file, or what is wrong with it, or why it is passed over.

    `read` is how many octets of the file (as it is on the disk) were read for it. `mark` is how far
    the mbox or archive that it is in is read with it. `resumed` stands alone: so far it was read
    before.
    """

    file: str
    raw: bytes = b""
    problem: str = ""
    passed_over: PassedOver | None = None
    read: int = 0
    mark: Replay | None = None
    resumed: Replay | None = None


def problem_of(raw: bytes) -> str:
    """Say in a few words what keeps this from being a mail; empty where it is one."""
    if not raw.strip():
        return "is empty"
    if not _HEADER.search(raw[:HEAD].replace(b"\r", b"\n")):
        return "is not a mail: no header field near its start"
    return ""


def is_ordinary(raw: bytes) -> bool:
    """Whether a mail, or its first `HEAD` octets, is none that a machine would have sent."""
    end = _HEADER_END.search(raw, 0, HEAD)
    if end is None:
        return not may_be_notification(raw)
    return not may_be_notification(raw[: end.start() + 1], raw[end.end() :][:_BODY_START])


def too_big(max_size: int) -> str:
    return f"is over the size limit of {max_size:,} octets (lmtp.max_message_size)"
