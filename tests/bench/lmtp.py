"""How many messages a second come in over LMTP, each durable, beside an aiosmtpd that drops all.

    python tests/bench/lmtp.py [--messages 5000] [--rounds 5] [--connections 20] [--pipelining]
    python tests/bench/lmtp.py --memory 50000

Load generator and server are processes of their own. Both servers get the same load, in turns:
each connection sends MAIL, RCPT, DATA and a bounce of 5 KB, again and again, as a mail server
that reuses its connections does. Every message is another one, or storing it would be a no-op.
"""

import argparse
import asyncio
import contextlib
import re
import select
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

RECIPIENT = "bounces@example.org"
COUNTER = b"@@COUNTER@@@"
SIZE = 5000


def bounce() -> bytes:
    """A bounce of SIZE octets with COUNTER where one differs from the next."""
    headers = "\r\n".join(f"X-Filler-{n}: {'lorem ipsum dolor sit amet ' * 2}" for n in range(60))
    text = f"""Return-Path: <>\r
Date: Sun, 1 Nov 2026 10:00:00 +0000 (UTC)\r
From: MAILER-DAEMON@mail.example.org (Mail Delivery System)\r
Subject: Undelivered Mail Returned to Sender\r
To: bounces@example.org\r
Auto-Submitted: auto-replied\r
MIME-Version: 1.0\r
Content-Type: multipart/report; report-type=delivery-status; boundary="=_frontier"\r
Message-Id: <{COUNTER.decode()}@mail.example.org>\r
\r
--=_frontier\r
Content-Type: text/plain; charset=us-ascii\r
\r
This is the mail system at host mail.example.org.\r
\r
<lead{COUNTER.decode()}@example.com>: host mx.example.com[192.0.2.7] said: 550 5.1.1\r
    <lead{COUNTER.decode()}@example.com>: user unknown (in reply to RCPT TO command)\r
\r
--=_frontier\r
Content-Type: message/delivery-status\r
\r
Reporting-MTA: dns; mail.example.org\r
Arrival-Date: Sun, 1 Nov 2026 10:00:00 +0000 (UTC)\r
\r
Final-Recipient: rfc822; lead{COUNTER.decode()}@example.com\r
Original-Recipient: rfc822;lead{COUNTER.decode()}@example.com\r
Action: failed\r
Status: 5.1.1\r
Remote-MTA: dns; mx.example.com\r
Diagnostic-Code: smtp; 550 5.1.1 user unknown\r
\r
--=_frontier\r
Content-Type: text/rfc822-headers\r
\r
From: sales@example.org\r
To: lead{COUNTER.decode()}@example.com\r
Subject: a question\r
Message-Id: <m{COUNTER.decode()}@example.org>\r
"""
    end = "\r\n\r\n--=_frontier--\r\n"
    return (text + headers)[: SIZE - len(end)].encode() + end.encode()


class Peer:
    """One connection of the load: what it says next, and how many lines it waits for."""

    def __init__(self, address: str, *, pipelining: bool) -> None:
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.recv(1000)
        self.socket.sendall(b"LHLO load.example.org\r\n")
        reply = b""
        while b"250 " not in reply:
            reply += self.socket.recv(4000)
        steps = [b"MAIL FROM:<>\r\n", f"RCPT TO:<{RECIPIENT}>\r\n".encode(), b"DATA\r\n"]
        self.steps = [(b"".join(steps), 3)] if pipelining else [(step, 1) for step in steps]
        self.step = 0
        self.lines = 0


def load(address: str, messages: int, connections: int, first: int, *, pipelining: bool) -> float:
    """Send; give the seconds from the first command to the last reply."""
    head, *parts = bounce().split(COUNTER)
    peers = {}
    poll = select.epoll()
    for _ in range(connections):
        peer = Peer(address, pipelining=pipelining)
        peers[peer.socket.fileno()] = peer
        poll.register(peer.socket.fileno(), select.EPOLLIN)
    sent = done = 0
    began = time.perf_counter()

    def speak(peer: Peer) -> None:
        nonlocal sent
        if peer.step < len(peer.steps):
            octets, peer.lines = peer.steps[peer.step]
        else:
            number = b"%012d" % (first + sent)
            octets, peer.lines = head + number + number.join(parts) + b".\r\n", 1
            sent += 1
        peer.socket.sendall(octets)

    for peer in list(peers.values())[:messages]:
        speak(peer)
    started = min(messages, connections)
    while done < messages:
        for number, _ in poll.poll():
            peer = peers[number]
            reply = peer.socket.recv(4000)
            if not reply or reply[:1] not in b"23":
                sys.exit(f"the server said {reply!r}")
            peer.lines -= reply.count(b"\n")
            if peer.lines > 0:
                continue
            peer.step += 1
            if peer.step > len(peer.steps):
                done += 1
                peer.step = 0
                if started >= messages:
                    continue
                started += 1
            speak(peer)
    return time.perf_counter() - began


