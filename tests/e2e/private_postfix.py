"""A Postfix of our own beside the system's: its config, queue and log in one folder, loopback only.

What brings bounces to the sink are the very files of deploy/postfix/.
"""

import os
import re
import shutil
import signal
import smtplib
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from aiosmtpd.controller import Controller
from recipes import recipe

SENDER_DOMAIN = "example.test"

MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/maillog
maillog_file_prefixes = {folder}
myhostname = mail.example.test
myorigin = example.test
mydestination = example.test
mynetworks = 127.0.0.0/8
relayhost = [127.0.0.1]:{next_hop}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
smtp_tls_security_level = none
# Retries in seconds, so that an outage of the sink is over quickly.
queue_run_delay = 1s
minimal_backoff_time = 1s
maximal_backoff_time = 2s
transport_retry_time = 1s
default_destination_concurrency_failed_cohort_limit = 0
"""

MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
postlog unix-dgram n - n - 1 postlogd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
lmtp unix - - n - - lmtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
"""

DELIVERED = re.compile(r"status=sent \(250 2\.0\.0 Stored as ([0-9a-f]{64})\)")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


class _NextHop:
    async def handle_RCPT(self, _server, _session, _envelope, address, _options):  # noqa: N802 - the name that aiosmtpd calls
        return f"550 5.1.1 <{address}>: user unknown"


class Postfix:
    def __init__(
        self, folder: Path, sink: str, next_hop: int | None, settings: str, main: str
    ) -> None:
        self.folder = folder
        self.port = free_port()
        # It would take no other name than an address for itself, and needs no handler but ours.
        self._next_hop = Controller(_NextHop(), hostname="127.0.0.1", port=free_port())
        (folder / "data").mkdir()
        shutil.chown(folder / "data", "postfix")
        (folder / "queue").mkdir()
        parts = {
            "folder": folder,
            "port": self.port,
            "next_hop": next_hop or self._next_hop.port,
        }
        changes = {"example.com": SENDER_DOMAIN, "inet:127.0.0.1:8024": sink}
        route = recipe(main, changes) if main else ""
        transport = recipe("postfix/master.cf", {}) if main else ""
        (folder / "main.cf").write_text(MAIN.format_map(parts) + route + settings)
        (folder / "master.cf").write_text(MASTER.format_map(parts) + transport)

    def start(self) -> None:
        self._next_hop.start()
        self._run("postfix", "start")

    def stop(self) -> None:
        # master(8) ends its daemons with it; `postfix abort` would look each second whether it has.
        master = self.folder / "queue/pid/master.pid"
        os.kill(int(master.read_text()), signal.SIGTERM)
        wait_until(lambda: not _alive(master), 20, "postfix did not end")
        self._next_hop.stop()

    def _run(self, command: str, *arguments: str) -> str:
        done = subprocess.run(
            [command, "-c", str(self.folder), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=60,
        )
        if done.returncode:
            raise AssertionError(f"{command} {arguments}: {done.stdout}\n{self.log()[-2000:]}")
        return done.stdout

    def mail(self, numbers: range) -> None:
        """Send mail to people whom the next hop does not know; its bounces go to the sink."""
        with smtplib.SMTP("127.0.0.1", self.port, timeout=60) as smtp:
            for number in numbers:
                to = lead(number)
                smtp.sendmail(
                    f"bounces+{number}@{SENDER_DOMAIN}",
                    [to],
                    f"From: sales@{SENDER_DOMAIN}\r\nTo: {to}\r\nSubject: a question\r\n"
                    f"Message-ID: <question-{number}@{SENDER_DOMAIN}>\r\n"
                    "Date: Sun, 1 Nov 2026 10:00:00 +0000\r\n\r\nHow are you?\r\n",
                )

    def retry(self) -> None:
        """Try all that waits."""
        self._run("postqueue", "-f")

    def reload(self) -> None:
        """Have the queue manager start anew: it takes up again what it has lost sight of."""
        self._run("postfix", "reload")

    def log(self) -> str:
        path = self.folder / "maillog"
        return path.read_text(errors="replace") if path.exists() else ""

    def acknowledged(self) -> list[str]:
        """The ids that the sink has answered for, each as often as it did."""
        return DELIVERED.findall(self.log())

    def left(self) -> list[str]:
        """Name the mails in the queue. A file that is not executable yet is not mail: cleanup(8)."""
        folders = ("maildrop", "incoming", "active", "deferred")
        return [
            f"{name}/{found.name}"
            for name in folders
            for found in self.folder.glob(f"queue/{name}/**/*")
            if found.is_file() and found.stat().st_mode & 0o100
        ]


def lead(number: int) -> str:
    return f"lead{number}@example.com"


def _alive(pid_file: Path) -> bool:
    try:
        return Path(f"/proc/{int(pid_file.read_text())}").exists()
    except (OSError, ValueError):
        return False


def wait_until(condition: Callable[[], bool], seconds: float, otherwise: str) -> None:
    """Another process works on it: look until it is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.05)


@contextmanager
def postfix(
    sink: str, next_hop: int | None = None, settings: str = "", main: str = "postfix/main.cf"
) -> Iterator[Postfix]:
    """`sink` is a next hop as transport(5) has it: `inet:HOST:PORT` or `unix:PATH`.

    What is not for the sink goes to the port `next_hop`; without one, nobody is known there.
    `settings` are added to main.cf, after the file of deploy/ that `main` names; without one there
    is no way to the sink.
    """
    # Short, for the paths of its unix sockets; and its daemons, who are not root, must get in.
    folder = Path(tempfile.mkdtemp(prefix="pf-"))
    folder.chmod(0o755)
    made = Postfix(folder, sink, next_hop, settings, main)
    try:
        made.start()
        yield made
    finally:
        try:
            made.stop()
        finally:
            shutil.rmtree(folder, ignore_errors=True)
