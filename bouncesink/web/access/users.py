"""The file of users: a line each, NAME:ROLE:HASH, with scrypt (RFC 7914) of the password."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from bouncesink.config import read_secret
from bouncesink.errors import ConfigError, InputError

COST = (2**15, 8, 3)
"""N, r and p: 32 MB and about 0.2 s a guess, as OWASP's password storage cheat sheet has it."""

MOST_MEMORY = 128 * 1024 * 1024
LEAST_PASSWORD = 10
"""Characters (NIST SP 800-63B asks for 8)."""

MOST_PASSWORD = 1000
_SALT = 16
_LENGTH = 32


class Role(StrEnum):
    """`act` may do all that `read` may see."""

    READ = "read"
    ACT = "act"


@dataclass(frozen=True, slots=True)
class User:
    name: str
    role: Role

    @property
    def may_act(self) -> bool:
        return self.role is Role.ACT


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the file."""

    user: User
    hash: str

    def line(self) -> str:
        return f"{self.user.name}:{self.user.role}:{self.hash}"


def check_name(name: str) -> str:
    """Give the name. Raises InputError where it cannot be one of the file."""
    unwanted = not name.isprintable() or {":", "#", " "} & set(name)
    if not name or unwanted or len(name) > 64:
        raise InputError(
            f"{name!r}: a name of up to 64 characters without spaces, : and # is wanted"
        )
    return name


def hashed(password: str, cost: tuple[int, int, int] = COST) -> str:
    """Hash a new password. Raises InputError if it is too short or too long."""
    if not LEAST_PASSWORD <= len(password) <= MOST_PASSWORD:
        raise InputError(f"a password of {LEAST_PASSWORD} characters or more is wanted")
    salt = secrets.token_bytes(_SALT)
    n, r, p = cost
    return f"scrypt${n}${r}${p}${_text(salt)}${_text(_derive(password, salt, cost))}"


def matches(password: str, known: str | None) -> bool:
    """Say whether a password is the one of a hash; None takes as long, and never matches."""
    n, r, p, salt, wanted = _split(known or _NOBODY)
    found = _derive(password[:MOST_PASSWORD], salt, (n, r, p))
    return hmac.compare_digest(found, wanted) and known is not None


def parse(text: str, where: Path) -> dict[str, Entry]:
    """Give the entries by name. Raises ConfigError with the line."""
    entries: dict[str, Entry] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            name, role, known = line.strip().split(":")
            _split(known)
            entries[name] = Entry(User(name, Role(role)), known)
        except ValueError:
            raise ConfigError(
                f"{where}, line {number}: NAME:ROLE:HASH is wanted; `bouncesink user` writes it"
            ) from None
    return entries


def load(path: Path) -> dict[str, Entry]:
    return parse(read_secret(path).decode("utf-8", "replace"), path)


def text_of(entries: Iterable[Entry]) -> str:
    return "".join(f"{entry.line()}\n" for entry in entries)


def _split(known: str) -> tuple[int, int, int, bytes, bytes]:
    """Take a hash apart. Raises ValueError for what is none, or would take too much to check."""
    scheme, *cost, salt, wanted = known.split("$")
    n, r, p = map(int, cost)
    if scheme != "scrypt" or not 128 * n * r * p <= MOST_MEMORY * 4 or 128 * n * r >= MOST_MEMORY:
        raise ValueError(known)
    return n, r, p, base64.b64decode(salt, validate=True), base64.b64decode(wanted, validate=True)


def _derive(password: str, salt: bytes, cost: tuple[int, int, int]) -> bytes:
    n, r, p = cost
    return hashlib.scrypt(
        password.encode("utf-8", "surrogatepass"),
        salt=salt,
        n=n,
        r=r,
        p=p,
        maxmem=MOST_MEMORY,
        dklen=_LENGTH,
    )


def _text(octets: bytes) -> str:
    return base64.b64encode(octets).decode("ascii")


_NOBODY = f"scrypt${COST[0]}${COST[1]}${COST[2]}${_text(bytes(_SALT))}${_text(bytes(_LENGTH))}"
