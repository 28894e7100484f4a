"""Mail for the tests of parse/, made by hand."""

from datetime import UTC, datetime
from pathlib import Path

from bouncesink.model import Arrival, Notice
from bouncesink.parse import Options, parse

DATA = Path(__file__).parent / "data" / "dsn"
NOW = datetime(2026, 11, 22, tzinfo=UTC)

ORIGINAL = """\
Return-Path: <sales@example.org>
From: Sales <sales@example.org>
To: lead@example.com
Subject: A question
Message-ID: <orig-1@example.org>
Date: Sat, 21 Nov 2026 10:00:00 +0100
X-Campaign: autumn-3

Hello.
"""


def arrival(raw: bytes | str, **fields: str) -> Arrival:
    data = raw.encode() if isinstance(raw, str) else raw
    known = {"id": "a", "source": "file", "envelope_from": "", "envelope_to": ""} | fields
    return Arrival(received_at=NOW, raw=data, **known)


def read(raw: bytes | str, options: Options | None = None, **fields: str) -> Notice:
    return parse(arrival(raw, **fields), options or Options())


def real(name: str) -> bytes:
    return (DATA / f"{name}.eml").read_bytes()


def dsn(
    *groups: str,
    text: str = "Your message could not be delivered.",
    original: str = ORIGINAL,
    head: str = "",
    reporting: str = "Reporting-MTA: dns; mx.example.net\n",
) -> str:
    """A notification as RFC 3464 wants it; `groups` are its per-recipient groups."""
    status = "\n".join(group.strip("\n") + "\n" for group in (reporting, *groups))
    return f"""\
From: Mail Delivery System <MAILER-DAEMON@mx.example.net>
To: sales@example.org
Subject: Undelivered Mail Returned to Sender
Message-ID: <bounce-1@mx.example.net>
Date: Sat, 21 Nov 2026 10:05:00 +0100
{head}MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="B"

--B
Content-Type: text/plain; charset=utf-8

{text}

--B
Content-Type: message/delivery-status

{status}
--B
Content-Type: message/rfc822

{original}
--B--
"""


def failed(address: str = "lead@example.com", *more: str) -> str:
    lines = (f"Final-Recipient: rfc822; {address}", "Action: failed", "Status: 5.1.1", *more)
    return "\n".join(lines)
