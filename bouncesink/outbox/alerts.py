"""Tell people by mail, and programs by webhook, what cannot wait: see `bouncesink.fold.alert`."""

import hashlib
import json
import re
import smtplib
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from urllib.parse import urlsplit

import structlog

from bouncesink.address import domain_of
from bouncesink.config import AlertsConfig
from bouncesink.errors import BouncesinkError, SinkError, TemporarySinkError
from bouncesink.fold.alert import about_of
from bouncesink.fold.alert import words as words_of
from bouncesink.model import Action, ActionKind, ActionState
from bouncesink.outbox.rest import Rest
from bouncesink.outbox.webhook import key_of, signed_post
from bouncesink.outbox.worker import Done, May, Outcome

TIMEOUT = 15.0
"""Seconds that the mail server may take for each thing: all of them must be within a lease."""

MAIL = "mail"
WEBHOOK = "webhook"

log = structlog.get_logger(__name__)


class Alerts:
    """See `QueueSink`. What was told one way is not told that way again while this process lives.

    Every error is tried again: an alert that is late is better than one that nobody gets.
    """

    name = "alert"
    kind = ActionKind.ALERT
    takes = (ActionState.PENDING, ActionState.APPROVED)
    batch = 20

    def __init__(self, config: AlertsConfig, clock: Callable[[], datetime]) -> None:
        self._config = config
        self._clock = clock
        self._ways: dict[str, Callable[[Action], None]] = {}
        if config.mail_to:
            self._ways[MAIL] = self._mail
        if config.webhook:
            self._ways[WEBHOOK] = self._post
        self._told: set[tuple[str, str]] = set()

    def check(self) -> None:
        if self._config.webhook:
            self._key()

    def perform(self, actions: Sequence[Action], may: May) -> Iterator[tuple[Action, Outcome]]:
        for action in actions:
            if may(action, f"by {' and '.join(self._ways)}: {words_of(action)[0]}"):
                yield action, self._tell(action)

    def _tell(self, action: Action) -> Outcome:
        """Try every way that is left: one that fails must not keep the other from telling."""
        errors = []
        for name, way in self._ways.items():
            if (action.key, name) in self._told:
                continue
            try:
                way(action)
            except BouncesinkError as error:
                errors.append(f"by {name}: {error}")
            else:
                self._told.add((action.key, name))
        if errors:
            return TemporarySinkError("; ".join(errors))
        self._told -= {(action.key, name) for name in self._ways}
        return Done(f"told by {' and '.join(self._ways)}")

    def _mail(self, action: Action) -> None:
        host, _, port = self._config.smtp.rpartition(":")
        try:
            with smtplib.SMTP(host.strip("[]"), int(port), timeout=TIMEOUT) as server:
                refused = server.send_message(
                    self._message(action), self._config.mail_from, self._config.mail_to
                )
        except (OSError, smtplib.SMTPException) as error:
            raise TemporarySinkError(f"{self._config.smtp}: {_said(error)}") from None
        for address, (code, _) in refused.items():  # the others were told
            log.warning("alert.refused", to=address, code=code)

    def _message(self, action: Action) -> EmailMessage:
        subject, text = words_of(action)
        message = EmailMessage()
        message["From"] = self._config.mail_from
        message["To"] = ", ".join(self._config.mail_to)
        message["Subject"] = f"bouncesink: {_line(subject)}"[:200]
        message["Date"] = format_datetime(self._clock())
        digest = hashlib.sha256(action.key.encode()).hexdigest()[:32]
        message["Message-ID"] = f"<alert.{digest}@{domain_of(self._config.mail_from)}>"
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's absence is told to us
        told_at = f"{action.created_at:%Y-%m-%d %H:%M:%S} UTC"
        message.set_content("\n".join(map(_line, text.split("\n"))) + f"\n\n-- \n{told_at}\n")
        return message

    def _post(self, action: Action) -> None:
        subject, text = words_of(action)
        told = {
            "type": "alert",
            "timestamp": action.created_at.isoformat(timespec="milliseconds").replace(
                "+00:00", "Z"
            ),
            "data": {
                "about": about_of(action),
                "subject": subject,
                "text": text,
                "address": action.address,
            },
        }
        receiver = Rest(self._config.webhook, urlsplit(self._config.webhook).hostname or "", None)
        body = json.dumps(told, separators=(",", ":")).encode()
        outcome = signed_post(receiver, self._key(), action.key, body, self._clock())
        if isinstance(outcome, SinkError):
            raise outcome

    def _key(self) -> bytes:
        assert self._config.secret_file is not None, "the config asks for it"
        return key_of(self._config.secret_file)


def _line(text: str) -> str:
    """Give text without what would end a header field or move a cursor."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", text)


def _said(error: Exception) -> str:
    """Say in a line what the server answered, or what kept us from it."""
    said: bytes | str
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code, said = next(iter(error.recipients.values()))
    elif isinstance(error, smtplib.SMTPResponseException):
        code, said = error.smtp_code, error.smtp_error
    else:
        return getattr(error, "strerror", None) or str(error) or type(error).__name__
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return _line(f"{code} {text}")[:300]
