"""Five mailboxes on a real Dovecot, mined in one go, with the connections cut, and by token.

Every notification has a Message-ID of its own, so that a lost one and one taken twice both show.
"""

import contextlib
import imaplib
import json
import random
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal

import pytest
from imap_support import TokenServer
from private_dovecot import PASSWORD, Dovecot, dovecot
from private_postfix import wait_until

from bouncesink.config import ImapConfig, MailboxConfig
from bouncesink.errors import MailboxError
from bouncesink.intake.imap.folders import folders_to_mine
from bouncesink.intake.imap.login import Login
from bouncesink.intake.imap.session import connect

pytestmark = pytest.mark.e2e

USERS = tuple(f"sales{number}@example.com" for number in range(1, 6))
SAMPLES = Path(__file__).parents[2] / "samples"
DAY = 86400.0

PRIVATE = """\
Return-Path: <friend@example.org>
Received: from mx.example.org by mail.example.com; {number}
From: A Friend <friend@example.org>
To: {user}
Subject: {subject}
Message-ID: <private-{number}@example.org>
MIME-Version: 1.0
Content-Type: multipart/alternative; boundary=x

--x
Content-Type: text/plain

Only between us: {number}
--x--
"""
SUBJECTS = (
    "Dinner on Friday",
    "Re: A quick question about your lamps",
    "Invoice 4711",
    "=?utf-8?q?Gr=C3=BC=C3=9Fe?=",
)


def notifications() -> list[bytes]:
    """The samples that are no person's mail, without their Message-IDs."""
    found = []
    for file in sorted(SAMPLES.glob("*.eml")):
        if json.loads(file.with_suffix(".json").read_text())["kind"] != "human":
            raw = file.read_bytes().replace(b"\r\n", b"\n")
            head, gap, body = raw.partition(b"\n\n")
            head = re.sub(rb"(?im)^message-id:.*\n(?:[ \t].*\n)*", b"", head + b"\n")
            found.append(head + gap[1:] + body)
    return found


def fill(server: Dovecot) -> set[str]:
    """Put 1,000 messages into each mailbox, 120 of them notifications; give their Message-IDs."""
    shapes = notifications()
    ids = set()
    now = time.time()
    for box, user in enumerate(USERS):
        folders: dict[str, dict[str, tuple[bytes, float, str]]] = {}
        for number in range(1000):
            mark = f"{box}-{number}"
            if number % 25 in (3, 11, 19):
                ids.add(f"taken-{mark}@example.net")
                shape = shapes[(box * 200 + number) % len(shapes)]
                raw = f"Message-ID: <taken-{mark}@example.net>\n".encode() + shape
            else:
                subject = SUBJECTS[number % len(SUBJECTS)]
                raw = PRIVATE.format(number=mark, user=user, subject=subject).encode()
            # As a person would: most in the inbox, some moved, some read, some answered.
            folder = ("INBOX", "INBOX", "Junk", "Archive")[number % 4]
            flags = ("", "S", "RS", "FS", "")[number % 5]
            received_at = now - number / 1000 * 28 * DAY
            folders.setdefault(folder, {})[mark] = (raw, received_at, flags)
        folders["Sent"] = {"s": (shapes[0], now, "S")}
        for folder, mails in folders.items():
            server.fill(user, folder, mails)
    return ids


def flags_of(server: Dovecot) -> dict[tuple[str, str], list[bytes]]:
    """The flags of every message, \\Recent too, looked at without a change."""
    seen = {}
    for user in USERS:
        with imaplib.IMAP4("127.0.0.1", server.port) as client:
            client.login(user, PASSWORD)
            for folder in ("INBOX", "Junk", "Archive", "Sent"):
                client.select(folder, readonly=True)
                seen[user, folder] = client.fetch("1:*", "(UID FLAGS)")[1]
    return seen


def config(
    folder: Path, host: str, auth: str = 'password_file = "password"', tls: str = "none"
) -> Path:
    (folder / "password").write_text(PASSWORD)
    path = folder / "bouncesink.toml"
    path.write_text(
        '[lmtp]\nlisten = "127.0.0.1:0"\n[log]\nformat = "json"\n'
        + "".join(
            f'[[mailboxes]]\naddress = "{user}"\n'
            f'imap = {{ host = "{host}", tls = "{tls}", {auth} }}\n'
            for user in USERS
        )
    )
    return path


