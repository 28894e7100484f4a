"""PURE. Message disposition notifications: read receipts (RFC 8098).

A multipart/report with a message/disposition-notification part, or Outlook's receipts that have
only a subject such as "Read: ..." and a report type.
"""

import re

from bouncesink.model import Kind
from bouncesink.parse.message import Found, Message

_TYPE = "disposition-notification"
_SUBJECT = re.compile(
    r"\s*(?:read|not read|gelesen|ungelesen|lu|non lu|leído|no leído|letto|não lida|lida"
    r"|return receipt|read receipt|lesebestätigung|empfangsbestätigung|accusé de (?:lecture"
    r"|réception)"
    r"|confirmación de lectura|conferma di lettura|開封済み|開封確認|прочитано|已读|已讀)"
    r"[ \t]*(?:\(displayed\))?[ \t]*[:：\-]",
    re.IGNORECASE,
)
_RECEIPT_TYPE = re.compile(r"report\.ipm\.note\.ipnn?rn|report\.ipm\.note\.ipn", re.IGNORECASE)


def recognize(message: Message) -> Found | None:
    root = message.root
    if root.params.get("report-type", "").lower() == _TYPE or message.part(f"message/{_TYPE}"):
        return Found(kind=Kind.DISPOSITION)
    if not _SUBJECT.match(message.subject):
        return None
    content_class = message.headers.get("content-class") or ""
    if _RECEIPT_TYPE.search(message.headers.get("x-ms-exchange-message-class") or content_class):
        return Found(kind=Kind.DISPOSITION)
    if (message.headers.get("auto-submitted") or "no").lower() != "no":
        return Found(kind=Kind.DISPOSITION)
    return None
