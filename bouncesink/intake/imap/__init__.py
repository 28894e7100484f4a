"""Bounces out of mailboxes, over IMAP4rev1 (RFC 3501): nothing there is changed unless configured.

`session.py` speaks to a server, `login.py` has the secrets, `folders.py` says which folders count,
`mine.py` brings what is new into the ledger, `tidy.py` marks and moves what was taken. Only
notifications get there: what people write is told by its header section
(`bouncesink.parse.likely`), and no more of it is fetched.
"""

from importlib import import_module

from bouncesink.errors import ConfigError


def require() -> None:
    """Raise ConfigError if what the extra brings is not installed."""
    for package in ("imapclient", "google.auth", "requests"):
        try:
            import_module(package)
        except ImportError:
            raise ConfigError(
                f"[mailboxes.imap] needs a package that is not installed ({package}): "
                "pip install 'bouncesink[imap]'"
            ) from None
