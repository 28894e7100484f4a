"""One bounce format that follows no standard a module, in the order in which they are tried."""

from collections.abc import Callable
from typing import Protocol

from bouncesink.parse.formats import (
    dma,
    exim,
    kundenserver,
    mxlogic,
    opensmtpd,
    postfix,
    qmail,
    sendmail,
    smtp_session,
    yahoo,
    zoho,
)
from bouncesink.parse.message import Found, Message


class Recognizer(Protocol):
    """What each module here offers."""

    NAME: str
    recognize: Callable[[Message], Found | None]


RECOGNIZERS: tuple[Recognizer, ...] = (
    dma,
    zoho,
    kundenserver,
    mxlogic,
    exim,
    qmail,
    yahoo,
    opensmtpd,
    postfix,
    smtp_session,
    sendmail,
)
