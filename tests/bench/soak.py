"""Twenty minutes at the highest rate that the whole line sustains: does anything grow?

    python tests/bench/soak.py [--minutes 20] [--connections 20] [--backlog 20000] [--folder DIR]

`bouncesink serve` takes bounces in over LMTP, reads them and flushes a CSV sheet, all at once. The
load holds back while more than `--backlog` arrivals wait to be read, or it would measure the disk's
size. A third of the mails are about new addresses, a third about those of the sheet's leads, of a
few messages to each, so that the sheet itself does not grow, and a third are the samples, of every
kind there is, again and again under new Message-IDs, and now and then about new addresses.

A line is printed each minute, and at the end the slope of each measure after the first quarter.
Exits with 1 when one is not flat, or when a mail was lost.
"""

import argparse
import contextlib
import itertools
import multiprocessing as mp
import re
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Event
from pathlib import Path

ROOT = Path(__file__).parents[2]
RECIPIENT = "bounces@example.org"
LEADS = 5000
MESSAGES = 2
"""To each lead."""

SAMPLE_EVERY = 2.0
WAL_LIMIT = 16.8
"""MB; journal_size_limit of the ledger's connections."""

RENEWED = 20_000
"""Mails after which the samples are about other addresses."""

MARK = "soak-mark"

CONFIG = """\
[ledger]
path = "{folder}/ledger.db"
[lmtp]
listen = "unix:{folder}/lmtp.sock"
recipients = ["{recipient}"]
[sheet]
path = "{folder}/leads.csv"
flush_every = 5.0
[log]
format = "json"
level = "warning"
"""

BOUNCE = f"""\
From: MAILER-DAEMON@mx.example.net (Mail Delivery System)
To: {RECIPIENT}
Date: Sun, 1 Nov 2026 10:00:00 +0000
Subject: Undelivered Mail Returned to Sender
Message-ID: <{MARK}@mx.example.net>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b
Content-Type: text/plain

It could not be delivered.

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.net

Final-Recipient: rfc822; ADDRESS
Action: failed
Status: CODE
Diagnostic-Code: smtp; 550 CODE <ADDRESS>: WORDS

--b
Content-Type: message/rfc822

From: sales@example.org
To: ADDRESS
Subject: a question
Message-ID: <original-TURN@example.org>

{"How are you? " * 60}
--b--
"""

ANSWERS = (("5.1.1", "User unknown"), ("4.2.2", "Mailbox full"), ("5.7.1", "Blocked as spam"))