async def serve_bare() -> None:
    """What there is without us: aiosmtpd's own LMTP, which drops everything."""
    from aiosmtpd.lmtp import LMTP

    class Drop:
        async def handle_DATA(self, *_):  # noqa: N802 - the name that aiosmtpd calls
            return "250 OK"

    handler = Drop()
    await _serve_until_told(
        lambda: LMTP(handler, enable_SMTPUTF8=True, hostname="bare.example.org")
    )


async def _serve_until_told(factory) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(factory, "127.0.0.1", 0)
    print(f"127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()


async def serve_durable(folder: Path) -> None:
    """Our intake alone: LMTP, group commit, the ledger; no engine."""
    from bouncesink import logs
    from bouncesink.config import Config, LmtpConfig, LogConfig
    from bouncesink.intake.committer import Committer
    from bouncesink.intake.lmtp import LmtpServer
    from bouncesink.ledger import open_ledger

    logs.configure(LogConfig(format="json"))
    config = Config(lmtp=LmtpConfig(listen=("127.0.0.1:0",), recipients=(RECIPIENT,)))
    committer = Committer(lambda: open_ledger(folder / "ledger.db"))
    server = LmtpServer(config, committer.submit)
    await server.start()
    print(server.names[0], flush=True)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await server.stop()
    await committer.close()


@contextlib.contextmanager
def running(*arguments: str, log: Path) -> Iterator[tuple[str, int]]:
    """A server in a process of its own; gives its address and process id."""
    with log.open("ab") as errors:
        process = subprocess.Popen(
            [sys.executable, __file__, *arguments], stdout=subprocess.PIPE, stderr=errors, text=True
        )
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            if not address:
                sys.exit(f"the server ended: {log.read_text()[-2000:]}")
            yield address, process.pid
        finally:
            process.terminate()
            process.wait(timeout=60)


@contextlib.contextmanager
def running_all(folder: Path) -> Iterator[tuple[str, int]]:
    """`bouncesink serve`: the same intake while the engine drains beside it."""
    log = folder / "log"
    (folder / "bouncesink.toml").write_text(
        f'[lmtp]\nlisten = "127.0.0.1:0"\nrecipients = ["{RECIPIENT}"]\n'
        f'[ledger]\npath = "{folder}/ledger.db"\n[log]\nformat = "json"\n'
        f'[sheet]\npath = "{folder}/leads.csv"\n'
    )
    with log.open("ab") as errors:
        command = [sys.executable, "-m", "bouncesink", "serve"]
        process = subprocess.Popen(
            [*command, "--config", str(folder / "bouncesink.toml")], stderr=errors, stdout=errors
        )
        try:
            while not (found := re.search(r'"on": "(127[^"]+)"', log.read_text())):
                if process.poll() is not None:
                    sys.exit(f"`bouncesink serve` ended: {log.read_text()[-2000:]}")
                time.sleep(0.1)
            yield found[1], process.pid
        finally:
            process.terminate()
            process.wait(timeout=60)


def send(address: str, arguments: argparse.Namespace, messages: int, first: int) -> float:
    """Run the load in a process of its own; give messages a second."""
    command = [sys.executable, __file__, "--load", address, "--messages", str(messages)]
    command += ["--connections", str(arguments.connections), "--first", str(first)]
    command += ["--pipelining"] if arguments.pipelining else []
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return messages / float(done.stdout)


def resident(pid: int) -> float:
    """Resident memory in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def stored(ledger: Path) -> dict[str, int]:
    with contextlib.closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as connection:
        return dict(connection.execute("SELECT state, count(*) FROM arrivals GROUP BY state"))


def compare(arguments: argparse.Namespace, folder: Path) -> None:
    rates: dict[str, list[float]] = {"bare": [], "durable": []}
    total = arguments.messages * arguments.rounds
    with (
        running("--serve-bare", log=folder / "bare.log") as (bare, _),
        running("--serve-durable", str(folder), log=folder / "durable.log") as (durable, _),
    ):
        addresses = {"bare": bare, "durable": durable}
        for address in addresses.values():
            send(address, arguments, 500, 10**11)
        for round_ in range(arguments.rounds):
            first = round_ * arguments.messages
            for name in sorted(addresses, reverse=bool(round_ % 2)):
                rates[name].append(send(addresses[name], arguments, arguments.messages, first))
            print(f"round {round_ + 1}: " + _line(rates, -1), flush=True)
    kept = sum(stored(folder / "ledger.db").values())
    if kept != total + 500:
        sys.exit(f"{total + 500} messages were accepted, {kept} are in the ledger")
    ratios = [ours / theirs for ours, theirs in zip(rates["durable"], rates["bare"], strict=True)]
    medians = {name: statistics.median(each) for name, each in rates.items()}
    print(f"(a) bare aiosmtpd, dropping everything: {medians['bare']:7.0f} messages/s")
    print(f"(b) bouncesink, every message durable:  {medians['durable']:7.0f} messages/s")
    print(f"    ratio, median of the rounds: {statistics.median(ratios):.2f}", end="")
    print(f" ({', '.join(f'{ratio:.2f}' for ratio in sorted(ratios))})")


def _line(rates: dict[str, list[float]], index: int) -> str:
    return ", ".join(f"{name} {each[index]:.0f}/s" for name, each in rates.items())


def with_engine(arguments: argparse.Namespace, folder: Path) -> None:
    with running_all(folder) as (address, pid):
        send(address, arguments, 500, 10**11)
        before = stored(folder / "ledger.db").get("pending", 0), time.perf_counter()
        rate = send(address, arguments, arguments.messages, 0)
        seconds = time.perf_counter() - before[1]
        states = stored(folder / "ledger.db")
        drained = arguments.messages + before[0] - states.get("pending", 0)
        print(f"(c) bouncesink serve, while draining:   {rate:7.0f} messages/s in,", end="")
        print(f" {drained / seconds:.0f}/s drained meanwhile;", end="", flush=True)
        began, pending = time.perf_counter(), states.get("pending", 0)
        while left := stored(folder / "ledger.db").get("pending", 0):
            time.sleep(0.05)
            if time.perf_counter() - began > 600:
                sys.exit(f"{left} arrivals are still pending after ten minutes")
        after = pending / (time.perf_counter() - began)
        print(f" then {after:.0f}/s alone; {resident(pid):.0f} MB")


def memory(arguments: argparse.Namespace, folder: Path) -> None:
    with running("--serve-durable", str(folder), log=folder / "durable.log") as (address, pid):
        send(address, arguments, 2000, 10**11)
        print(f"after   2000 messages: {resident(pid):6.1f} MB")
        part = arguments.memory // 5
        for number in range(5):
            send(address, arguments, part, number * part)
            print(f"after {2000 + (number + 1) * part:6} messages: {resident(pid):6.1f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument("--pipelining", action="store_true", help="as Postfix does")
    parser.add_argument("--engine", action="store_true", help="only (c), beside the engine")
    parser.add_argument("--memory", type=int, metavar="MESSAGES", help="show that it stays flat")
    parser.add_argument("--first", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--load", help=argparse.SUPPRESS)
    parser.add_argument("--serve-bare", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--serve-durable", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.load is not None:
        pipelining = arguments.pipelining
        count, connections = arguments.messages, arguments.connections
        print(load(arguments.load, count, connections, arguments.first, pipelining=pipelining))
    elif arguments.serve_bare:
        asyncio.run(serve_bare())
    elif arguments.serve_durable:
        asyncio.run(serve_durable(arguments.serve_durable))
    else:
        with tempfile.TemporaryDirectory(prefix="bouncesink-bench-") as name:
            folder = Path(name)
            if arguments.memory:
                memory(arguments, folder)
                return
            if not arguments.engine:
                compare(arguments, folder)
            (folder / "engine").mkdir()
            with_engine(arguments, folder / "engine")


if __name__ == "__main__":
    main()
