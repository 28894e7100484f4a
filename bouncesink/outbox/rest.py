"""JSON over HTTP, to the services that we tell something.

By the standard library: urllib brings proxies and certificates, and more is not needed here. No
redirect is followed, as it would carry the key to another host. Errors never hold the key.
"""

import contextlib
import json
import re
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import quote, urlencode, urlsplit

from bouncesink import __version__
from bouncesink.config import read_secret
from bouncesink.errors import ConfigError, TemporarySinkError
from bouncesink.outbox.quota import TokenBucket

TIMEOUT = 30.0
"""Seconds without progress, and seconds for the whole body of an answer."""

MAX_ANSWER = 5_000_000
"""Octets of an answer that are read."""

_LONGEST_WAIT = 86_400.0


class TryLater(TemporarySinkError):
    """The service has trouble or wants us to wait; `after` is in seconds, if it said so."""

    def __init__(self, message: str, after: float = 0.0) -> None:
        super().__init__(message)
        self.after = after


@dataclass(frozen=True, slots=True)
class Secret:
    """What opens the service: put into a header or into the query."""

    file: Path
    header: str = ""
    parameter: str = ""

    def read(self) -> str:
        """Give the secret as it is now, so that a new one needs no restart; or ConfigError."""
        text = read_secret(self.file).decode("latin-1").strip()
        if not re.fullmatch(r"[\x21-\x7e]{1,4096}", text):
            raise ConfigError(f"{self.file}: one line with the key is wanted, and nothing else")
        return text


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: not 429, and below 500."""

    status: int
    body: bytes

    @property
    def json(self) -> Any:
        """Give the answer as JSON; None where it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None


class Rest:
    """A service by its base URL. `name` is what people call it."""

    def __init__(
        self, base_url: str, name: str, secret: Secret | None, quotas: Sequence[TokenBucket] = ()
    ) -> None:
        self._base = base_url
        self._name = name
        self._secret = secret
        self._quotas = quotas
        # Not build_opener: that would also follow redirects, and open files and FTP.
        self._opener = urllib.request.OpenerDirector()
        for handler in (
            urllib.request.ProxyHandler({} if _is_loopback(base_url) else None),
            urllib.request.HTTPHandler(),
            urllib.request.HTTPSHandler(),
            urllib.request.UnknownHandler(),
        ):
            self._opener.add_handler(handler)

    def shown(self, method: str, path: str, body: object = None) -> str:
        """Give a call as a person may see it."""
        key = (
            f"?{self._secret.parameter}=REDACTED" if self._secret and self._secret.parameter else ""
        )
        said = f" {json.dumps(body)}" if body is not None else ""
        return f"{method} {self._base}{path}{key}{said}"

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        parameters: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Make a call. Raises TryLater when no answer came, or one that asks for patience."""
        query, sent = dict(parameters or {}), {"Accept": "application/json", **(headers or {})}
        if self._secret and self._secret.header:
            sent["Authorization"] = f"{self._secret.header} {self._secret.read()}"
        if self._secret and self._secret.parameter:
            query[self._secret.parameter] = self._secret.read()
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        if data is not None:
            sent["Content-Type"] = "application/json"
        url = self._base + path + (f"?{urlencode(query)}" if query else "")
        request = urllib.request.Request(url, data, sent, method=method)  # noqa: S310 - the config checks the scheme
        request.add_header("User-Agent", f"bouncesink/{__version__}")
        for quota in self._quotas:
            quota.take()
        try:
            with self._opener.open(request, timeout=TIMEOUT) as response:
                answer = Answer(response.status, _read(response))
                wanted = _retry_after(response.headers.get("Retry-After"))
        except (OSError, HTTPException, ValueError) as error:
            raise TryLater(f"{self._name} did not answer {method}: {_cause(error)}") from None
        if answer.status == 429 or answer.status >= 500:
            why = "asks us to slow down" if answer.status == 429 else "has trouble"
            raise TryLater(f"{self._name} {why} ({answer.status}): {words(answer)}", wanted)
        return answer


def words(answer: Answer) -> str:
    """Give what an answer says of itself, cut and printable; a page of HTML says nothing."""
    said = answer.json
    if isinstance(said, dict):
        said = said.get("message") or said.get("error") or said.get("msg") or ""
    text = said if isinstance(said, str) else ""
    return " ".join(re.sub(r"[^\x20-\x7e]", " ", text).split())[:300] or "without a word"


def segment(text: str) -> str:
    """Spell a text as one segment of a path."""
    return quote(text, safe="")


def buckets(
    *limits: tuple[int, float],
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], object] = time.sleep,
) -> list[TokenBucket]:
    """Make a bucket of each limit: how many at once, how many a second in the long run."""
    return [TokenBucket(burst, rate, clock, pause) for burst, rate in limits]


def _is_loopback(url: str) -> bool:
    """Whether a URL is of this very machine, which no proxy can reach."""
    return urlsplit(url).hostname in ("127.0.0.1", "localhost")


def _read(response: Any) -> bytes:
    """Read a body, at most MAX_ANSWER octets and for TIMEOUT seconds: it may come in drips."""
    deadline = time.monotonic() + TIMEOUT
    body = b""
    while chunk := response.read1(65_536):
        body += chunk
        if len(body) > MAX_ANSWER:
            raise ValueError("the answer is endless")
        if time.monotonic() > deadline:
            raise TimeoutError
    return body


def _retry_after(value: str | None) -> float:
    """Give the seconds of a Retry-After field (RFC 9110, section 10.2.3)."""
    seconds = 0.0
    if value and re.fullmatch(r"\d{1,9}", value.strip()):
        seconds = float(value)
    elif value:
        with contextlib.suppress(ValueError, TypeError, OverflowError):
            seconds = (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
    return min(max(seconds, 0.0), _LONGEST_WAIT)


def _cause(error: Exception) -> str:
    """Say what went wrong without the URL, which may hold the key."""
    if isinstance(error, URLError):
        error = error.reason if isinstance(error.reason, Exception) else error
    if isinstance(error, TimeoutError):
        return f"not within {TIMEOUT:.0f} s"
    return getattr(error, "strerror", None) or type(error).__name__
