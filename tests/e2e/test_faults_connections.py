"""10,000 idle connections, and peers that send slowly or never read: mail comes in all the while."""

import resource
import selectors
import signal
import smtplib
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from mails import hard

from bouncesink.ledger import open_ledger

pytestmark = pytest.mark.e2e

IDLE = 10_000
PLACES = 1000
"""lmtp.max_connections, as it is by default."""

CONFIG = """\
[ledger]
path = "x.db"
[lmtp]
listen = "unix:lmtp.sock"
recipients = ["bounces@example.com"]
{more}
[sheet]
path = "leads.csv"
[log]
level = "warning"
"""


class Service:
    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self.process = process
        self._socket = str(folder / "lmtp.sock")
        self._folder = folder

    def connect(self) -> socket.socket:
        """Connect, and wait until it is taken up, as the kernel queues no more than so many."""
        made = socket.socket(socket.AF_UNIX)
        made.connect(self._socket)
        return made

    def deliver(self, number: int) -> None:
        with smtplib.LMTP(self._socket) as client:
            client.sendmail("", ["bounces@example.com"], hard(number, number))

    def listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(self._socket) == 0

    def resident(self) -> float:
        """In MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) / 1024

    def stored(self) -> int:
        with closing(open_ledger(self._folder / "x.db", read_only=True)) as ledger:
            return sum(ledger.totals().arrivals.values())


def until(condition: Callable[[], bool]) -> None:
    """Another process works on it: look until it is so."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextmanager
def serving(folder: Path, more: str = "") -> Iterator[Service]:
    """With no more handles than Debian gives a service to begin with."""
    (folder / "c.toml").write_text(CONFIG.format(more=more))
    hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    command = [sys.executable, "-m", "bouncesink", "serve", "--config", "c.toml"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stderr=log)
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (1024, hard_limit))
    service = Service(process, folder)
    try:
        until(service.listens)
        yield service
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        said = (folder / "log").read_text()
        assert "Traceback" not in said, said
        assert "out of system resource" not in said, said
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def many_handles() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = IDLE + 500
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(wanted, before[1])))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def greetings(peers: list[socket.socket]) -> Iterator[tuple[socket.socket, str]]:
    """Give the first reply to each, as it comes."""
    with selectors.DefaultSelector() as selector:
        for peer in peers:
            selector.register(peer, selectors.EVENT_READ)
        left = len(peers)
        while left:
            ready = selector.select(30)
            assert ready, f"{left} have no reply"
            for key, _ in ready:
                peer = key.fileobj
                assert isinstance(peer, socket.socket)
                yield peer, peer.recv(100).decode()[:9]
                selector.unregister(peer)
                left -= 1


@pytest.mark.usefixtures("many_handles")
def test_ten_thousand_idle_connections(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        service.deliver(1)
        before = service.resident()
        own = service.connect()  # came first, and works on
        assert own.recv(100).startswith(b"220 ")
        peers = [service.connect() for _ in range(IDLE)]
        told = dict(greetings(peers))
        kinds = Counter(text[:3] for text in told.values())
        after = service.resident()
        print(f"{IDLE} connections: {dict(kinds)}; {before:.1f} MB before, {after:.1f} MB after")
        assert kinds == {"220": PLACES - 1, "421": IDLE - PLACES + 1}
        assert {text for text in told.values() if text[:3] == "421"} == {"421 4.3.2"}
        # A connection may cost a few dozen KB; 10,000 must not cost as much as they send.
        assert after - before < 100
        own.sendall(b"LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<bounces@example.com>\r\nDATA\r\n")
        replies = own.makefile("rb")
        while not replies.readline().startswith(b"354 "):
            pass
        own.sendall(hard(2, 2).replace("\n", "\r\n").encode() + b"\r\n.\r\n")
        assert replies.readline().startswith(b"250 2.0.0 ")
        with pytest.raises(smtplib.SMTPException):
            service.deliver(3)
        next(peer for peer, text in told.items() if text.startswith("220")).close()
        until(lambda: _is_let_in(service))
        for peer in (own, *peers):
            peer.close()
        until(lambda: _is_let_in(service))
        service.deliver(3)
        assert service.stored() == 3


def _is_let_in(service: Service) -> bool:
    with service.connect() as peer:
        return peer.recv(100).startswith(b"220 ")


def test_slow_and_deaf_peers_are_sent_away_while_mail_comes_in(tmp_path: Path) -> None:
    limits = "idle_timeout = 1.0\ndata_timeout = 1.0\nmax_connections = 20\n"
    with serving(tmp_path, limits) as service:
        slow = [service.connect() for _ in range(6)]
        for peer in slow[:3]:
            peer.sendall(b"LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<bounces@example.com>\r\nDATA\r\n")
        deaf = [service.connect() for _ in range(6)]
        for peer in deaf:
            peer.setblocking(False)
        before = service.resident()
        gone: set[socket.socket] = set()
        number = 0

        def trickle() -> bool:
            """One octet from each of the slow, all that goes from each of the deaf; and a mail."""
            nonlocal number
            number += 1
            service.deliver(number)
            for peer in {*slow, *deaf} - gone:
                try:
                    peer.send(b"x" if peer in slow else b"HELP\r\n" * 10_000)
                except BlockingIOError:
                    pass
                except OSError:
                    gone.add(peer)
            return len(gone) == 12

        until(trickle)
        grown = service.resident() - before
        print(f"{number} mails meanwhile; {grown:.1f} MB more")
        assert grown < 50
        for peer in (*slow, *deaf):
            peer.close()
        assert service.stored() == number
