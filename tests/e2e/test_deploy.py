"""The recipes of deploy/: each way from a mail server to bouncesink that they offer."""

import os
import re
import smtplib
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from private_exim import exim
from private_opensmtpd import opensmtpd
from private_postfix import SENDER_DOMAIN, Postfix, free_port, postfix, wait_until
from recipes import recipe
from refusing import refusing
from serving import Serving, serving

from bouncesink.verp import Check, token_of, verify

pytestmark = pytest.mark.e2e

ALIASES = {"somebody": "good@reject.test"}
TOKEN = "t" * 32
BOUNCE = (
    b"From: MAILER-DAEMON@mx.example.net\r\n"
    b"To: bounces@example.test\r\n"
    b"Subject: Undelivered\r\n"
    b"Message-ID: <1@mx.example.net>\r\n"
    b"Date: Sun, 01 Mar 2026 10:00:00 +0000\r\n"
    b"\r\n"
    b"Gr\xc3\xbc\xc3\x9fe.\r\n"
    b".one dot\r\n"
    b".\r\n"
    b"lead@example.org: 550 5.1.1 User unknown\r\n" + 900 * b"x" + b"\r\n"
)
_, _, BODY = BOUNCE.partition(b"\r\n\r\n")


class Sink:
    """A `bouncesink serve` on a port and on a socket inside of `root`; its config can be mended."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.folder = folder
        self.inet = f"127.0.0.1:{free_port()}"
        self.inside = "/run/bouncesink/lmtp.sock"
        self.socket = root / self.inside.lstrip("/")
        self._config = folder / "bouncesink.toml"

    def serving(self, *recipients: str) -> AbstractContextManager[Serving]:
        self._config.write_text(
            f'[ledger]\npath = "ledger.db"\n'
            f'[lmtp]\nlisten = ["{self.inet}", "unix:{self.socket}"]\n'
            f'recipients = {list(recipients)}\nsocket_mode = "0666"\n[log]\nformat = "json"\n'
        )
        return serving(self._config)


@pytest.fixture
def sink(tmp_path: Path, root: Path) -> Sink:
    return Sink(tmp_path, root)


WAYS: dict[str, Callable[[Sink, Path, int], Any]] = {
    "postfix-inet": lambda sink, _, hop: postfix(f"inet:{sink.inet}", hop),
    "postfix-unix": lambda sink, _, hop: postfix(f"unix:{sink.socket}", hop),
    "postfix-domain": lambda sink, _, hop: postfix(
        f"inet:{sink.inet}", hop, main="postfix/main-domain.cf"
    ),
    "postfix-install": lambda sink, _, hop: by_install(sink, sink.folder, hop),
    "exim-tcp": lambda sink, root, hop: exim(root, f"inet:{sink.inet}", hop, ALIASES),
    "exim-socket": lambda sink, root, hop: exim(root, f"unix:{sink.inside}", hop, ALIASES),
    "opensmtpd-tcp": lambda sink, root, hop: opensmtpd(root, sink.inet, hop, ALIASES),
    "opensmtpd-socket": lambda sink, root, hop: opensmtpd(root, sink.inside, hop, ALIASES),
}


@contextmanager
def by_install(sink: Sink, folder: Path, hop: int) -> Iterator[Postfix]:
    """A Postfix with a map of its own, into which deploy/postfix/install put ours."""
    (folder / "main.cf").write_text(recipe("postfix/main.cf", {"127.0.0.1:8024": sink.inet}))
    for name in ("install", "master.cf"):
        (folder / name).write_text(recipe(f"postfix/{name}", {}))
    theirs = "transport_maps = inline:{ there@example.test=smtp:[::1] }\n"
    with postfix("", hop, theirs, main="") as mta:
        for _ in range(2):
            subprocess.run(
                ["sh", folder / "install", SENDER_DOMAIN],
                env={**os.environ, "MAIL_CONFIG": str(mta.folder)},
                check=True,
                timeout=60,
            )
        assert (mta.folder / "main.cf").read_text().count("bounces@example.test=bouncesink:") == 1
        assert (mta.folder / "main.cf").read_text().count("there@example.test=smtp:[::1]") == 1
        assert (mta.folder / "master.cf").read_text().count("soft_bounce=yes") == 1
        yield mta


def address(way: str) -> str:
    """Where bounces come home, with the token that signs it."""
    domain = "bounces.example.test" if way == "postfix-domain" else "example.test"
    return f"bounces+{TOKEN}@{domain}"


def come_from_outside(port: int, to: str) -> None:
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as smtp:
        smtp.ehlo("mx.example.net")
        assert smtp.has_extn("8bitmime")
        smtp.sendmail("<>", [to], BOUNCE, ["BODY=8BITMIME"])


@pytest.mark.parametrize("way", WAYS)
def test_a_bounce_arrives_as_it_was_sent_and_no_mistake_loses_it(
    way: str, sink: Sink, root: Path
) -> None:
    to = address(way)
    with refusing() as hop, WAYS[way](sink, root, hop.port) as mta:
        with sink.serving("somebody-else@example.test"):
            come_from_outside(mta.port, to)
            if way.startswith("postfix"):
                # By the recipe bounces@ exists, and by it nobody else does.
                with pytest.raises(smtplib.SMTPRecipientsRefused, match="User unknown"):
                    come_from_outside(mta.port, to.replace("+", "-of-another"))
            wait_until(lambda: "550 5.1.1" in mta.log(), 20, "it was not refused")
        with sink.serving(to.replace(f"+{TOKEN}", "")) as service:
            mta.retry()
            wait_until(lambda: bool(arrivals(service)), 20, "it is lost")
            wait_until(lambda: not mta.left(), 20, "it stays in the queue")
    ((sender, recipient, raw),) = arrivals(service)
    assert (sender, recipient) == ("", to)
    assert raw.endswith(BODY)


def arrivals(service: Serving) -> list[tuple[object, ...]]:
    return service.ask(
        "SELECT envelope_from, envelope_to, raw FROM arrivals JOIN arrival_bytes USING (number)"
    )


def test_verp_send_signs_for_its_recipient(tmp_path: Path) -> None:
    """What `pipe` runs; sendmail is one that shows what it got."""
    config, sendmail, script = tmp_path / "b.toml", tmp_path / "sendmail", tmp_path / "verp-send"
    (tmp_path / "verp.key").write_text("a key of the tests alone, 32 octets")
    config.write_text(
        '[lmtp]\nrecipients = ["bounces@example.test"]\n[trust]\nverp_key_file = "verp.key"\n'
    )
    sendmail.write_text('#!/bin/sh\necho "$@"\ncat\n')
    sendmail.chmod(0o755)
    changes = {
        "/opt/bouncesink/bin/bouncesink": f"{sys.executable} -m bouncesink",
        "/etc/bouncesink/bouncesink.toml": str(config),
        "/usr/sbin/sendmail": str(sendmail),
    }
    script.write_text(recipe("postfix/verp-send", changes))

    def send() -> subprocess.CompletedProcess[str]:
        command = ["sh", script, "lead@example.org"]
        return subprocess.run(
            command, input="Hello", capture_output=True, text=True, check=False, timeout=60
        )

    shown = re.fullmatch(r"-G -i -f (\S+) -- lead@example\.org\nHello", send().stdout)
    assert shown
    keys, token = [b"a key of the tests alone, 32 octets"], token_of(shown[1]) or ""
    assert verify(token, "lead@example.org", keys, datetime.now(UTC).date(), 1) is Check.VALID
    (tmp_path / "verp.key").unlink()
    assert send().returncode == os.EX_TEMPFAIL
