"""PURE. Whether a mail may be a notification, by its header section alone.

For whoever has many mails, most of them people's own, and must not read, keep or even fetch those:
a mailbox and an archive. It asks the recognisers themselves as far as they look at header fields,
and is generous: an ordinary mail too many is read and found to be one, a bounce too few is lost.
"""

import re

from bouncesink.parse import disposition, requests, vacation
from bouncesink.parse.formats.sender import has_null_path, sent_by_daemon, tells_failure
from bouncesink.parse.message import Message
from bouncesink.parse.mime import Headers, Part
from bouncesink.parse.unwrap import is_notification

MAX_BLOCK = 64 * 1024
"""Octets of a header section above which a mail is odd enough to be read."""

_MACHINES = frozenset(
    {
        "x-failed-recipients",
        "x-autoreply",
        "x-auto-response-suppress",
        "x-amz-sns-message-id",
        "x-feedback-type",
        "x-tmda-confirm",
        "x-spamarrest",
        "x-boxbe",
        "x-mailinblack",
        "x-mlserver",
        "x-ms-exchange-message-is-ndr",
    }
)
_TYPE = re.compile(
    r"multipart/report|report-type|message/|delivery-status|feedback-report", re.IGNORECASE
)
_SENDERS = re.compile(
    r"daemon|postmaster|bounce|feedback|complaint|\bfbl\b|abuse|confirm|challenge|spamarrest"
    r"|boxbe|mailinblack|bluebottle|antispam|spamblocker|sendio|sns\.amazonaws"
    r"|forwarding-noreply@google|auto-?(?:reply|resp)|administrator|<>",
    re.IGNORECASE,
)
_SUBJECTS = re.compile(
    r"undeliver|deliver(?:y|ed|ing)?\b|bounced?\b|return(?:ed|ing)? (?:e-?)?(?:mail|message|to)"
    r"|fail(?:ed|ure)?\b|not sent|reject|unknown|mailbox|error|abuse|complaint"
    r"|auto-?(?:matic)?[- ]?(?:reply|response)|out of (?:the )?office"
    r"|unsubscri|opt[- ]?out|remove me|zustell|non remis|non distribu|devuelto|entreg|recapito"
    r"|onbestelbaar|配信|配達|エラー|недоставлен|不達|退信|退回",
    re.IGNORECASE,
)


_ANSWER = re.compile(rb"^(?:in-reply-to|references):", re.IGNORECASE | re.MULTILINE)
_WISH = re.compile(
    rb"^[ \t]*(?:(?:please|pls|kindly)[ ]+)?"
    rb"(?:unsubscribe|opt[ -]?out|stop\b|remove (?:me|us|my)\b|take me off)",
    re.IGNORECASE | re.MULTILINE,
)


def may_be_notification(header_block: bytes, body_start: bytes = b"") -> bool:
    """Tell whether a mail system, or a machine that answers for a person, may have written a mail.

    `header_block` is its header section as received, with any line ends. Also True for a wish to
    get no more mail, in the subject or, in an answer, as a line of `body_start` (a few KiB of the
    body as received), and for a header section that says nothing or has no end.
    """
    if body_start and _ANSWER.search(header_block) and _WISH.search(body_start):
        return True
    if len(header_block) > MAX_BLOCK:
        return True
    text = header_block.decode("latin-1").replace("\r\n", "\n").replace("\r", "\n")
    headers = Headers(text)
    if not _MACHINES.isdisjoint(headers):
        return True
    if (headers.get("auto-submitted") or "no").strip().lower() != "no":
        return True
    message = Message(Part("text/plain", {}, headers, ""))
    return (
        _TYPE.search(headers.get("content-type") or "") is not None
        or is_notification(headers)
        or sent_by_daemon(message)
        or has_null_path(message)
        or tells_failure(message)
        or _SENDERS.search(message.from_) is not None
        or _SUBJECTS.search(message.subject) is not None
        or vacation.recognize(message) is not None
        or disposition.recognize(message) is not None
        or requests.unsubscribe_request(message) is not None
    )