def run_mine(path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bouncesink", "mine", *options, "--config", path.name],
        cwd=path.parent,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def mine(path: Path) -> list[dict[str, object]]:
    done = run_mine(path, "--json")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def taken(folder: Path) -> Counter[str]:
    """The Message-IDs of what is in the ledger, each as often as it is there."""
    with closing(sqlite3.connect(folder / "bouncesink.db")) as connection:
        rows = connection.execute("SELECT raw FROM arrival_bytes").fetchall()
    return Counter(raw.partition(b"<")[2].partition(b">")[0].decode() for (raw,) in rows)


@pytest.fixture(scope="module")
def tokens() -> Iterator[TokenServer]:
    with closing(TokenServer()) as tokens:
        tokens.refresh_tokens = {f"refresh-{user}": user for user in USERS}
        yield tokens


@pytest.fixture(scope="module")
def server(tokens: TokenServer) -> Iterator[Dovecot]:
    with dovecot(USERS, tokens.url) as server:
        yield server


@pytest.fixture(scope="module")
def ids(server: Dovecot) -> set[str]:
    return fill(server)


def test_five_mailboxes_in_one_go(server: Dovecot, ids: set[str], tmp_path: Path) -> None:
    path = config(tmp_path, f"127.0.0.1:{server.port}")
    before = flags_of(server)
    results = mine(path)
    assert [each["looked_at"] for each in results] == [1000] * 5
    assert [each["new"] for each in results] == [120] * 5
    assert taken(tmp_path) == dict.fromkeys(ids, 1)
    assert len(ids) == 600
    assert flags_of(server) == before
    again = mine(path)
    assert [(each["looked_at"], each["new"]) for each in again] == [(0, 0)] * 5


class CuttingProxy:
    """Hands connections on, and cuts each off after a random number of octets."""

    def __init__(self, port: int, seed: int) -> None:
        self._port = port
        self._random = random.Random(seed)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self.cuts = 0
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def _accept(self) -> None:
        served = []
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                left = self._random.randrange(1_000, 150_000)
                served.append(threading.Thread(target=self._serve, args=(client, left)))
                served[-1].start()
        for thread in served:
            thread.join()

    def _serve(self, client: socket.socket, left: int) -> None:
        with client, socket.create_connection(("127.0.0.1", self._port)) as server:
            commands = threading.Thread(target=self._hand_on, args=(client, server, None))
            commands.start()
            self._hand_on(server, client, left)
            commands.join()

    def _hand_on(self, source: socket.socket, sink: socket.socket, left: int | None) -> None:
        with contextlib.suppress(OSError):
            while octets := source.recv(4096):
                sink.sendall(octets[:left])
                if left is not None:
                    left -= len(octets)
                    if left <= 0:
                        self.cuts += 1
                        break
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()


@pytest.mark.parametrize("seed", [1, 2])
def test_connections_that_are_cut_lose_nothing_and_double_nothing(
    seed: int, server: Dovecot, ids: set[str], tmp_path: Path
) -> None:
    with closing(CuttingProxy(server.port, seed)) as proxy:
        results = mine(config(tmp_path, f"127.0.0.1:{proxy.port}"))
        assert [each["new"] for each in results] == [120] * 5
        assert proxy.cuts > 20
    assert taken(tmp_path) == dict.fromkeys(ids, 1)


def test_killed_and_started_again_it_takes_each_once(
    server: Dovecot, ids: set[str], tmp_path: Path
) -> None:
    path = config(tmp_path, f"127.0.0.1:{server.port}")
    command = [sys.executable, "-m", "bouncesink", "mine", "--config", path.name]
    for _ in range(3):
        process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL)
        known = sum(taken(tmp_path).values()) if (tmp_path / "bouncesink.db").exists() else 0
        wait_until(lambda: _more_than(tmp_path, known) or process.poll() is not None, 30, "stuck")  # noqa: B023 - called at once
        process.send_signal(signal.SIGKILL)
        process.wait()
    mine(path)
    assert taken(tmp_path) == dict.fromkeys(ids, 1)


def _more_than(folder: Path, known: int) -> bool:
    with contextlib.suppress(sqlite3.OperationalError):  # the tables are being made
        return sum(taken(folder).values()) > known
    return False


def test_by_token(server: Dovecot, ids: set[str], tokens: TokenServer, tmp_path: Path) -> None:
    path = config(tmp_path, f"127.0.0.1:{server.port}", 'oauth_file = "NAME.json"')
    text = path.read_text()
    for user in USERS:
        text = text.replace("NAME", user, 1)
        account = {
            "refresh_token": f"refresh-{user}",
            "client_id": "client-1",
            "client_secret": "secret-1",
            "token_uri": f"{tokens.url}/token",
        }
        (tmp_path / f"{user}.json").write_text(json.dumps(account))
    path.write_text(text)
    results = mine(path)
    assert [each["new"] for each in results] == [120] * 5
    assert {call.path for call in tokens.calls} == {"/token", "/introspect"}
    tokens.refresh_tokens.pop(f"refresh-{USERS[0]}")
    done = run_mine(path)
    assert done.returncode == 1
    assert f"no access token for {USERS[0]}" in done.stderr


