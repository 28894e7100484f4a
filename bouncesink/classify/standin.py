"""What a person would read, in place of a diagnostic that is missing: with care, or not at all."""

import re

from bouncesink.classify.facts import MAX_TEXT
from bouncesink.model import Kind, Notice, Report

_ADDRESS = re.compile(r"[^\s<>()\[\]\"',;:@]{1,256}@[^\s<>()\[\]\"',;:@]{1,255}")
# From here on it is the sender's own mail that speaks.
_RETURNED = re.compile(
    r"^(?:>(?!>).*|-{3,}.*(?:original|returned|header|copy|forwarded).*|"
    r".*(?:copy of (?:the|your)|(?:original|returned) message(?: headers?)? (?:follows?|is)|"
    r"message headers follow|original message below).*|"
    r"(?:received|return-path|message-id|mime-version|dkim-signature): .*)$",
    re.IGNORECASE | re.MULTILINE,
)
# `rejection_reason` of Dovecot, as it comes: https://doc.dovecot.org/settings/core/
_REJECTED = re.compile(
    r"your message to \S{1,320} was automatically rejected:[^\n]*\n[^\n]*", re.IGNORECASE
)


def delivery_agent_words(notice: Notice) -> str:
    """Give what the last delivery agent said, if a relay's DSN fields around it say otherwise."""
    if len(notice.reports) != 1:
        return ""
    text = notice.text[:MAX_TEXT]
    found = _REJECTED.search(text) if "automatically rejected:" in text else None
    return found[0] if found else ""


def stand_in(report: Report, notice: Notice) -> str:
    """Give the notice's own words if they can only be about this recipient, else nothing.

    A text that names other addresses could lend one recipient the reason of another.
    """
    if notice.kind not in (Kind.FAILURE, Kind.DELAYED) or len(notice.reports) != 1:
        return ""
    text = notice.text[:MAX_TEXT]
    cut = _RETURNED.search(text)
    if cut:
        text = text[: cut.start()]
    own = {report.recipient, report.original_recipient, notice.from_, notice.original.from_}
    known = " ".join(name for name in own if name).lower()
    others = [name for name in _ADDRESS.findall(text.lower()) if name.rstrip(".") not in known]
    return "" if others else text
