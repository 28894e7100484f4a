"""PURE. What the recognisers share.

Where the returned message starts, and how "<address>: what was said" and "these failed:" with a
list are read out of a text.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from bouncesink.model import DsnAction, Report
from bouncesink.parse.formats.fate import action_in
from bouncesink.parse.formats.sender import from_machine
from bouncesink.parse.message import MAX_INTRO, Found, Message
from bouncesink.parse.reports import ADDRESS, MAX_DIAGNOSTIC, make_report, reply_code_in

MAX_ENTRIES = 1000
"""Recipients that are read from one text."""

# "+" after a count: a line of dashes would else be tried again from each of them.
RETURNED = re.compile(
    r"^[ \t]{0,8}+(?:"
    r"[-=_*#+|>~][-=_*#+|>~ \t]{1,100}+[^\n]{0,60}?"
    r"(?:(?:copy|body|text) of (?:the|your|a|this) (?:original |undelivered )?(?:message|e?-?mail)"
    r"|this is the beginning"
    r"|(?:original|returned|unsent|undelivered|rejected) (?:message|e?-?mail)|message text follows"
    r"|(?:returned|message|original) headers?\b|returned (?:content|mail)|(?:mail|message) follows"
    r"|nachricht folgt|ursprüngliche nachricht|originalnachricht|message d'origine|message original"
    r"|mensaje original|messaggio originale|元のメール|исходн)[^\n]{0,80}"
    r"|(?:(?:here|below|enclosed|following|included|this) is |the following is )?(?:a )?"
    r"(?:copy|headers?|beginning|contents?)(?: of)? (?:the |your )?(?:original |returned )?"
    r"(?:message|e?-?mail)\b[^\n]{0,60}"
    r"|(?:the )?(?:original|returned|unsent|undelivered|old) (?:message|e?-?mail)(?: text"
    r"| headers?)?"
    r"(?: (?:is |are )?(?:follow(?:s|ing)?|below|attached|included)[^\n]{0,30})?[ \t]*[.:]?"
    r"|message headers? (?:follows?|below)\b[^\n]{0,20}|your message reads[^\n]{0,30}"
    r"|here is your returned mail[^\n]{0,20}"
    r"|(?:ursprüngliche (?:nachrichten)?kopfzeilen|originalkopfzeilen|ursprüngliche nachricht"
    r"|en-têtes? (?:du|de)|encabezados? de(?:l| los)|intestazioni|cabeçalhos?)[^\n]{0,60}"
    r"|元のメッセージ[^\n]{0,30}|オリジナルメッセージ[^\n]{0,30}|メッセージのヘッダー[^\n]{0,20}"
    r"|content-type:[ \t]*(?:message/rfc822|text/rfc822-headers)[^\n]{0,80}"
    r")[ \t]*$",
    re.IGNORECASE | re.MULTILINE,
)
"""The line after which the returned message stands, in the words of many mail systems."""

_HEADERS_START = re.compile(
    r"^(?:return-path|received|from|date|message-id|x-[a-z-]{2,40}|mime-version|dkim-signature"
    r"|delivered-to|subject|to|reply-to|content-type):[ \t]?.*\n"
    r"(?:(?:[a-z][a-z0-9-]{1,60}:.*|[ \t]+\S.*)\n){2,}",
    re.IGNORECASE | re.MULTILINE,
)


def cut(text: str, mark: re.Pattern[str] = RETURNED) -> tuple[str, str]:
    """Part a text at a mark: what was said, and the message that was returned after it."""
    found = mark.search(text)
    if found is None:
        return text, ""
    return text[: found.start()], text[found.end() :].lstrip(" \t\n.-=*_|>")


def cut_headers(text: str) -> tuple[str, str]:
    """Part a text where a header section stands in it without a mark."""
    found = _HEADERS_START.search(text)
    return (text, "") if found is None else (text[: found.start()], text[found.start() :])


@dataclass(frozen=True, slots=True)
class Entry:
    """One recipient in a text, and what was said about it."""

    address: str
    detail: str = ""
    expanded_from: str | None = None
    remote: str | None = None


def entries(text: str, head: re.Pattern[str]) -> list[Entry]:
    """Read a text where each recipient's passage starts with `head`, which captures the address."""
    heads = list(islice(head.finditer(text), MAX_ENTRIES))
    ends = [*(each.start() for each in heads[1:]), len(text)]
    return [
        Entry(address, text[each.end() : end][:MAX_DIAGNOSTIC])
        for each, end in zip(heads, ends, strict=False)
        if (address := tidy(next(filter(None, each.groups()), "")))
    ]