@pytest.fixture
def changing() -> Iterator[Dovecot]:
    """One that is ours alone, since what is in it changes."""
    with dovecot(USERS) as server:
        fill(server)
        yield server


def mails_of(server: Dovecot, user: str, folder: str) -> dict[str, set[str]]:
    """The flags of a folder's messages, by Message-ID; each is there once."""
    found: dict[str, set[str]] = {}
    with imaplib.IMAP4("127.0.0.1", server.port) as client:
        client.login(user, PASSWORD)
        assert client.select(folder, readonly=True)[0] == "OK"
        _, answer = client.fetch("1:*", "(FLAGS BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])")
        for part in answer:
            if isinstance(part, tuple):
                flags = re.search(rb"FLAGS \(([^)]*)\)", part[0])
                assert flags
                id_ = part[1].partition(b"<")[2].partition(b">")[0].decode()
                assert id_ not in found
                found[id_] = set(flags[1].decode().split()) - {"\\Recent"}
    return found


def test_what_is_taken_is_marked_and_moved_and_nothing_else(
    changing: Dovecot, tmp_path: Path
) -> None:
    folders = ("INBOX", "Junk", "Archive", "Sent")
    before = {(u, f): mails_of(changing, u, f) for u in USERS for f in folders}
    more = 'password_file = "password", mark_read = true, move_to = "Bounces"'
    with closing(CuttingProxy(changing.port, 3)) as proxy:
        mine(config(tmp_path, f"127.0.0.1:{proxy.port}", more))
        assert proxy.cuts > 20
    path = config(tmp_path, f"127.0.0.1:{changing.port}", more)
    mine(path)
    assert [each["new"] for each in mine(path)] == [0] * 5
    counts = taken(tmp_path)
    assert len(counts) == 600
    assert set(counts.values()) == {1}
    for user in USERS:
        moved = mails_of(changing, user, "Bounces")
        inbox = before[user, "INBOX"]
        assert moved == {
            id_: flags | {"\\Seen"} for id_, flags in inbox.items() if id_.startswith("taken-")
        }
        after = {folder: mails_of(changing, user, folder) for folder in folders}
        assert after["INBOX"] == {i: f for i, f in inbox.items() if i not in moved}
        assert after["Sent"] == before[user, "Sent"]
        for folder in ("Junk", "Archive"):
            assert after[folder] == {
                id_: flags | ({"\\Seen"} if id_.startswith("taken-") else set())
                for id_, flags in before[user, folder].items()
            }


@pytest.mark.parametrize("tls", ["tls", "starttls"])
def test_over_tls_only_to_whom_the_certificate_names(
    tls: Literal["tls", "starttls"],
    server: Dovecot,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "password").write_text(PASSWORD)
    port = server.tls_port if tls == "tls" else server.port

    def folders(host: str) -> list[str]:
        how = ImapConfig(f"{host}:{port}", password_file=tmp_path / "password", tls=tls)
        with closing(connect(how, Login(MailboxConfig(USERS[0], imap=how)))) as session:
            return folders_to_mine(session.folders())

    with pytest.raises(MailboxError, match="certificate is not good: self-signed certificate"):
        folders("localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(server.certificate))
    assert sorted(folders("localhost")) == ["Archive", "INBOX", "Junk"]
    with pytest.raises(MailboxError, match="certificate is not good: IP address mismatch"):
        folders("127.0.0.1")


@contextmanager
def serving(path: Path) -> Iterator[Path]:
    log = path.parent / "serve.log"
    command = [sys.executable, "-m", "bouncesink", "serve", "--config", path.name]
    with log.open("ab") as stream:
        process = subprocess.Popen(command, cwd=path.parent, stdout=stream, stderr=stream)
    try:
        yield log
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, log.read_text()[-2000:]
    finally:
        process.kill()
        process.wait()


def test_mail_that_comes_wakes_the_service(
    server: Dovecot, ids: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(server.certificate))
    path = config(tmp_path, f"localhost:{server.tls_port}", tls="tls")
    with serving(path) as log:
        wait_until(lambda: log.read_text().count('"mining.done"') == 5, 40, "not mined")
        # Delivered as soon as all wait in IDLE, as the process titles of Dovecot do not tell.
        with imaplib.IMAP4("127.0.0.1", server.port) as client:
            client.login(USERS[2], PASSWORD)
            raw = b"Message-ID: <woken@example.net>\n" + notifications()[0]
            client.append("INBOX", "", None, raw.replace(b"\n", b"\r\n"))
        wait_until(lambda: "woken@example.net" in taken(tmp_path), 10, log.read_text()[-2000:])
    assert taken(tmp_path) == dict.fromkeys({*ids, "woken@example.net"}, 1)
