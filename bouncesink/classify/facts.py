"""What the rules look at: the reply as one plain sentence, its codes, and who spoke."""

import html
import re
import unicodedata
from dataclasses import dataclass

from bouncesink.model import Report

# Four lines of 512 octets (RFC 5321, section 4.5.3.1.5): a reply has said by then why.
MAX_TEXT = 2000

# What every mail address becomes: a name like spam@ must not look like a reason. The one that sent
# the returned message is told apart: "user unknown" about it says nothing of the recipient.
ADDRESS, SENDER = "<@>", "<sender>"

_CURLY = str.maketrans(
    {"‘": "'", "’": "'", "´": "'", "“": '"', "”": '"', "„": '"', "‐": "-", "‑": "-", "–": "-"}
)
_TYPE = re.compile(r"^\s*(?:smtp|x-[a-z0-9-]{1,30}|unknown|dns)\s*;\s*", re.IGNORECASE)
_OCTAL = re.compile(r"(?:\\[2-3][0-7]{2})+")
_ESCAPED_BREAK = re.compile(r"\\r\\n|\\[rn](?![a-z])")
_ADDRESS = re.compile(r"<?[^\s<>()\[\]\"',;:@]{1,256}@[^\s<>()\"',;:@/?]{1,255}>?")
_HOST_SAID = re.compile(r"\bhost \S{1,255}(?: ?\[[0-9a-fA-F.:]{2,45}\](?::\d+)?)? said: ")
_EXIM_SAID = re.compile(r"\bsmtp error from remote (?:mail )?server ", re.IGNORECASE)
# The Cisco (IronPort) gateway puts a guess of its own before the reply that it was given.
_IRONPORT = re.compile(
    r"\b5\.[13]\.0 - (?:unknown address error|other mail system problem) ", re.IGNORECASE
)
# Exim says so at the end of the reply that it had got last.
_RETRY_ENDED = re.compile(r"(?<=\S): ?retry timeout exceeded$", re.IGNORECASE)
_ENHANCED = r"[245]\.[0-7]\.\d{1,3}(?!\.?\d)"
# What may stand before a reply code. It is looked at from behind the code: `re` is fast at finding
# digits, and slow at finding one of several words.
_LEAD_WORDS = ("error", "code", "reply", "response", "status", "got", "returned")
_LEADS = (
    *("^", "said: ", r"[:;(<\[{'\"]", r"[:;(<\[{'\"] "),
    *(rf"\b{word} " for word in _LEAD_WORDS),
)
_LED = "|".join(rf"(?<={lead}\d\d\d)" for lead in _LEADS)
_REPLY = re.compile(
    rf"([245]\d\d)(?:{_LED})(?:[- #:<'\"(]{{1,4}}({_ENHANCED}))?(?![\w.])", re.IGNORECASE
)
# Each with words that stand wherever it does: to look for them first costs next to nothing.
_WRAPPINGS = (
    (" said: ", _HOST_SAID),
    ("smtp error from remote ", _EXIM_SAID),
    (".0 - ", _IRONPORT),
    ("retry timeout exceeded", _RETRY_ENDED),
)
_REPLY_CODE_PAIR = re.compile(rf"(?<![\d.])([245]\d\d)[- #:<'\"(]{{1,4}}({_ENHANCED})")
_LINE_PREFIX = re.compile(rf"(?:^|(?<=\s))([245]\d\d)(?:[- ]({_ENHANCED})(?:[- ]+|$)|[- ]|$)")
_FREE_CODE = re.compile(rf"(?<![\d.\w])({_ENHANCED})")
_STATUS = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})")


@dataclass(frozen=True, slots=True)
class Facts:
    """One reply, ready to be matched.

    `text` is folded to one line, addresses replaced by `<@>`, our own by `<sender>`. `code` is the
    enhanced code inside the diagnostic, `status` that of the Status field. `temporary` is about the
    reply's class: the diagnostic's, else the Status field's.
    """

    text: str
    reply: str | None = None
    code: str | None = None
    status: str | None = None
    temporary: bool = False
    remote_mta: str | None = None
    reporting_mta: str | None = None
    recognizer: str = ""


def facts_of(report: Report, text: str, sender: str | None = None) -> Facts:
    """Collect what the rules look at; `text` is the diagnostic or what stands in for it."""
    named = {report.recipient.lower(), (report.original_recipient or "").lower()}
    folded = fold_text(text, None if sender and sender.lower() in named else sender)
    reply, code = codes_in(folded)
    if reply is None and report.reply_code is not None:
        reply = str(report.reply_code)
    found = _STATUS.search(report.status[:64]) if report.status else None
    status = found[1] if found else None
    classes = {value[0] for value in (reply, code) if value} or {status[0] if status else ""}
    return Facts(
        text=folded,
        reply=reply,
        code=code,
        status=status,
        temporary="4" in classes,
        remote_mta=_host(report.remote_mta),
        reporting_mta=_host(report.reporting_mta),
        recognizer=report.recognizer,
    )


def fold_text(text: str, sender: str | None = None) -> str:
    """Make one sentence of a reply, however many lines and escapes it came in."""
    text = text[:MAX_TEXT]
    if "\\" in text:
        text = _OCTAL.sub(_octets, _ESCAPED_BREAK.sub(" ", text))
    if "&" in text:
        text = html.unescape(text)
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode("utf-8").translate(_CURLY)
        text = unicodedata.normalize("NFKC", text)
    text = " ".join(text.split())
    if ";" in text:
        text = _TYPE.sub("", text)
    if "@" in text:
        own = sender.lower() if sender else None
        text = _ADDRESS.sub(lambda m: SENDER if m[0].lower().strip("<>.") == own else ADDRESS, text)
    lower = text.lower()
    for words, wrapping in _WRAPPINGS:
        if words in lower:
            text = wrapping.sub("", text)
    return _one_prefix(text)[:MAX_TEXT]


def codes_in(text: str) -> tuple[str | None, str | None]:
    """Find the reply code and the enhanced code of a folded reply (RFC 5321, RFC 2034)."""
    found = _REPLY.search(text)
    pair = found if found and found[2] else _REPLY_CODE_PAIR.search(text)
    if pair:
        return (found or pair)[1], pair[2]
    free = _FREE_CODE.search(text)
    return found[1] if found else None, free[1] if free else None


def _one_prefix(text: str) -> str:
    """Drop the repeated `550-5.1.1` of a multi-line reply, which cut its sentence in pieces."""
    first = _LINE_PREFIX.match(text)
    if not first:
        return text
    reply, code = first[1], first[2]
    several = f"{reply}-" in text

    def repeated(line: re.Match[str]) -> str:
        same = line[1] == reply and line[2] == code and (code or several)
        return "" if same else line[0]

    head, rest = text[: first.end()], text[first.end() :]
    return head.replace("-", " ") + _LINE_PREFIX.sub(repeated, rest)


def _octets(found: re.Match[str]) -> str:
    octets = bytes(int(part, 8) for part in found[0].split("\\") if part)
    return octets.decode("utf-8", "replace")


def _host(value: str | None) -> str | None:
    """Give the bare lower-case host name of an MTA-name field (RFC 3464, section 2.2.2)."""
    if not value:
        return None
    value = value[:512]
    words = (_TYPE.sub("", value) if ";" in value else value).split()
    return words[0].strip("[]();,").rstrip(".").lower() or None if words else None
