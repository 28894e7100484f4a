"""Who was erased, in SQLite: keyed hashes, and nothing of theirs kept from then on.

An address can be guessed, so that a plain hash of it would tell. The key is in a file beside the
ledger, so that a copy of the ledger by itself (a backup, an export) names nobody.
"""

# ruff: noqa: S608 - what is put into the SQL here are names of our own, never data

import hashlib
import hmac
import os
import secrets
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from bouncesink.errors import LedgerError
from bouncesink.ledger import Forgot, rows
from bouncesink.ledger.tables import IN_LIST, Tables

_KEY_OCTETS = 32

Item = TypeVar("Item")


class Forgotten(Tables):
    """See `bouncesink.ledger.Ledger`. Whatever stores something about an address asks here."""

    def forgotten(self, addresses: Iterable[str]) -> set[str]:
        key = self._key()
        if key is None:
            return set()
        digests = {_digest(key, address): address for address in addresses}
        sql = f"SELECT digest FROM forgotten WHERE key_id = ? AND digest {IN_LIST}"
        found = self._db.all(sql, (_key_id(key), rows.json_list(digests)))
        return {digests[digest] for (digest,) in found}

    def forgotten_name(self, address: str) -> str:
        with self._db.transaction():  # two that make a key at once take turns
            key = self._key() or _read_key(self.key_path) or self._new_key()
        return f"forgotten:{_digest(key, address)[:16]}"

    def put_forgotten(self, address: str, at: datetime) -> None:
        with self._db.transaction():
            self.forgotten_name(address)
            key = _read_key(self.key_path)
            assert key is not None
            row = (_key_id(key), _digest(key, address), rows.time_text(at))
            self._insert("forgotten", "key_id, digest, at", [row])

    def all_forgotten(self) -> list[Forgot]:
        found = self._db.all("SELECT key_id, digest, at FROM forgotten ORDER BY at")
        return [Forgot(key_id, digest, rows.time_of(at)) for key_id, digest, at in found]

    def add_forgotten(self, found: Sequence[Forgot]) -> None:
        wanted = [(each.key_id, each.digest, rows.time_text(each.at)) for each in found]
        with self._db.transaction():
            self._insert("forgotten", "key_id, digest, at", wanted)

    def remove_forgotten(self, address: str) -> bool:
        with self._db.transaction():
            key = self._key()
            if key is None:
                return False
            sql = "DELETE FROM forgotten WHERE key_id = ? AND digest = ? RETURNING 1"
            return bool(self._db.all(sql, (_key_id(key), _digest(key, address))))

    @property
    def key_path(self) -> Path:
        return key_path(self._path)

    def _known(self, items: Sequence[Item], address_of: Callable[[Item], str | None]) -> list[Item]:
        """Leave out what is about forgotten addresses: it is not to be stored."""
        gone = self.forgotten(address for item in items if (address := address_of(item)))
        return [item for item in items if address_of(item) not in gone] if gone else list(items)

    def _key(self) -> bytes | None:
        """Give the key, or None where nobody has been forgotten. Raises LedgerError."""
        sql = "SELECT (SELECT min(key_id) FROM forgotten), (SELECT max(key_id) FROM forgotten)"
        first, last = self._db.all(sql)[0]
        if first is None:
            return None
        key = _read_key(self.key_path)
        if key is None or not first == last == _key_id(key):
            wrong = "the file is missing" if key is None else "this is another key"
            raise LedgerError(
                f"{self.key_path}: {wrong}, so that forgotten addresses cannot be told and might "
                "be mailed again; put back the file that was beside this ledger"
            )
        return key

    def _new_key(self) -> bytes:
        """Make the key: readable for whom the ledger is, durable before it is used."""
        key = secrets.token_bytes(_KEY_OCTETS)
        try:
            mode = self._path.stat().st_mode & 0o660
            descriptor = os.open(self.key_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(key.hex() + "\n")
                file.flush()
                os.fsync(file.fileno())
            folder = os.open(self.key_path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise LedgerError(f"{self.key_path}: cannot be written: {error.strerror}") from None
        return key


def key_path(ledger: Path) -> Path:
    """Give where the key of a ledger is."""
    return Path(f"{os.path.realpath(ledger)}.key")


def _read_key(path: Path) -> bytes | None:
    try:
        text = path.read_text("ascii").strip()
        if len(key := bytes.fromhex(text)) == _KEY_OCTETS:
            return key
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LedgerError(
            f"{path}: cannot be read: {error.strerror}; it tells forgotten addresses, so whoever "
            "reads the ledger needs it"
        ) from None
    except ValueError:
        pass
    raise LedgerError(f"{path}: holds no key; put back the file that was beside this ledger")


def _key_id(key: bytes) -> str:
    return hashlib.sha256(key).hexdigest()[:16]


def _digest(key: bytes, address: str) -> str:
    return hmac.digest(key, rows.clean(address).encode(), "sha256").hex()
