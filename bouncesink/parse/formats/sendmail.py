"""Sendmail 5.65 to 8.x, and the many systems that part their bounces as it does.

Sections under dashed titles (`savemail.c`, https://www.proofpoint.com/us/products/email-protection/
open-source-email-solution): "The following addresses had permanent fatal errors", "Transcript of
session follows", "Original message follows". Sendmail 5 has the transcript only. Active!Hunter,
Biglobe, Mail2000, Smail and InterScan keep the shape under titles of their own.
"""

import re
from collections.abc import Iterator

from bouncesink.model import DsnAction, Report
from bouncesink.parse.formats.reading import MAX_ENTRIES, Entry, leading_list, reports, tidy
from bouncesink.parse.formats.sender import from_machine
from bouncesink.parse.message import Found, Message, header_section

NAME = "sendmail"
HINTS = ("--",)

_TITLE = re.compile(
    r"^[ \t]{0,12}[-|][-| \t]{1,80}(?P<title>[A-Za-z][^\n]{3,100}?)[ \t]{0,20}[-|]{2,80}[ \t]*$",
    re.MULTILINE,
)
_LISTING = re.compile(
    r"addresses? (?:had|have|with|failed)|failed (?:addresses|recipients)|unsent addresses"
    r"|recipients? (?:failed|had)|undelivered recipients?|did not receive",
    re.IGNORECASE,
)
_TRANSCRIPT = re.compile(
    r"transcript of (?:the )?session|non-?delivered information|message log"
    r"|session transcript",
    re.IGNORECASE,
)
_RETURNED = re.compile(
    r"(?:original|unsent|returned|undelivered) (?:message|mail)|message (?:header|text|body)"
    r"|(?:header|copy) of",
    re.IGNORECASE,
)
_TRANSIENT = re.compile(r"transient|delayed|warning|will (?:be )?retr", re.IGNORECASE)
_WARNING = re.compile(r"this is a warning message only|warning: could not send", re.IGNORECASE)
_LISTED = re.compile(
    r"^[ \t]{0,12}(?:>{2,3} ?)?(?:<?([^\s<>()@\"|/]{1,256}@[^\s<>(),;:\[\]]{1,255})>?"
    r"|<(\"[^\"\n]{1,256}\"@[^\s<>]{1,255})>|(?:\"?[|/:]|<[|/])[^\n]{1,400}$)",
    re.MULTILINE,
)
_EXPANDED = re.compile(r"\(expanded from: ?<?([^\s<>()]{1,400})>?\)", re.IGNORECASE)
_REASON = re.compile(r"\(reason: ((?:[^()\n]|\([^()\n]*\)|\n[ \t]+){1,1500})\)?")
_REMARK = re.compile(r"(?:\.\.\.|^)[ \t]*([^\s()][^\n]{0,400})")


def recognize(message: Message) -> Found | None:
    text = message.text
    if "--" not in text or not _TITLE.search(text) or not from_machine(message):
        return None
    listings: list[tuple[str, str]] = []
    transcript = returned = ""
    for title, body in _sections(text):
        if _RETURNED.search(title) and not _LISTING.search(title):
            returned = body
            break
        if _LISTING.search(title):
            listings.append((title, body))
        elif _TRANSCRIPT.search(title):
            transcript += body
    if not listings and not transcript:
        return None
    talk = _Transcript(transcript)
    whole_warning = _WARNING.search(text[: len(text) - len(returned)]) is not None
    made: list[Report] = []
    for title, body in listings:
        if "successful" not in title.lower():
            made += _listed(body, talk, delayed=whole_warning or bool(_TRANSIENT.search(title)))
    if not listings:
        action = DsnAction.DELAYED if whole_warning else DsnAction.FAILED
        found = talk.failed() or leading_list(transcript)[0] or _by_host(transcript, returned)
        made += reports(found, NAME, action)
    return Found(tuple(made), returned_text=returned.lstrip()) if made else None


def _sections(text: str) -> Iterator[tuple[str, str]]:
    titles = list(_TITLE.finditer(text))[:50]
    ends = [*(each.start() for each in titles[1:]), len(text)]
    for each, end in zip(titles, ends, strict=False):
        if _RETURNED.search(each["title"]) and not _LISTING.search(each["title"]):
            end = len(text)  # noqa: PLW2901  what is returned may have titles of its own
        yield each["title"], text[each.end() : end]


