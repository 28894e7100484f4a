"""PURE. The event that an arrival by a provider's webhook holds, read by that provider's module."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from bouncesink.identity import body_identity
from bouncesink.model import Notice
from bouncesink.parse.jsonfields import Json
from bouncesink.parse.providers import (
    generic,
    mailgun,
    mandrill,
    postmark,
    sendgrid,
    ses,
    smartlead,
)
from bouncesink.parse.providers.telling import unreadable

READERS: Mapping[str, Callable[[Json, Iterable[str]], Notice]] = {
    "ses": ses.read,
    "sendgrid": sendgrid.read,
    "postmark": postmark.read,
    "mailgun": mailgun.read,
    "mandrill": mandrill.read,
    "smartlead": smartlead.read,
    "generic": generic.read,
}


def parse_told(provider: str, raw: bytes, campaign_headers: Iterable[str] = ()) -> Notice:
    """Read one event; `campaign_headers` are names of header fields that tell the campaign."""
    read = READERS.get(provider)
    try:
        event = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError):
        event = None
    if read is None or not isinstance(event, dict):
        notice = unreadable(provider, "no object" if read else "no provider that is known")
    else:
        notice = read(event, campaign_headers)
    return notice if notice.identity else replace(notice, identity=body_identity(raw))
