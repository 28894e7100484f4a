"""PURE. What the recognisers share.

Who may send a bounce, where the returned message starts, and how "<address>: what was said" and
"these failed:" with a list are read out of a text.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from bouncesink.model import DsnAction, Report
from bouncesink.parse.message import MAX_INTRO, Found, Message
from bouncesink.parse.reports import ADDRESS, MAX_DIAGNOSTIC, make_report, reply_code_in

MAX_ENTRIES = 1000
"""Recipients that are read from one text."""

_DAEMON = re.compile(
    r"mailer[-_. ]?daemon|post[-_. ]?master|mdaemon|delivery[-_. ]?(?:sub)?system"
    r"|mail[-_. ]?(?:deliver|router|administrator|admin|system|server|gateway|sweeper|marshal|mail)"
    r"|mailer@|daemon@|system[-_. ]administrator|non-?delivery|bounce[sd]?[@+-]|symantec|antivirus"
    r"|virus[-_ ]?scan|email[-_. ]security|internet[-_. ]mail|network[-_. ]mail|uucp@|mmdf@",
    re.IGNORECASE,
)
_FAILURE_SUBJECT = re.compile(
    r"\W*(?:undeliver|non[- ]?deliver|returned? (?:e-?)?mail|return(?:ed|ing) (?:message|to sender)"
    r"|(?:mail|e-?mail|message|letter|your (?:e-?)?(?:mail|message))?\W*(?:delivery|deliver) "
    r"(?:status|fail|problem|error|notif|report|delay|incomplete|impossible)"
    r"|(?:failure|error) (?:notice|deliver|sending)|failed (?:mail|deliver|message)|mail failure"
    r"|delivery(?: has)? fail|(?:warning|could not send|could not deliver|unable to deliver)"
    r"|(?:mail|message|e-?mail) (?:could not|not|was not|cannot|has not)|mail (?:failed|error"
    r"|system)"
    r"|bounced? (?:mail|message)|user unknown|mailbox (?:full|unavailable)|notification d.?[ée]tat"
    r"|unzustellbar|nicht zustellbar|non remis|non distribu|no se (?:puede|pudo) entregar|devuelto"
    r"|mancato recapito|n[ãa]o entregue|onbestelbaar|配信|配達|メール.{0,4}エラー|недоставлен)",
    re.IGNORECASE,
)
_ANSWER = re.compile(
    r"\s{0,20}(?:re|aw|sv|antw|fwd?|wg|tr|rv|r|enc)\s{0,20}(?:\[\d+\])?:", re.IGNORECASE
)
_NULL_PATHS = frozenset({"<>", "", "<mailer-daemon>", "mailer-daemon", "< >"})


def from_machine(message: Message) -> bool:
    """Whether it was sent as a mail system sends, so that what it quotes may be its own words.

    The null reverse-path (RFC 5321, section 4.5.5), a sender that is a mail system, or a subject
    that reports a failure and answers nothing.
    """
    if "x-failed-recipients" in message.headers or sent_by_daemon(message):
        return True
    if tells_failure(message):
        return has_null_path(message) or "in-reply-to" not in message.headers
    return has_null_path(message) and not _answers(message)


def calls_itself_one(message: Message) -> bool:
    """Whether it says itself that a mail system sent it, for formats that many words could be."""
    if "x-failed-recipients" in message.headers or sent_by_daemon(message):
        return True
    return tells_failure(message) and (has_null_path(message) or _answers(message))


def has_null_path(message: Message) -> bool:
    path = message.headers.get("return-path")
    known = path is not None and path.strip().lower() in _NULL_PATHS
    return known or message.envelope_from == ""


def _answers(message: Message) -> bool:
    """Whether a machine sent it for a person (RFC 3834, section 5): daemons say so as well."""
    headers = message.headers
    submitted = (headers.get("auto-submitted") or "no").lower().strip()
    return not submitted.startswith("no") or "x-autoreply" in headers


def sent_by_daemon(message: Message) -> bool:
    """Whether From is empty or names a mail system."""
    return not message.from_.strip("<> ") or _DAEMON.search(message.from_) is not None


def tells_failure(message: Message) -> bool:
    """Whether the subject reports a failure, and is not the answer to one that does."""
    subject = message.subject
    return not _ANSWER.match(subject) and _FAILURE_SUBJECT.match(subject) is not None


RETURNED = re.compile(
    r"^[ \t]{0,8}(?:"
    r"[-=_*#+|>~][-=_*#+|>~ \t]{1,100}[^\n]{0,60}?"
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


_WARNING = (
    "this is a warning",
    "do not need to resend",
    "not yet been delivered",
    "not been delivered yet",
    "could not be delivered for more",
    "keep trying",
    "continue trying",
    "continue to try",
    "continue to be attempted",
    "delivery attempts will continue",
    "still being attempted",
    "still trying",
    "will be retried",
    "will be attempted again",
    "been delayed",
    "is delayed",
    "was delayed",
    "delivery delayed",
    "delivery incomplete",
    "temporary problem delivering",
    "verzögert",
    "été retardé",
    "en attente",
    "ha retrasado",
    "se retrasó",
    "遅延",
    "遅れて",
    "задерж",
)
_GIVEN_UP = (
    "not going to try again",
    "given up",
    "giving up",
    "not continue trying",
    "no further",
    "permanent",
    "could not be delivered.",
    "has failed",
)
_SUCCESS = (
    "successfully delivered",
    "successfully been delivered",
    "successfully relayed",
    "successfully sent",
    "delivery has been successful",
    "delivery was successful",
    "has been delivered to the following",
    "delivery to these recipients or groups is complete",
)
_NO_SUCCESS = (
    "not success",
    "not been success",
    "not be success",
    "unsuccess",
    "could not",
    "cannot",
    "undeliver",
    "has failed",
    "permanent",
)


def _has(text: str, words: tuple[str, ...]) -> bool:
    return any(each in text for each in words)


def is_warning(text: str) -> bool:
    """Whether a notice says that delivery goes on being tried."""
    lower = text[:20_000].lower()
    return _has(lower, _WARNING) and not _has(lower, _GIVEN_UP)


def action_in(text: str) -> DsnAction:
    """Tell from its words whether a notice is about a failure, a delay or a success."""
    if is_warning(text):
        return DsnAction.DELAYED
    lower = text[:MAX_INTRO].lower()
    if _has(lower, _SUCCESS) and not _has(lower, _NO_SUCCESS):
        return DsnAction.DELIVERED
    return DsnAction.FAILED


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
