"""Tell others of each change of an address: signed JSON to their URLs.

Signed as standardwebhooks.com says, so that its libraries check it: see
`bouncesink.standard_webhooks`. A repetition has the same webhook-id.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from bouncesink.config import WebhooksConfig, read_secret
from bouncesink.errors import ConfigError, PermanentSinkError, TemporarySinkError
from bouncesink.identity import url_id
from bouncesink.model import Action, ActionKind, ActionState
from bouncesink.outbox.rest import Rest, TryLater, words
from bouncesink.outbox.worker import FIRST_PAUSE, Done, May, Outcome
from bouncesink.standard_webhooks import read_key, sign

_WHILE = timedelta(seconds=FIRST_PAUSE)


class Webhooks:
    """See `QueueSink`. A receiver in trouble holds up no other."""

    name = "webhook"
    kind = ActionKind.WEBHOOK
    takes = (ActionState.PENDING, ActionState.APPROVED)
    batch = 20

    def __init__(self, config: WebhooksConfig, clock: Callable[[], datetime]) -> None:
        assert config.secret_file is not None, "the config asks for it"
        self._file = config.secret_file
        self._clock = clock
        self._down: dict[str, tuple[datetime, TryLater]] = {}
        self._receivers = {
            url_id(url): Rest(url, urlsplit(url).hostname or "the receiver", None)
            for url in config.urls
        }

    def check(self) -> None:
        key_of(self._file)

    def perform(self, actions: Sequence[Action], may: May) -> Iterator[tuple[Action, Outcome]]:
        secret = key_of(self._file)
        for action in actions:
            to = action.payload.get("to", "")
            until, error = self._down.get(to, (self._clock(), None))
            if error and timedelta() < until - self._clock() <= _WHILE:
                yield action, error
                continue
            outcome: Outcome | None
            try:
                outcome = self._tell(action, to, secret, may)
            except TryLater as again:
                # Not tried for a while, so that the others need not wait for its time-outs.
                self._down[to] = self._clock() + _WHILE, again
                outcome = again
            if outcome:
                yield action, outcome

    def _tell(self, action: Action, to: str, secret: bytes, may: May) -> Outcome | None:
        receiver = self._receivers.get(to)
        if receiver is None:
            return PermanentSinkError("[webhooks] urls names this receiver no longer")
        body = action.payload.get("body", "").encode()
        if not may(action, f"POST to {action.payload.get('host')}: {body.decode()}"):
            return None
        return signed_post(receiver, secret, action.key, body, self._clock())


def key_of(file: Path) -> bytes:
    """Read the key that a file or a credential holds; or ConfigError."""
    try:
        return read_key(read_secret(file))
    except ValueError as error:
        raise ConfigError(f"{file}: {error}") from None


def signed_post(receiver: Rest, key: bytes, id_: str, body: bytes, now: datetime) -> Outcome:
    """Tell a receiver something, signed. Raises TryLater."""
    stamp = str(int(now.timestamp()))
    headers = {
        "webhook-id": id_,
        "webhook-timestamp": stamp,
        "webhook-signature": sign(key, id_, stamp, body),
    }
    answer = receiver.call("POST", "", body, headers=headers)
    if 200 <= answer.status < 300:
        return Done(f"told: {answer.status}")
    said = f"the receiver answered {answer.status}: {words(answer)}"
    if answer.status in (400, 410, 413, 422):
        return PermanentSinkError(said)
    return TemporarySinkError(said)
