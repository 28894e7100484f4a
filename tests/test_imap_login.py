"""How a mailbox is got into: passwords, refresh tokens, service accounts; and what the config says."""

import json
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from http_service import Reply
from imap_support import PASSWORD, ImapServer, TokenServer, imap_server, mailbox_at

from bouncesink.config import parse
from bouncesink.errors import ConfigError, MailboxError
from bouncesink.intake import imap
from bouncesink.intake.imap.login import Login
from bouncesink.intake.imap.session import connect

ADDRESS = "sales@example.com"


@pytest.fixture
def server() -> Iterator[ImapServer]:
    with imap_server() as server:
        yield server


@pytest.fixture
def tokens(server: ImapServer) -> Iterator[TokenServer]:
    with closing(TokenServer(on_token=server.tokens.__setitem__)) as tokens:
        tokens.refresh_tokens = {"refresh-1": ADDRESS}
        yield tokens


def log_in(server: ImapServer, login: Login | None = None, **how: Any) -> None:
    box = server.mailbox(ADDRESS, **how)
    assert box.imap is not None
    connect(box.imap, login or Login(box)).close()


def oauth(tmp_path: Path, tokens: TokenServer, **changed: object) -> Path:
    path = tmp_path / "oauth.json"
    given = {
        "refresh_token": "refresh-1",
        "client_id": "client-1",
        "client_secret": "secret-1",
        "token_uri": f"{tokens.url}/token",
    }
    path.write_text(json.dumps(given | changed))
    return path


