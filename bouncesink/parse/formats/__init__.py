"""One bounce format that follows no standard a module, in the order in which they are tried.

Each says no by a look at its opening words, so the order matters only where one's words are part
of another's:
- fields of the standard are worth more than any words;
- systems that borrow Exim's opening words, or qmail's, or Gmail's, go before the one
  they borrow from;
- a transcript under dashed titles can stand in any bounce, so Sendmail comes after those that own
  their words;
- sentences and lists that many systems share come late, and the generic one comes last.
"""

from typing import Protocol

from bouncesink.parse.formats import (
    communigate,
    courier,
    dma,
    domino,
    exchange,
    exchange2003,
    exim,
    fml,
    generic,
    gmail,
    google_groups,
    groupwise,
    imail,
    interscan,
    james,
    kundenserver,
    listing,
    mailenable,
    mdaemon,
    messaging_server,
    mfilter,
    mimecast,
    mms,
    mxlogic,
    notes,
    nullmailer,
    opensmtpd,
    openwave,
    postfix,
    powermta,
    qmail,
    sendmail,
    sentence,
    smtp_session,
    smtpsvc,
    sns,
    status_fields,
    symantec,
    yahoo,
    zoho,
)
from bouncesink.parse.message import Found, Message


class Recognizer(Protocol):
    """What each module here offers.

    One of HINTS stands in `Message.intro` wherever the format does, so that looking for them saves
    trying; () where nothing does.
    """

    NAME: str

    @property
    def HINTS(self) -> tuple[str, ...]: ...  # noqa: N802  a constant of the module

    def recognize(self, message: Message) -> Found | None: ...


RECOGNIZERS: tuple[Recognizer, ...] = (
    sns,
    status_fields,
    google_groups,
    gmail,
    exchange,
    dma,
    nullmailer,
    opensmtpd,
    postfix,
    smtp_session,
    courier,
    powermta,
    zoho,
    kundenserver,
    mxlogic,
    exim,
    james,
    yahoo,
    qmail,
    exchange2003,
    domino,
    notes,
    groupwise,
    messaging_server,
    mimecast,
    symantec,
    mfilter,
    interscan,
    fml,
    imail,
    mdaemon,
    mailenable,
    communigate,
    openwave,
    mms,
    sendmail,
    smtpsvc,
    listing,
    sentence,
    generic,
)
