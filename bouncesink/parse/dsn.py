"""PURE. Delivery status notifications: RFC 3464, with the addresses of RFC 6533.

The delivery-status part is read group by group. Some servers leave out what a field is for
(OpenSMTPD never writes a Diagnostic-Code): that is then taken from the notification's own text.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

from bouncesink.model import DsnAction, Report
from bouncesink.parse.charset import decode
from bouncesink.parse.dates import parse_date
from bouncesink.parse.message import Fields, Found, Message
from bouncesink.parse.reports import (
    ADDRESS,
    address_in,
    make_report,
    reply_code_in,
    status_in,
)

NAME = "rfc3464"

_ACTIONS = {
    **{action.value: action for action in DsnAction},
    "failure": DsnAction.FAILED,
    "fail": DsnAction.FAILED,
    "error": DsnAction.FAILED,
    "undeliverable": DsnAction.FAILED,  # Postfix, sendmail -bv
    "deliverable": DsnAction.DELIVERED,
    "delay": DsnAction.DELAYED,
    "deliver": DsnAction.DELIVERED,
    "relay": DsnAction.RELAYED,
}
_RECIPIENTS = ("final-recipient", "original-recipient", "x-actual-recipient")

_FATES = ("action", "status", "diagnostic-code")

Enrich = Callable[[Message], Found | None]


def recognize(message: Message, enrich: Enrich | None = None) -> Found | None:
    """Read the delivery-status part; `enrich` reads the text where the part says too little."""
    groups = _recipient_groups(message.delivery_status)
    if not groups:
        return None
    reporting = next(
        (_name(g["reporting-mta"]) for g in message.delivery_status if g.get("reporting-mta")), None
    )
    reports = [_report(group, reporting, message) for group in groups]
    if len(reports) == 1 and not _is_address(reports[0].recipient):
        reports = [_named_elsewhere(reports[0], message)]
    if any(report.diagnostic is None for report in reports):
        reports = _completed(reports, message, enrich)
        reports = [_mailed_as(report, message) for report in reports]
    return Found(reports=tuple(dict.fromkeys(filter(_says_something, reports))))


def _says_something(report: Report) -> bool:
    return bool(report.recipient)


def _recipient_groups(groups: tuple[Fields, ...]) -> list[Fields]:
    """Give the per-recipient groups; a stray empty line inside one does not part it."""
    found: list[Fields] = []
    for group in groups:
        if any(name in group for name in _RECIPIENTS):
            found.append(group)
        elif found and "action" not in found[-1] and ("action" in group or "status" in group):
            found[-1] = {**group, **found[-1]}
    # A group that tells no fate was cut short, and perhaps in the midst of its address.
    return [group for group in found if any(name in group for name in _FATES)]


def _report(group: Fields, reporting: str | None, message: Message) -> Report:
    final = address_of(group.get("final-recipient"))
    original = address_of(group.get("original-recipient"))
    if final is None or not _is_address(final):
        candidates = (original, address_of(group.get("x-actual-recipient")))
        final = next(filter(_is_address, filter(None, candidates)), final or original or "")
    if original is not None and not _is_address(original):
        original = None
    diagnostic = _diagnostic(group.get("diagnostic-code"))
    status = status_in(group.get("status", ""))
    return make_report(
        final,
        NAME,
        original_recipient=_decoded_xtext(original, final),
        action=_action(group.get("action", ""), status, message),
        status=status,
        diagnostic=diagnostic,
        remote_mta=_name(group.get("remote-mta")),
        reporting_mta=reporting,
        last_attempt=parse_date(group.get("last-attempt-date")),
    )


_WORD = re.compile(r"[a-z]+")
_DELAY = re.compile(r"\bdelay|\bwarning\b|not yet been delivered|will (?:be )?retr", re.IGNORECASE)


def _action(value: str, status: str | None, message: Message) -> DsnAction:
    word = _WORD.search(value.lower())
    if word and word[0] in _ACTIONS:
        return _ACTIONS[word[0]]
    if status and status[0] == "2":
        return DsnAction.DELIVERED
    if status and status[0] == "4" and _DELAY.search(message.subject):
        return DsnAction.DELAYED
    return DsnAction.FAILED


_TYPED = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9-]{0,30})\s*;\s*(.*)", re.DOTALL)
_COMMENT = re.compile(r"\s*\((?:[^()]|\([^()]*\)){0,300}\)\s*\Z")
_ADDRESS = re.compile(r"[^@]+@[^@\s]+\Z|\".*\"@[^@\s]+\Z", re.DOTALL)
_UNICODE = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}")


def address_of(value: str | None) -> str | None:
    r"""Take the address out of a recipient field: without type, comment, brackets, `\x{...}`."""
    if not value:
        return None
    typed = _TYPED.match(value)
    text = (typed[2] if typed else value).strip()
    if "\\x{" in text:
        text = _UNICODE.sub(_character, text)
    if "(" in text and not text.startswith('"'):
        text = _COMMENT.sub("", text)
    if "<" in text and text.endswith(">"):
        text = text[text.rindex("<") + 1 : -1]
    text = text.strip().strip("<>'").strip().removeprefix("mailto:").rstrip(".;,")
    if " " in text and "@" in text and not text.startswith('"'):
        text = address_in(text) or text
    return text or None


def _is_address(text: str) -> bool:
    return _ADDRESS.match(text) is not None


def _character(escape: re.Match[str]) -> str:
    code = int(escape[1], 16)
    return chr(code) if code < 0xD800 or 0xDFFF < code <= 0x10FFFF else "\ufffd"


_XTEXT = re.compile(r"\+([0-9A-F]{2})")


def _decoded_xtext(address: str | None, other: str) -> str | None:
    """Undo xtext (RFC 3461, section 4) where it was left on; `+2B` can also be a plus-tag."""
    if address is None or "+" not in address:
        return address
    plain = _XTEXT.sub(lambda m: chr(int(m[1], 16)), address)
    return plain if plain.lower() == other.lower() or "@" not in address else address


_OCTAL = re.compile(r"(?:\\[23][0-7]{2})+")


def _diagnostic(value: str | None) -> str | None:
    if not value:
        return None
    typed = _TYPED.match(value)
    text = typed[2] if typed else value
    return _OCTAL.sub(_octets, text) if "\\" in text else text


def _octets(run: re.Match[str]) -> str:
    """Undo Exim's way of writing octets that are not ASCII."""
    return decode(bytes(int(octet, 8) for octet in run[0].split("\\")[1:]))