def service_account(tmp_path: Path, tokens: TokenServer) -> Path:
    """Make an account's key, and let the token server know its public half."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "account.test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    tokens.certificate = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path = tmp_path / "account.json"
    account = {
        "type": "service_account",
        "client_email": "miner@project.example.com",
        "private_key_id": "1",
        "private_key": private.decode(),
        "token_uri": f"{tokens.url}/token",
    }
    path.write_text(json.dumps(account))
    return path


def test_a_password_and_the_server_s_own_words_when_it_is_wrong(
    server: ImapServer, tmp_path: Path
) -> None:
    secret = tmp_path / "password"
    secret.write_text(PASSWORD + "\n")
    log_in(server, password_file=secret)
    secret.write_text("wrong")
    with pytest.raises(MailboxError, match=r"login of sales@example.com was refused: .*wrong"):
        log_in(server, password_file=secret)


def test_a_refresh_token_gives_a_token_that_is_used_until_it_expires(
    server: ImapServer, tokens: TokenServer, tmp_path: Path
) -> None:
    file = oauth(tmp_path, tokens)
    login = Login(server.mailbox(ADDRESS, oauth_file=file))
    log_in(server, login, oauth_file=file)
    log_in(server, login, oauth_file=file)
    assert len(tokens.calls) == 1
    tokens.expires_in = 0
    login.forget_token()
    for _ in range(3):
        log_in(server, login, oauth_file=file)
    assert len(tokens.calls) == 4


def test_a_token_that_the_server_will_not_have_is_not_kept(
    server: ImapServer, tokens: TokenServer, tmp_path: Path
) -> None:
    file = oauth(tmp_path, tokens)
    login = Login(server.mailbox(ADDRESS, oauth_file=file))
    log_in(server, login, oauth_file=file)
    server.tokens = {ADDRESS: "another"}
    with pytest.raises(MailboxError, match=r'refused: .*Invalid credentials.*"status":"400"'):
        log_in(server, login, oauth_file=file)
    tokens._on_token = server.tokens.__setitem__
    log_in(server, login, oauth_file=file)


def test_a_service_account_acts_for_the_mailbox(
    server: ImapServer, tokens: TokenServer, tmp_path: Path
) -> None:
    log_in(server, service_account=service_account(tmp_path, tokens))
    assert list(tokens.issued.values()) == [ADDRESS]


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply(400, {"error": "invalid_grant", "error_description": "Revoked."}), "invalid_grant"),
        (Reply(302, b"", {"Location": "http://192.0.2.1/"}), "did not answer|no access token"),
        (Reply(200, b"<html>"), "no access token"),
        (Reply(200, {"x": 1}), "no access token"),
    ],
)
def test_a_token_server_that_says_no_is_named(
    reply: Reply, words: str, server: ImapServer, tokens: TokenServer, tmp_path: Path
) -> None:
    tokens.troubles.extend([reply] * 5)
    with pytest.raises(MailboxError, match=words) as caught:
        log_in(server, oauth_file=oauth(tmp_path, tokens))
    assert ADDRESS in str(caught.value)
    assert "secret-1" not in str(caught.value)
    assert server.connections == 0


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{",
        b'{"refresh_token": 1}',
        b"\xff\xfe",
        b'{"refresh_token": "x", "client_id": "x", "client_secret": "x", "token_uri": "http://x/"}',
    ],
)
def test_a_file_that_is_no_token_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "oauth.json"
    path.write_bytes(content)
    for kind in ("oauth_file", "service_account"):
        with pytest.raises(ConfigError, match=r"oauth\.json: is no JSON of a"):
            Login(mailbox_at(9, ADDRESS, **{kind: path})).check()


@pytest.mark.parametrize("content", [b"", b"\n", b"two\nlines", b"\xff", b"a\0b"])
def test_a_file_that_is_no_password_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="password: "):
        Login(mailbox_at(9, ADDRESS, password_file=path)).check()


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(PASSWORD)
    with socket.socket() as taken:  # bound, and not listening
        taken.bind(("127.0.0.1", 0))
        box = mailbox_at(taken.getsockname()[1], ADDRESS, password_file=tmp_path / "password")
        assert box.imap is not None
        with pytest.raises(MailboxError, match=r"sales@example.com at 127.0.0.1, port \d+: Conn"):
            connect(box.imap, Login(box))


def test_a_server_that_speaks_no_imap(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(PASSWORD)

    def greet() -> None:
        peer, _ = listening.accept()
        with peer:
            peer.sendall(b"220 mail.example.com ESMTP\r\n" * 3)
            peer.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=greet)
        thread.start()
        box = mailbox_at(listening.getsockname()[1], ADDRESS, password_file=tmp_path / "password")
        assert box.imap is not None
        with pytest.raises(MailboxError, match="no IMAP server as we know it"):
            connect(box.imap, Login(box))
        thread.join()


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    imap.require()
    monkeypatch.setitem(sys.modules, "imapclient", None)
    with pytest.raises(ConfigError, match=r"pip install 'bouncesink\[imap\]'"):
        imap.require()


@pytest.mark.parametrize(
    ("imap", "message"),
    [
        ('host = "imap.example.com"', "one of password_file, oauth_file, service_account"),
        ('host = "x", password_file = "a", oauth_file = "b"', "one of password_file"),
        ('password_file = "a"', "mailboxes.imap.host: this key is missing"),
        ('host = "imap://x", password_file = "a"', "is neither HOST nor HOST:PORT"),
        ('host = "x", password_file = "a", tls = "none"', '"none" is for loopback only'),
        ('host = "x", password_file = "a", tls = "ssl"', "one of 'tls', 'starttls', 'none'"),
        ('host = "x", password_file = "a", poll_every = 0', "at least one second"),
        ('host = "x", passwort_file = "a"', "did you mean password_file?"),
    ],
)
def test_what_the_config_refuses(imap: str, message: str) -> None:
    text = f'[[mailboxes]]\naddress = "sales@example.com"\nimap = {{ {imap} }}\n'
    with pytest.raises(ConfigError) as caught:
        parse(text, Path("/etc/x.toml"))
    assert message in str(caught.value)


def test_the_same_mailbox_twice_is_refused() -> None:
    one = '[[mailboxes]]\naddress = "{}"\nimap = {{ host = "x", password_file = "a" }}\n'
    text = one.format("sales@example.com") + one.format("Sales@example.com")
    with pytest.raises(ConfigError, match="is there twice"):
        parse(text, Path("/etc/x.toml"))