def listed(text: str) -> list[Entry]:
    """Every address in a text, each once, in order."""
    found = (tidy(each[0]) for each in islice(ADDRESS.finditer(text), MAX_ENTRIES))
    return [Entry(address) for address in dict.fromkeys(found) if address]


_WRAPPING = "*_=~|/`'\"„“”‚‘’«»‹›「」『』（）【】<>＜＞・：、。-–—!?"
_QUOTED = re.compile(r"\"[^\"]+\"@")
_GLUED = re.compile(r"[\u3000-\u9fff\uac00-\ud7af\uff00-\uffef]+([A-Za-z0-9][\x21-\x7e]*@)")


def tidy(text: str) -> str | None:
    """Give the address that stands in a scrap of text, without what typography put around it."""
    text = _GLUED.sub(r"\1", text[:1000]).strip().strip("<>").strip()
    found = ADDRESS.search(text)
    if found is None:
        return None
    address = found[0] if _QUOTED.match(found[0]) else found[0].lstrip(_WRAPPING)
    return address if not address.startswith("@") else None


def flat(text: str) -> str:
    """Put a diagnostic on one line."""
    return " ".join(text[: 2 * MAX_DIAGNOSTIC].split())


_REMOTE = re.compile(
    r"\bhosts?:? ([\w-]{1,63}(?:\.[\w-]{1,63}){1,10})\.?(?=[ ]?[\[(:,]|[ ]+said|$| +\d{3})"
    r"|\btalking to \[?([\w.:-]{3,255}?)\.?\]?:?(?=[\s:]|$)"
    r"|\bby ([\w-]{1,63}(?:\.[\w-]{1,63}){1,10})\.? \[[\d.:a-fA-F]+\]"
    r"|(?:^|\s)([\w-]{1,63}(?:\.[\w-]{1,63}){1,10})\.?[ ]?\[[\d.:a-fA-F]{3,45}\]"
    r"|\b(?:remote host|server|remote server|giving up on|serveur"
    r"|servidor) \[?([\w-]{1,63}(?:\.[\w-]{1,63}){1,10})\b"
    r"|(?:^|\s)((?:\d{1,3}\.){3}\d{1,3}) (?:does not like|failed|said)",
    re.IGNORECASE,
)


def remote_in(text: str) -> str | None:
    """Find the host that gave a reply, as far as the text names it."""
    found = _REMOTE.search(text[:MAX_DIAGNOSTIC])
    return next((name.rstrip(".:") for name in found.groups() if name), None) if found else None


def reports(
    found: Iterable[Entry],
    name: str,
    action: DsnAction = DsnAction.FAILED,
    *,
    status: str | None = None,
    detail: str = "",
) -> tuple[Report, ...]:
    """Make a report of each entry, once an address; `detail` stands in where an entry has none."""
    made: dict[str, Report] = {}
    for entry in found:
        text = (flat(entry.detail) or flat(detail)).strip(" -=*")
        if text.endswith("]") and "[" not in text:
            text = text[:-1]
        report = make_report(
            entry.address,
            name,
            diagnostic=text,
            action=action,
            status=status,
            reply_code=_code_in(text),
            original_recipient=entry.expanded_from,
            remote_mta=entry.remote or remote_in(text),
        )
        known = made.get(report.recipient.lower())
        if known is None or (not known.diagnostic and report.diagnostic):
            made[report.recipient.lower()] = report
    return tuple(made.values())


_CODE = re.compile(r"(?:^|code ?[:=]? ?|said: )([45][0-5]\d)(?=[:,.;]|$)", re.IGNORECASE)


def _code_in(text: str) -> int | None:
    """Find a reply code that punctuation follows, where none stands as RFC 5321 has it."""
    code = reply_code_in(text)
    if code is None and (found := _CODE.search(text)):
        code = int(found[1])
    return code


