"""PURE. Making Reports: the codes and addresses that stand in a diagnostic text."""

import re
from datetime import datetime

from bouncesink.model import DsnAction, Report
from bouncesink.parse.charset import clean

MAX_DIAGNOSTIC = 2000
MAX_ADDRESS = 400

# What stands before a code is looked at from behind its first digits, which `re` can seek.
_STATUS = re.compile(
    r"([245]\.(?:(?<=[245]\d\d-\d\.)|(?<![\d.@/-]\d\.))\d{1,3}\.\d{1,3})(?![\d.]*\d|[\w@-])"
)
_REPLY = re.compile(
    r"([245][0-5]\d)(?<![\d.@:/_-]\d\d\d)(?=[ \t-]|[ \t]*$)(?!-(?![245]\.\d{1,3}\.\d)\d)",
    re.MULTILINE,
)
ADDRESS = re.compile(
    r"""(?:"(?:[^"\\\n]|\\.){1,64}"|[^\s<>()\[\]:;@,"'\\]{1,128}(?:'[^\s<>()\[\]:;@,"\\]{1,64})?)"""
    r"""@(?:[\w-]{1,63}(?:\.[\w-]{1,63}){0,10}|\[[\d.:A-Fa-fIPv]{3,45}\])"""
)
"""An address in running text: careful rather than complete."""


def status_in(text: str) -> str | None:
    """Find an enhanced status code (RFC 3463); the first that is not x.0.0, else the first."""
    found: list[str] = _STATUS.findall(text)
    return next((each for each in found if not is_generic(each)), found[0] if found else None)


def reply_code_in(text: str) -> int | None:
    """Find an SMTP reply code (RFC 5321, 4.2): the first 2yz, 4yz or 5yz that stands alone."""
    found = _REPLY.search(text)
    return int(found[1]) if found else None


def is_generic(status: str) -> bool:
    """Whether a status tells no more than its class: x.0.0."""
    return status[1:] in (".0.0", ".0", "")


def address_in(text: str) -> str | None:
    """Find the first address in running text, without brackets and final dots."""
    found = ADDRESS.search(text)
    return found[0] if found else None


def make_report(  # noqa: PLR0913  a report has these facts
    recipient: str,
    recognizer: str,
    *,
    diagnostic: str | None = None,
    action: DsnAction = DsnAction.FAILED,
    status: str | None = None,
    reply_code: int | None = None,
    original_recipient: str | None = None,
    remote_mta: str | None = None,
    reporting_mta: str | None = None,
    last_attempt: datetime | None = None,
) -> Report:
    """Make a Report, bounded and clean; codes that are not given are taken from the diagnostic.

    A given status gives way to a better one in the diagnostic when it is generic (x.0.0).
    """
    text = clean(diagnostic, MAX_DIAGNOSTIC).strip() if diagnostic else ""
    if text and (status is None or is_generic(status)):
        status = _better(status, status_in(text))
    if reply_code is None and text:
        reply_code = reply_code_in(text)
    return Report(
        recipient=_address(recipient) or "",
        action=action,
        recognizer=recognizer,
        original_recipient=_address(original_recipient),
        status=status,
        reply_code=reply_code,
        diagnostic=text or None,
        remote_mta=_short(remote_mta),
        reporting_mta=_short(reporting_mta),
        last_attempt=last_attempt,
    )


def _better(given: str | None, found: str | None) -> str | None:
    if given is None or found is None:
        return found or given
    return given if is_generic(found) and found[0] == given[0] else found


def _address(text: str | None) -> str | None:
    if not text:
        return None
    text = clean(text, MAX_ADDRESS).replace("\n", "").strip().strip("<>").strip()
    return text or None


def _short(text: str | None) -> str | None:
    return clean(text, 255).strip() or None if text else None