def mails() -> Iterator[bytes]:
    """Give mail after mail, each another one, dot-stuffed and with CRLF."""
    samples = [_marked(path.read_bytes()) for path in sorted((ROOT / "samples").glob("*.eml"))]
    for number, sample in zip(itertools.count(), itertools.cycle(samples), strict=False):
        code, words = ANSWERS[number // 3 % len(ANSWERS)]
        address = f"new{number}@example.com" if number % 3 else f"lead{number % LEADS}@example.com"
        turn = str(number // (3 * LEADS) % MESSAGES)
        text = BOUNCE.replace("ADDRESS", address).replace("CODE", code).replace("WORDS", words)
        text = text.replace("TURN", turn)
        # The samples' addresses change now and then, too: what is measured is not how a flood about
        # one address grows, which is as large as that address's events.
        again = re.sub(rb"\.test\b", b".n%d.test" % (number // RENEWED), sample)
        raw = again if number % 3 == 2 else text.encode()
        raw = raw.replace(MARK.encode(), f"soak-{number}".encode())
        yield re.sub(rb"\r?\n", b"\r\n", raw).replace(b"\r\n.", b"\r\n..") + b"\r\n.\r\n"


def _marked(raw: bytes) -> bytes:
    """Put the mark into a sample's Message-ID, or give it one."""
    head, end, body = raw.partition(b"\n\n" if b"\r\n\r\n" not in raw else b"\r\n\r\n")
    field = f"Message-ID: <{MARK}@x>".encode()
    marked, times = re.subn(rb"(?im)^message-id:.*$", field, head, count=1)
    return (marked if times else field + b"\n" + head) + end + body


def load(
    path: str,
    connections: int,
    may: Event,
    over: Event,
    sent: "Synchronized[int]",
    refused: "Synchronized[int]",
) -> None:
    """Send while `may` is set, until `over` is; each thread has a connection."""
    source = mails()
    turn = threading.Lock()

    def one() -> None:
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(path)
            replies = peer.makefile("rb")
            replies.readline()
            peer.sendall(b"LHLO load.example.org\r\n")
            while not replies.readline().startswith(b"250 "):
                pass
            while not over.is_set():
                if not may.wait(1.0):
                    continue
                with turn:
                    mail = next(source)
                peer.sendall(f"MAIL FROM:<>\r\nRCPT TO:<{RECIPIENT}>\r\nDATA\r\n".encode())
                _ = [replies.readline() for _ in range(3)]
                peer.sendall(mail)
                counter = sent if replies.readline().startswith(b"250") else refused
                with counter.get_lock():
                    counter.value += 1

    threads = [threading.Thread(target=one) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@dataclass
class Sample:
    """What was measured at one moment; sizes in MB."""

    at: float
    accepted: int
    pending: int
    events: int
    serve_mb: float
    reader_mb: float
    handles: int
    threads: int
    wal_mb: float
    ledger_mb: float


class Probe:
    """Looks at the service from outside."""

    def __init__(self, pid: int, folder: Path) -> None:
        self._pid = pid
        self._ledger = folder / "ledger.db"
        self._began = time.monotonic()

    def counters(self) -> dict[str, int]:
        uri = f"file:{self._ledger}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=30)) as connection:
            return dict(connection.execute("SELECT name, value FROM counters"))

    def sample(self, accepted: int) -> Sample:
        counters = self.counters()
        readers = _children(self._pid)
        return Sample(
            at=time.monotonic() - self._began,
            accepted=accepted,
            pending=counters.get("arrivals.pending", 0),
            events=counters.get("events", 0),
            serve_mb=_resident(self._pid),
            reader_mb=sum(map(_resident, readers)),
            handles=sum(_handles(pid) for pid in (self._pid, *readers)),
            threads=len(list(Path(f"/proc/{self._pid}/task").iterdir())),
            wal_mb=_size(Path(f"{self._ledger}-wal")),
            ledger_mb=_size(self._ledger),
        )


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def _resident(pid: int) -> float:
    with contextlib.suppress(OSError):  # a reader may have ended meanwhile
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    return 0.0


def _handles(pid: int) -> int:
    with contextlib.suppress(OSError):
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return 0


def _size(path: Path) -> float:
    return path.stat().st_size / 1e6 if path.exists() else 0.0


def print_minute(number: int, of_it: list[Sample]) -> None:
    first, last = of_it[0], of_it[-1]
    seconds = last.at - first.at
    done = [sample.accepted - sample.pending for sample in (first, last)]
    print(
        f"{number:6} {(last.accepted - first.accepted) / seconds:8.0f} "
        f"{(done[1] - done[0]) / seconds:8.0f} {last.pending:8} {last.events:9} "
        f"{max(s.serve_mb for s in of_it):9.1f} {max(s.reader_mb for s in of_it):10.1f} "
        f"{max(s.handles for s in of_it):8} {max(s.threads for s in of_it):8} "
        f"{max(s.wal_mb for s in of_it):7.1f} {last.ledger_mb:9.0f}",
        flush=True,
    )


def verdict(samples: list[Sample]) -> bool:
    """Print the slopes after the first quarter, and tell whether nothing that should not grows."""
    kept = [sample for sample in samples if sample.at > samples[-1].at / 4]
    minutes = [sample.at / 60 for sample in kept]
    flat = True
    print(f"\n{'measure':10} {'mean':>9} {'least':>9} {'most':>9} {'a minute':>9} {'an hour':>9}")
    for name in ("serve_mb", "reader_mb", "handles", "threads", "wal_mb"):
        values = [getattr(sample, name) for sample in kept]
        slope = statistics.linear_regression(minutes, values).slope
        mean = statistics.mean(values)
        # A tenth in all that time cannot be told from noise. The WAL's file is a high-water mark:
        # it is never cut to less than WAL_LIMIT, so only what is beyond that is growth.
        grows = slope * (minutes[-1] - minutes[0]) > 0.1 * mean + 1
        if name == "wal_mb":
            grows = grows and max(values) > WAL_LIMIT
        flat = flat and not grows
        print(
            f"{name:10} {mean:9.1f} {min(values):9.1f} {max(values):9.1f} {slope:+9.3f} "
            f"{slope * 60:+9.2f}  {'GROWS' if grows else 'flat'}"
        )
    return flat


def soak(arguments: argparse.Namespace, folder: Path) -> bool:
    (folder / "c.toml").write_text(CONFIG.format(folder=folder, recipient=RECIPIENT))
    rows = "".join(f"{n},lead{n}@example.com\n" for n in range(LEADS))
    (folder / "leads.csv").write_text("LEAD ID,EMAIL\n" + rows)
    context = mp.get_context("spawn")
    may, over = context.Event(), context.Event()
    sent, refused = context.Value("q", 0), context.Value("q", 0)
    command = [sys.executable, "-m", "bouncesink", "serve", "--config", str(folder / "c.toml")]
    with (folder / "serve.log").open("wb") as log:
        service = subprocess.Popen(command, cwd=ROOT, stderr=log)
    path = folder / "lmtp.sock"
    generator = context.Process(
        target=load, args=(str(path), arguments.connections, may, over, sent, refused)
    )
    try:
        while not path.exists():
            if service.poll() is not None:
                sys.exit(f"serve ended: {(folder / 'serve.log').read_text()[-2000:]}")
            time.sleep(0.05)
        generator.start()
        probe = Probe(service.pid, folder)
        samples = measure(arguments, probe, may, sent)
        over.set()
        generator.join(60)
        waiting = time.monotonic()
        while pending := probe.counters().get("arrivals.pending", 0):
            if time.monotonic() - waiting > 600:
                sys.exit(f"{pending} arrivals are still pending after ten minutes")
            time.sleep(0.1)
        stored = sum(v for name, v in probe.counters().items() if name.startswith("arrivals."))
        service.send_signal(signal.SIGTERM)
        code = service.wait(60)
    finally:
        over.set()
        service.kill()
        service.wait()
        if generator.is_alive():
            generator.terminate()
    flat = verdict(samples)
    print(
        f"\nacknowledged {sent.value}, stored {stored}, refused {refused.value}, exit code {code}"
    )
    print("flat" if flat else "NOT FLAT")
    return flat and stored == sent.value and code == 0


def measure(
    arguments: argparse.Namespace, probe: Probe, may: Event, sent: "Synchronized[int]"
) -> list[Sample]:
    names = "minute     in/s   read/s  pending    events  serve MB  reader MB  handles  threads"
    print(f"{names}  WAL MB ledger MB", flush=True)
    may.set()
    samples = [probe.sample(sent.value)]
    number = of_it = 1
    while samples[-1].at < arguments.minutes * 60:
        time.sleep(SAMPLE_EVERY)
        samples.append(probe.sample(sent.value))
        if samples[-1].pending > arguments.backlog:
            may.clear()
        else:
            may.set()
        if samples[-1].at >= number * 60:
            print_minute(number, samples[of_it - 1 :])
            number, of_it = number + 1, len(samples)
    return samples


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument("--backlog", type=int, default=20_000)
    parser.add_argument("--folder", type=Path, help="where there is room; default: a temporary one")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-", dir=arguments.folder) as name:
        if not soak(arguments, Path(name)):
            sys.exit(1)


if __name__ == "__main__":
    main()