def _listed(body: str, talk: "_Transcript", *, delayed: bool) -> list[Report]:
    heads = list(_LISTED.finditer(body))[:MAX_ENTRIES]
    ends = [*(each.start() for each in heads[1:]), len(body)]
    made: list[Report] = []
    for head, end in zip(heads, ends, strict=False):
        said = body[head.end() : end]
        parent = _EXPANDED.search(said)
        alias = tidy(parent[1]) if parent else None
        address = tidy(head[1] or head[2] or "") or alias
        if address is None:
            continue
        reason = _REASON.search(said)
        detail = reason[1] if reason else talk.about(address)
        if not detail:
            remark = _REMARK.search(said.strip(" \t\n[]"))
            detail = remark[1] if remark else talk.last_reply()
        waiting = delayed or "(transient failure)" in said
        action = DsnAction.DELAYED if waiting else DsnAction.FAILED
        made += reports([Entry(address, detail, alias, talk.host)], NAME, action)
    return list({each.recipient.lower(): each for each in reversed(made)}.values())[::-1]


_REPLY_LINE = re.compile(
    r"^[ \t]*([245]\d\d[ \t-](?:[245]\.\d{1,3}\.\d{1,3}["
    r" \t]+)?<?(?P<address>[^\s<>]{1,256}@[^\s<>]{1,255}?)"
    r">?(?:\.\.\.|:)[ \t]*[^\n]{0,600})$",
    re.MULTILINE,
)
_RCPT = re.compile(
    r"^>>> RCPT TO:[ \t]*<(?P<address>[^<>\n]{1,400})>[^\n]*\n((?:<<<[^\n]*(?:\n|\Z)){1,20})",
    re.MULTILINE | re.IGNORECASE,
)
_REPLIES = re.compile(r"^<<<[ \t]*([45]\d\d[^\n]{0,600})", re.MULTILINE)
_TALKING = re.compile(r"while talking to \[?([\w.:-]{3,255}?)\]?\.?:", re.IGNORECASE)


class _Transcript:
    """What the session said, by address."""

    def __init__(self, text: str) -> None:
        self.text = text[:64_000]
        self._said: dict[str, str] = {}
        for found in list(_REPLY_LINE.finditer(self.text))[:MAX_ENTRIES]:
            self._said.setdefault(found["address"].lower(), found[1])
        for found in list(_RCPT.finditer(self.text))[:MAX_ENTRIES]:
            reply = found[2].replace("<<<", " ")
            if reply.split()[:1] and reply.split()[0][:1] in "45":
                self._said[found["address"].lower()] = reply

    def about(self, address: str) -> str:
        return self._said.get(address.lower(), "")

    def last_reply(self) -> str:
        replies = _REPLIES.findall(self.text)
        return replies[-1] if replies else self.text.strip()[:600]

    def failed(self) -> list[Entry]:
        """Give the addresses that a reply of the server was about."""
        return [
            Entry(found["address"], self.about(found["address"]), remote=self.host)
            for found in list(_REPLY_LINE.finditer(self.text))[:MAX_ENTRIES]
            if found[1][0] in "45"
        ]

    @property
    def host(self) -> str | None:
        """The host talked to, if there was only one."""
        hosts = set(_TALKING.findall(self.text))
        return hosts.pop() if len(hosts) == 1 else None


_HOST_LINE = re.compile(
    r"^[45]\d\d <?(?P<host>[\w.-]{3,255})>?(?: \(\w+\))?\.\.\. (?P<said>[^\n]{1,400})", re.MULTILINE
)


def _by_host(transcript: str, returned: str) -> list[Entry]:
    """Name the recipients of the returned message at a host that only is what the reply names."""
    hosts = {found["host"].lower(): found[0] for found in _HOST_LINE.finditer(transcript[:64_000])}
    fields = header_section(returned.lstrip())
    to = ",".join(fields.all("to") + fields.all("cc"))
    found = [tidy(each) for each in to.split(",")[:MAX_ENTRIES]]
    addresses = [address for address in found if address]
    at_host = [
        Entry(address, hosts[host])
        for address in addresses
        for host in hosts
        if address.lower().rpartition("@")[2] == host
        or host.endswith("." + address.rpartition("@")[2].lower())
    ]
    if at_host or len(addresses) != 1 or not transcript.strip():
        return at_host
    return [Entry(addresses[0], transcript.strip()[:600])]
