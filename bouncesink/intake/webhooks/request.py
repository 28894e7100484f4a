"""What a provider's file is given, and what it gives: a request, and the events in it."""

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn, Protocol

from bouncesink.config import read_secret
from bouncesink.errors import ConfigError
from bouncesink.parse.jsonfields import canonical

MAX_EVENTS = 5000
"""Events of one request."""
MAX_SECRETS = 5
SKEW = timedelta(minutes=5)
"""How far a provider's clock may be ahead of ours."""

Fetch = Callable[[str], Awaitable[bytes]]
"""GET of an https URL that is known to be good, without redirects; or NotFetched."""
Stored = Callable[[str, datetime], Awaitable[Sequence[bytes]]]
"""The bytes of what came from a source since then."""


class NotFetched(Exception):
    """`final` is whether there is no point in another try."""

    def __init__(self, said: str, *, final: bool = False) -> None:
        super().__init__(said)
        self.final = final


@dataclass(frozen=True, slots=True)
class Means:
    """What a provider may need beyond the request."""

    fetch: Fetch
    stored: Stored


@dataclass(frozen=True, slots=True)
class Request:
    """One POST. The names of `headers` are in lower case."""

    headers: Mapping[str, str]
    body: bytes
    now: datetime


@dataclass(frozen=True, slots=True)
class Told:
    """The events of one request, each as JSON; and how many it had that are not of interest."""

    events: tuple[bytes, ...] = ()
    ignored: int = 0


class Refused(Exception):
    """Nothing of the request is kept. `status` is of HTTP; `why` one stable word, for counting."""

    def __init__(self, status: int, why: str, said: str) -> None:
        super().__init__(said)
        self.status = status
        self.why = why


class Provider(Protocol):
    """`content_types` are what it sends, `max_body` the most octets of it that make sense.

    `is_probed` is whether it asks with HEAD whether we are there.
    """

    @property
    def content_types(self) -> tuple[str, ...]: ...
    @property
    def max_body(self) -> int: ...
    @property
    def is_probed(self) -> bool: ...

    async def told(self, request: Request) -> Told:
        """Verify a request and take its events out. Raises Refused, and ConfigError."""


class Secrets:
    """The lines of a file, each a secret that counts: so that one can follow another.

    Read at each request, so that a new one needs no new start. Raises ConfigError when made, too.
    """

    def __init__(self, path: Path | None) -> None:
        assert path is not None, "the config asks for it"
        self.path = path
        self.lines()

    def lines(self) -> list[bytes]:
        found = [line.strip() for line in read_secret(self.path).splitlines()]
        if not (found := [line for line in found if line][:MAX_SECRETS]):
            raise ConfigError(f"{self.path}: there is no secret in this file")
        return found


def refuse_body(said: str) -> NoReturn:
    raise Refused(400, "body", said)


def json_of(body: bytes) -> Any:
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        refuse_body("this is no JSON")


def _refuse_constant(name: str) -> NoReturn:
    refuse_body(f"{name} is no JSON")


def object_of(body: bytes) -> dict[str, Any]:
    value = json_of(body)
    return value if isinstance(value, dict) else refuse_body("a JSON object is wanted")


def events_of(values: object, is_ignored: Callable[[Mapping[str, Any]], bool]) -> Told:
    """Take the events of a list that are of interest; all must be objects."""
    if not isinstance(values, list):
        refuse_body("a JSON array is wanted")
    if len(values) > MAX_EVENTS:
        raise Refused(413, "body", f"at most {MAX_EVENTS:,} events in a request are taken")
    if not all(isinstance(each, dict) for each in values):
        refuse_body("each event must be a JSON object")
    wanted = [each for each in values if not is_ignored(each)]
    return Told(tuple(map(bytes_of, wanted)), ignored=len(values) - len(wanted))


def bytes_of(value: object) -> bytes:
    try:
        return canonical(value)
    except (ValueError, RecursionError):
        refuse_body("this JSON is nested too deep")


def check_age(seconds: float, now: datetime, max_age: float) -> None:
    """Refuse what was signed too long ago, or in the future; `seconds` are since 1970."""
    age = now.timestamp() - seconds
    if not -SKEW.total_seconds() <= age <= max_age:  # so that NaN is refused, too
        raise Refused(403, "age", "the signed time is too old, or of the future")


def seconds_of(text: str) -> float:
    """Read a signed time; what is none is as old as can be."""
    return float(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0.0


def refuse_signature() -> NoReturn:
    raise Refused(403, "signature", "the signature is missing or wrong")


def octets(headers: Mapping[str, str], name: str) -> bytes:
    """Give a header field as it came; b"" where it is missing."""
    return headers.get(name, "").encode("utf-8", "surrogateescape")


def check_signature(*, is_right: bool) -> None:
    if not is_right:
        refuse_signature()


def any_of(results: Iterable[bool]) -> bool:
    """Look at all of them, so that the time tells nothing."""
    return any([*results])