_NAMED = re.compile(r"\s*(?:[A-Za-z-]{1,20}\s*;)?\s*([^\s;()]+)")


def _name(value: str | None) -> str | None:
    """Take the host out of an MTA name field (RFC 3464, section 2.1.2)."""
    named = _NAMED.match(value) if value else None
    return named[1].rstrip(".") if named else None


def _named_elsewhere(report: Report, message: Message) -> Report:
    """Name the one recipient of whom the part says only a local name or nothing."""
    values = message.headers.get("x-failed-recipients") or ""
    if not values and message.returned is not None:
        values = message.returned.get("to") or ""
    addresses = list(dict.fromkeys(ADDRESS.findall(values)))
    local = report.recipient.partition("@")[0].lower()
    if len(addresses) == 1 and addresses[0].lower().startswith(local):
        return replace(report, recipient=addresses[0])
    return report


_FOR_ONE = re.compile(r"\(OpenSMTPD\)\s[^;]{0,400}\sfor\s{1,4}<([^<>\s@]{1,256}@[^<>\s@]{1,255})>")


def _mailed_as(report: Report, message: Message) -> Report:
    """Tell the alias, which OpenSMTPD names in its own Received only, of a mail to one address."""
    received = message.returned.get("received") if message.returned is not None else None
    found = _FOR_ONE.search(received or "")
    if found is None or report.original_recipient or found[1].lower() == report.recipient.lower():
        return report
    return replace(report, original_recipient=found[1])


def _completed(reports: list[Report], message: Message, enrich: Enrich | None) -> list[Report]:
    """Give reports without a diagnostic what the text says of them, best by its own words."""
    said = {
        report.recipient: next(_said_of(message.text, report.recipient), None)
        for report in reports
        if report.diagnostic is None
    }
    found = None
    if enrich is not None and not all(map(_has_code, said.values())):
        found = enrich(message)
    return [
        report
        if report.diagnostic is not None
        else _enriched(report, said[report.recipient], found)
        for report in reports
    ]


def _has_code(text: str | None) -> bool:
    return text is not None and (status_in(text) or reply_code_in(text)) is not None


def _enriched(report: Report, said: str | None, found: Found | None) -> Report:
    twin = next((r for r in found.reports if _same(r, report)), None) if found else None
    if twin is not None and not _has_code(said):
        said = twin.diagnostic or said
    if said is None:
        return report
    better = make_report("", NAME, diagnostic=said, status=report.status)
    # OpenSMTPD's last word is worded and marked as a warning; the mail is gone all the same.
    given_up = report.action is DsnAction.DELAYED and said == "Envelope expired"
    return replace(
        report,
        action=DsnAction.FAILED if given_up else report.action,
        diagnostic=better.diagnostic,
        status=better.status,
        reply_code=report.reply_code or better.reply_code,
        remote_mta=report.remote_mta or (twin.remote_mta if twin else None),
    )


def _same(one: Report, other: Report) -> bool:
    names = {one.recipient.lower(), (one.original_recipient or one.recipient).lower()}
    return other.recipient.lower() in names or other.mailed.lower() in names


def _said_of(text: str, recipient: str) -> Iterator[str]:
    """Find what the text says of a recipient: from a line that starts with it to the empty line.

    Another recipient's line ends it too: one as far to the left, with an address and a colon.
    """
    pattern = (
        rf"^([ \t]*)<?{re.escape(recipient)}>?[ \t]*[:(.]{{0,4}}[ \t]*"
        r"(.*(?:\n(?!\1<?[^\s<>@:]{1,256}@[^\s<>@:]{1,255}>?:)[ \t]*\S.*){0,12})"
    )
    for found in re.finditer(pattern, text, re.MULTILINE | re.IGNORECASE):
        said = " ".join(found[2].split())
        if re.search(r"[^\W\d]{3,}.*[^\W\d]{3,}", said) and not ADDRESS.match(said):
            yield said
