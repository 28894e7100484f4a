"""Secrets: each in a file of its own, or passed by systemd (LoadCredential= of systemd.exec(5))."""

import os
from pathlib import Path

from bouncesink.errors import ConfigError


def read_secret(path: Path) -> bytes:
    """Read a secret from its file. Raises ConfigError.

    A bare name that is not there is looked for among systemd's credentials (LoadCredential=).
    """
    passed = os.environ.get("CREDENTIALS_DIRECTORY")
    if passed and not path.exists():
        path = Path(passed, path.name)
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: the secret cannot be read: {error.strerror}") from None


def find_secret(path: Path) -> Path:
    """Give the file of a secret: the systemd credential of that name, if there is one.

    See systemd.exec(5), LoadCredential=.
    """
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    credential = Path(folder) / path.name if folder else path
    return credential if credential.exists() else path
