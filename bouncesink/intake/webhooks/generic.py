"""Signed JSON of programs of our own, or of another bouncesink: see `bouncesink.standard_webhooks`.

The body is what `ingest --events` reads: an object, an array, or one object a line. An entry that
is not right is not lost: it is for a person.
"""

from bouncesink.config import ProviderConfig
from bouncesink.errors import ConfigError
from bouncesink.intake.webhooks.request import (
    Means,
    Refused,
    Request,
    Secrets,
    Told,
    check_age,
    check_signature,
    events_of,
    json_of,
    seconds_of,
)
from bouncesink.standard_webhooks import is_signed, read_key

MAX_AGE = 600.0


class Generic:
    """See `Provider`."""

    content_types = ("application/json", "application/x-ndjson")
    max_body = 5_000_000
    is_probed = False

    def __init__(self, config: ProviderConfig, _: Means) -> None:
        self._secrets = Secrets(config.secret_file)
        self._max_age = config.max_age or MAX_AGE
        self._keys()

    async def told(self, request: Request) -> Told:
        fields = ("webhook-id", "webhook-timestamp", "webhook-signature")
        id_, stamp, given = (request.headers.get(name, "") for name in fields)
        check_signature(is_right=is_signed(self._keys(), id_, stamp, request.body, given))
        check_age(seconds_of(stamp), request.now, self._max_age)
        return events_of(_entries(request.body), lambda _: False)

    def _keys(self) -> list[bytes]:
        try:
            return [read_key(line) for line in self._secrets.lines()]
        except ValueError as error:
            raise ConfigError(f"{self._secrets.path}: {error}") from None


def _entries(body: bytes) -> object:
    try:
        value = json_of(body)
    except Refused:
        return [json_of(line) for line in body.splitlines() if line.strip()]
    return value if isinstance(value, list) else [value]
