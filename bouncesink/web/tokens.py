"""Bearer tokens (RFC 6750) for programs: a file of names and hashes, so that it tells no token.

A token is 32 random octets, so one round of SHA-256 is enough to hide it.
"""

import hashlib
import secrets
import time
from pathlib import Path

import structlog
from aiohttp import web

from bouncesink.config import read_secret
from bouncesink.errors import ConfigError, InputError

PREFIX = "bs_"
"""Begins every token, so that a leaked one is known for what it is."""

RECHECK = 1.0
"""Seconds after which the file is looked at again, so that a token can be taken back."""

ANYBODY = "local"
"""Who asks where no tokens are wanted: whoever is on this machine."""


def new(name: str) -> tuple[str, str]:
    """Make a token; give it and the line for the file. Raises InputError."""
    if not name or not name.isprintable() or {":", " ", "#"} & set(name) or len(name) > 64:
        raise InputError(
            f"{name!r}: a name of up to 64 characters without spaces, : and # is wanted"
        )
    token = PREFIX + secrets.token_urlsafe(32)
    return token, f"{name}:sha256:{_digest(token)}"


def parse(text: str, where: Path) -> dict[str, str]:
    """Give the names by hash. Raises ConfigError with the line."""
    names = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, digest = line.strip().partition(":sha256:")
        if not name or len(digest) != 64 or set(digest) - set("0123456789abcdef"):
            raise ConfigError(
                f"{where}, line {number}: NAME:sha256:HEX is wanted; `bouncesink token` makes one"
            )
        names[digest] = name
    return names


log = structlog.get_logger(__name__)


class Tokens:
    """Who may ask. Without a file, anybody who can reach us: see `config.exposure`."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._text = ""
        self._names: dict[str, str] = {}
        self._next = 0.0
        if path is not None:
            self._load(path)

    def holder(self, request: web.Request) -> str:
        """Name who asks. Raises HTTPUnauthorized; without its file HTTPServiceUnavailable."""
        if self._path is None:
            return ANYBODY
        if time.monotonic() >= self._next:
            try:
                self._load(self._path)
            except ConfigError as error:
                log.warning("tokens.unreadable", error=str(error))
                raise web.HTTPServiceUnavailable(reason="nobody can be let in now") from None
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        name = self._names.get(_digest(token.strip())) if scheme.lower() == "bearer" else None
        if name is None:
            raise web.HTTPUnauthorized(
                reason="a token is wanted",
                headers={"WWW-Authenticate": 'Bearer realm="bouncesink"'},
            )
        return name

    def _load(self, path: Path) -> None:
        text = read_secret(path).decode("utf-8", "replace")
        self._next = time.monotonic() + RECHECK
        if text != self._text:
            self._names, self._text = parse(text, path), text


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
