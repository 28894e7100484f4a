"""fml, a mailing list manager: its refusals.

"Loop Alert: Duplicated Message-ID in <list@example.jp>", with X-MLServer: fml (fml.org).
"""

import re

from bouncesink.parse.formats.reading import Entry, reports, tidy
from bouncesink.parse.message import Found, Message

NAME = "fml"
HINTS: tuple[str, ...] = ()

_ALERT = re.compile(
    r"^((?:duplicated message-id|loop(?:ed)? (?:back )?(?:mail|alert)|security alert"
    r"|(?:your )?mail (?:is )?rejected)"
    r"[^\n<]{0,120}<([^<>\n]{3,400})>[^\n]{0,200})",
    re.IGNORECASE | re.MULTILINE,
)


def recognize(message: Message) -> Found | None:
    if "fml" not in (message.headers.get("x-mlserver") or "").lower():
        return None
    notice, _, returned = message.text.partition("\nOriginal mail as follows:")
    alert = _ALERT.search(notice)
    address = tidy(alert[2]) if alert else None
    if alert is None or address is None:
        return None
    quoted = "\n".join(line.removeprefix("   ") for line in returned.lstrip("\n").split("\n"))
    detail = f"{message.subject}: {alert[1]}"
    return Found(reports([Entry(address, detail)], NAME), returned_text=quoted)
