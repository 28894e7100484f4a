"""PURE. What MAIL and RCPT say (RFC 5321, section 4.1.2), and the replies that end a matter."""

import re

_QUOTED = r"\"(?:[^\"\\\0-\x1f\x7f]|\\[^\0-\x1f\x7f])*\""
_PATH = rf"\s*<((?:[^<>\"\\\s\0-\x1f\x7f]|\\[^\s\0-\x1f\x7f]|{_QUOTED})*)>(?:\s+(.*))?"
_MAIL = re.compile(rf"FROM:{_PATH}\Z", re.IGNORECASE)
_RCPT = re.compile(rf"TO:{_PATH}\Z", re.IGNORECASE)
_SOURCE_ROUTE = re.compile(r"@[^\s\"]*:(?=[^:]*@)")

TOO_BIG = "552 5.3.4 Message too big"


class Refused(Exception):
    """The reply to a command that is not carried out."""

    def __init__(self, reply: str) -> None:
        super().__init__(reply)
        self.reply = reply


def sender(argument: str, max_size: int) -> str:
    """Read the argument of MAIL; "" is the null reverse-path. Raises Refused."""
    found = _MAIL.match(argument)
    if found is None:
        raise Refused("501 5.5.4 Syntax: MAIL FROM:<address> [parameters]")
    for parameter in (found[2] or "").upper().split():
        key, _, value = parameter.partition("=")
        if key == "SIZE" and value.isascii() and value.isdigit():
            if int(value) > max_size:
                raise Refused(TOO_BIG)
        elif parameter not in {"BODY=7BIT", "BODY=8BITMIME", "SMTPUTF8"}:
            raise Refused("555 5.5.4 No such parameter")
    return _without_route(found[1])


def recipient(argument: str) -> str:
    """Read the argument of RCPT. Raises Refused."""
    found = _RCPT.match(argument)
    if found is None:
        raise Refused("501 5.5.4 Syntax: RCPT TO:<address>")
    if found[2]:
        raise Refused("555 5.5.4 No such parameter")
    return _without_route(found[1])


def _without_route(path: str) -> str:
    """Leave out a source route: it is accepted and ignored (RFC 5321, appendix C)."""
    return _SOURCE_ROUTE.sub("", path, count=1) if path.startswith("@") else path