def failed_recipients(message: Message) -> list[str]:
    """Give the addresses of X-Failed-Recipients, which Exim and Gmail write."""
    return [
        entry.address
        for value in message.headers.all("x-failed-recipients")
        for entry in listed(value[:32_000])
    ]


HEAD = re.compile(
    r"^[ \t]{0,12}(?:<(?P<address>[^<>\n]{1,320}@[^<>\n]{1,255})>[ \t]*:?)", re.MULTILINE
)
"""A line that starts with an address in brackets."""


def notice_of(
    message: Message, opening: re.Pattern[str], mark: re.Pattern[str] = RETURNED
) -> tuple[str, str] | None:
    """Part the text at `mark` or RETURNED; None if no machine wrote it or `opening` is absent."""
    text = message.text
    if opening.search(text, 0, MAX_INTRO) is None or not from_machine(message):
        return None
    notice, returned = cut(text)
    if mark is not RETURNED and mark.search(notice):
        notice, returned = cut(text, mark)
    return (notice, returned) if opening.search(notice, 0, MAX_INTRO) else None


def read_blocks(
    message: Message,
    name: str,
    opening: re.Pattern[str],
    head: re.Pattern[str] = HEAD,
    mark: re.Pattern[str] = RETURNED,
) -> Found | None:
    """Read the commonest shape: opening words, then a passage a recipient, starting with `head`."""
    parted = notice_of(message, opening, mark)
    if parted is None:
        return None
    notice, returned = parted
    start = opening.search(notice, 0, MAX_INTRO)
    after = notice[start.start() :] if start else notice
    made = reports(entries(after, head), name, action_in(notice))
    return Found(made, returned_text=returned) if made else None


_LIST_LINE = re.compile(
    r"[ \t*•·>|–-]{0,16}(?:\d{1,3}[.)] ?)?(?P<who>(?:\"[^\"\n]{0,80}\""
    r" )?[<\"'(\[]?[^\s<>\"'()\[\],;]{1,256}@"
    r"[^\s<>\"'()\[\],;:]{1,255}[>\"')\]]?)(?P<rest>[^\n]{0,600})"
)
_NO_LIST = re.compile(r"[ \t]*(?:\S+[ \t]+){4}\S")


def leading_list(text: str) -> tuple[list[Entry], str]:
    """Read the addresses that a text starts with, one a line, and give what comes after them."""
    found: list[Entry] = []
    lines = text.split("\n")
    for number, line in enumerate(lines[: MAX_ENTRIES + 20]):
        if not line.strip(" \t\r*-=.:"):
            continue
        listed_here = _LIST_LINE.match(line)
        address = tidy(listed_here["who"]) if listed_here else None
        if listed_here is None or address is None or not _starts_with(line, address):
            return found, "\n".join(lines[number:])
        found.append(Entry(address, listed_here["rest"].strip(" \t:;,.-()[]<>")))
    return found, ""


def _starts_with(line: str, address: str) -> bool:
    """Whether no sentence stands before the address."""
    return not _NO_LIST.match(line[: line.find(address)] + "x")


def read_list(  # noqa: PLR0913  a shape has these marks
    message: Message,
    name: str,
    opening: re.Pattern[str],
    said: re.Pattern[str] | None = None,
    mark: re.Pattern[str] = RETURNED,
    *,
    action: DsnAction | None = None,
) -> Found | None:
    """Read the other common shape: opening words, a list of addresses, then one reason for all.

    `said` has the reason in its first group; without it the reason is what comes after the list.
    """
    parted = notice_of(message, opening, mark)
    if parted is None:
        return None
    notice, returned = parted
    for start in list(opening.finditer(notice, 0, MAX_INTRO))[:5]:
        found, rest = leading_list(notice[start.end() :])
        if found:
            reason = said.search(rest) or said.search(notice) if said else None
            detail = reason[1] if reason else rest.strip()[:MAX_DIAGNOSTIC] or start[0]
            same = reason is not None and len(found) == 1
            kept = [Entry(each.address, "" if same else each.detail) for each in found]
            made = reports(kept, name, action or action_in(notice), detail=detail)
            return Found(made, returned_text=returned)
    return None
