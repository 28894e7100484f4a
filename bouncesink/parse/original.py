"""PURE. The returned message's identity, from as much of its header section as came back."""

import re
from collections.abc import Iterable

from bouncesink.model import Original
from bouncesink.parse.charset import clean
from bouncesink.parse.dates import parse_date
from bouncesink.parse.mime import Headers

MAX_HEADER_BLOCK = 64 * 1024
MAX_VALUE = 998
"""Octets of a line (RFC 5322, section 2.1.1), and more than any identity needs."""
MAX_CAMPAIGN = 20

CAMPAIGN_HEADERS = (
    "x-campaign",
    "x-campaign-id",
    "x-campaignid",
    "x-mailgun-tag",
    "x-mailgun-variables",
    "x-mailgun-sid",
    "x-ses-message-tags",
    "x-ses-configuration-set",
    "x-mc-tags",
    "x-mc-metadata",
    "x-mc-user",
    "x-mandrill-user",
    "x-smtpapi",
    "x-sg-eid",
    "x-sg-id",
    "feedback-id",
    "list-unsubscribe",
)
"""Mailgun, Amazon SES, Mandrill and SendGrid by their documents, most telling first; the
Feedback-ID of Gmail's postmaster guide and the List-Unsubscribe of RFC 2369."""

CAMPAIGN_PREFIXES = ("x-smartlead", "x-instantly")
"""Sequencers that document no names: whatever they put under their own."""

_MESSAGE_ID = re.compile(r"<([^<>\s]{1,990})>")
_DAEMON = re.compile(r"(?:^|[<\s\"])mailer-daemon(?:@|\b)", re.IGNORECASE)


def original_of(headers: Headers, campaign_headers: Iterable[str] = ()) -> Original:
    """Read the identity; `campaign_headers` are further names, which go before ours."""
    sender = _short(headers.get("from"))
    block = headers.block
    if len(block) > MAX_HEADER_BLOCK:
        block = block[: block.rfind("\n", 0, MAX_HEADER_BLOCK) + 1]
    return Original(
        message_id=message_id(headers.get("message-id")),
        from_=sender,
        to=_short(headers.get("to")),
        subject=_short(headers.get("subject")),
        date=parse_date(headers.get("date")),
        campaign=_campaign(headers, campaign_headers),
        header_block=block.replace("\n", "\r\n").encode("latin-1", "replace"),
        null_sender=(headers.get("return-path") or "").replace(" ", "") == "<>"
        or bool(sender and _DAEMON.search(sender)),
    )


def message_id(value: str | None) -> str | None:
    """Take the first msg-id out of a field, without its brackets; also one that has none."""
    if not value:
        return None
    found = _MESSAGE_ID.search(value)
    text = found[1] if found else value.strip(" <>")
    return clean(text.replace("\n", ""), MAX_VALUE) if text and " " not in text else None


def verp_token(address: str) -> str | None:
    """Take the token out of `bounces+TOKEN@` or `bounces-TOKEN@`."""
    local = address.rpartition("@")[0]
    found = re.match(r"[^+]+\+(.+)|bounces?-(.+)", local, re.IGNORECASE)
    return clean(found[1] or found[2], MAX_VALUE) if found else None


def _campaign(headers: Headers, further: Iterable[str]) -> dict[str, str]:
    there = set(headers)
    names = [name.lower() for name in further]
    names += [name for name in headers if name.startswith(CAMPAIGN_PREFIXES)]
    names += [name for name in CAMPAIGN_HEADERS if name in there]
    found: dict[str, str] = {}
    for name in names:
        value = _short(headers.get(name))
        if value and len(found) < MAX_CAMPAIGN:
            found.setdefault(clean(name, 100), value)
    return found


def _short(value: str | None) -> str | None:
    return clean(value, MAX_VALUE).strip() or None if value else None
