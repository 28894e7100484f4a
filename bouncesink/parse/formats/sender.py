"""PURE. Who may send a bounce: whether a mail system sent it, as far as its header fields tell."""

import re

from bouncesink.parse.message import Message

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
