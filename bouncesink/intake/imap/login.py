"""Who we are to an IMAP server: a password, or an OAuth 2.0 access token that is fetched when due.

A token comes of a refresh token (RFC 6749, section 6), or of a Google service account to which a
Workspace has delegated its users' mail (RFC 7523).
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bouncesink.config import MailboxConfig, find_secret, read_secret
from bouncesink.errors import ConfigError, MailboxError

SCOPE = "https://mail.google.com/"
"""What a service account asks for (developers.google.com/workspace/gmail/imap/xoauth2-protocol)."""

_GOOGLE = "https://oauth2.googleapis.com/token"
_SAFE_URI = re.compile(
    r"https://[^/@\s]+(/\S*)?|http://(127\.0\.0\.1|localhost|\[::1\])(:\d+)?(/\S*)?"
)
_TIMEOUT = 30.0


class Login:
    """The credentials of one mailbox. The secret's file is read anew for each connection."""

    def __init__(self, mailbox: MailboxConfig) -> None:
        assert mailbox.imap is not None
        self._imap = mailbox.imap
        self.user = mailbox.imap.user or mailbox.address
        self._file = self._imap.oauth_file or self._imap.service_account
        self._credentials: Any = None
        self._text = b""

    @property
    def by_token(self) -> bool:
        return self._file is not None

    def check(self) -> None:
        """Raise ConfigError if the secret cannot be read or is none."""
        if self._file is None:
            self.password()
        else:
            self._open(self._file)

    def password(self) -> str:
        assert self._imap.password_file is not None
        path = self._imap.password_file
        try:
            secret = read_secret(path).decode("utf-8").strip("\r\n")
        except UnicodeDecodeError:
            raise ConfigError(f"{path}: is no password: it is not UTF-8") from None
        if not secret or "\n" in secret or "\0" in secret:
            raise ConfigError(f"{path}: one line with the password is wanted")
        return secret

    def token(self) -> str:
        """Give an access token; a fresh one when the last is about to expire.

        Raises ConfigError for a file that is wrong, MailboxError when the token server says no.
        """
        import google.auth.exceptions
        import requests
        from google.auth.transport.requests import Request

        assert self._file is not None
        credentials = self._open(self._file)
        if credentials.valid:
            return str(credentials.token)
        with requests.Session() as session:
            session.max_redirects = 0  # to where the secret would go along
            request = Request(session)
            try:
                credentials.refresh(lambda **asked: request(**asked | {"timeout": _TIMEOUT}))
            except google.auth.exceptions.RefreshError as error:
                raise MailboxError(
                    f"no access token for {self.user}: {_words(error)}. If it is revoked or the "
                    f"delegation is missing, {find_secret(self._file)} must be renewed"
                ) from None
            except Exception as error:  # also KeyError and TypeError, for an answer that is none
                raise MailboxError(
                    f"no access token for {self.user}: the token server gave no answer that makes "
                    f"sense: {_words(error)}"
                ) from None
        return str(credentials.token)

    def forget_token(self) -> None:
        """Take a new token the next time: the server would not have this one."""
        self._credentials = None

    def _open(self, path: Path) -> Any:
        """Give the credentials, the same ones as long as their file stays the same."""
        text = read_secret(path)
        if self._credentials is None or text != self._text:
            try:
                info = json.loads(text)
                if not isinstance(info, dict):
                    raise TypeError("it is no JSON object")  # noqa: TRY301 - said below
                self._credentials = (
                    _delegated(info, self.user) if self._imap.service_account else _refreshing(info)
                )
            except (ValueError, KeyError, TypeError) as error:
                what = "service account's key" if self._imap.service_account else "refresh token"
                raise ConfigError(
                    f"{find_secret(path)}: is no JSON of a {what}: {_words(error)}"
                ) from None
            self._text = text
        return self._credentials


def _refreshing(info: Mapping[str, Any]) -> Any:
    from google.oauth2.credentials import Credentials

    return Credentials(  # type: ignore[no-untyped-call]  # google-auth has no types
        token=None,
        refresh_token=_text(info, "refresh_token"),
        client_id=_text(info, "client_id"),
        client_secret=_text(info, "client_secret"),
        token_uri=_checked(info.get("token_uri", _GOOGLE)),
    )


def _delegated(info: Mapping[str, Any], user: str) -> Any:
    from google.oauth2.service_account import Credentials

    _text(info, "private_key")
    _text(info, "client_email")
    info = {**info, "token_uri": _checked(info.get("token_uri", _GOOGLE))}
    return Credentials.from_service_account_info(  # type: ignore[no-untyped-call]  # as above
        info, scopes=[SCOPE], subject=user
    )


def _text(info: Mapping[str, Any], key: str) -> str:
    value = info.get(key)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{key} is missing")
    return value


def _checked(uri: object) -> str:
    if not isinstance(uri, str) or not _SAFE_URI.fullmatch(uri):
        raise ValueError("token_uri: https://HOST/... is wanted: the secret goes there")
    return uri


def _words(error: Exception) -> str:
    """Give what google-auth says, without the parts that repeat it."""
    text = str(error.args[0]) if error.args else str(error)
    return " ".join(text.split())[:300]
