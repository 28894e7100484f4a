"""How quickly and in how much memory `replay` reads a big mbox, and what being killed costs.

    python tests/bench/archive.py --mails 300000 --folder /tmp/archive

Writes an mbox of that many mails, 7 KB each on average, one in ten of them a bounce (each of
another address) and the others people's own; replays it, killed once in the middle and started
again; and has the standard library's `mailbox` only split what `replay` reads.
"""

import argparse
import json
import mailbox
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bouncesink.intake import mbox

SHARE = 0.1
WORDS = [
    "".join(random.Random(n).choices("abcdefghijklmnoprstuvw", k=3 + n % 8)) for n in range(4000)
]
BOUNCE = """\
Return-Path: <>
Delivered-To: bounces@example.com
Received: from mx{n}.example.net (mx{n}.example.net [192.0.2.7]) by mail.example.com with ESMTPS;
 {date}
From: MAILER-DAEMON@mx.example.net
To: bounces@example.com
Subject: Undelivered Mail Returned to Sender
Message-ID: <notice-{n}@mx.example.net>
Date: {date}
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="=_{n}"

--=_{n}
Content-Type: text/plain; charset=us-ascii

This is the mail system at host mx.example.net.

<lead-{n}@example.org>: host mx.example.org[198.51.100.3] said: {code} {text}

--=_{n}
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.net

Final-Recipient: rfc822; lead-{n}@example.org
Action: failed
Status: {code}
Diagnostic-Code: smtp; {reply} {code} {text}

--=_{n}
Content-Type: message/rfc822

From: Sales <sales@example.com>
To: lead-{n}@example.org
Subject: A quick question
Message-ID: <original-{n}@example.com>
Date: {date}

{body}
--=_{n}--
"""
MAIL = """\
X-GM-THRID: {n}
X-Gmail-Labels: Inbox,Opened
Return-Path: <person-{n}@example.org>
Received: from mx.example.org (mx.example.org [198.51.100.9]) by mail.example.com with ESMTPS;
 {date}
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=s1; bh={n}; b={body:.200}
From: A Person <person-{n}@example.org>
To: Sales <sales@example.com>
Subject: {subject}
Message-ID: <mail-{n}@example.org>
Date: {date}
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8

{body}
"""
COUNTS = """
    select (select count(*) from arrivals) arrivals, (select count(*) from events) events,
    (select sum(bounce_count) from contacts) counted
"""
CODES = [(550, "5.1.1", "User unknown"), (552, "5.2.2", "Mailbox full")]


def text(rng: random.Random, octets: int) -> str:
    lines = []
    while octets > 0:
        lines.append(" ".join(rng.choices(WORDS, k=10)))
        octets -= len(lines[-1]) + 1
    return "\n".join(lines)


def write(file: Path, mails: int) -> int:
    """Write the mbox; return how many bounces it holds."""
    rng = random.Random(7)
    bounces = 0
    date = "Mon, 02 Mar 2026 10:00:00 +0000"
    with file.open("w", encoding="ascii") as out:
        for n in range(mails):
            size = int(rng.lognormvariate(8.5, 0.7))
            if rng.random() < SHARE:
                bounces += 1
                reply, code, words = CODES[n % 2]
                body = text(rng, size // 2)
                mail = BOUNCE.format(n=n, date=date, reply=reply, code=code, text=words, body=body)
            else:
                subject = " ".join(rng.choices(WORDS, k=5))
                mail = MAIL.format(n=n, date=date, subject=subject, body=text(rng, size))
            out.write(f"From {n}@xxx Mon Mar  2 10:00:00 +0000 2026\n{mail}\n")
    return bounces


def resident(pid: int) -> dict[str, int]:
    """Give the memory of a process and of its children together, in KiB, by what is resident."""
    found = {"replay": _status(pid, "VmRSS:")}
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
    found["readers"] = sum(_status(int(child), "VmRSS:") for child in children)
    return found


def _status(pid: int, key: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith(key)), 0)


@contextmanager
def sampled(pid: int) -> Iterator[list[tuple[float, dict[str, int]]]]:
    """Take the memory of a process every half second, until it ends."""
    samples: list[tuple[float, dict[str, int]]] = []
    ended = threading.Event()
    start = time.monotonic()

    def sample() -> None:
        while not ended.wait(0.5):
            try:
                samples.append((time.monotonic() - start, resident(pid)))
            except (FileNotFoundError, ProcessLookupError):
                return

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield samples
    finally:
        ended.set()
        thread.join()


def replay(folder: Path, file: Path, kill_at: Callable[[], bool] | None = None) -> float:
    """Replay a file into the ledger in a folder; return the seconds, and say what it took."""
    start = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "bouncesink", "replay", str(file)],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
    )
    with sampled(process.pid) as samples:
        while kill_at and process.poll() is None and not kill_at():
            time.sleep(0.1)
        if kill_at:
            process.send_signal(signal.SIGKILL)
        said, _ = process.communicate()
    spent = time.monotonic() - start
    for third in range(3):
        part = samples[len(samples) * third // 3 : len(samples) * (third + 1) // 3]
        if part:
            own = max(each["replay"] for _, each in part) // 1024
            readers = max(each["readers"] for _, each in part) // 1024
            print(f"    memory, third {third + 1}: replay {own} MiB, its readers {readers} MiB")
    print("    " + "\n    ".join(said.splitlines()[:12]))
    return spent


def taken(folder: Path) -> int:
    """Give how many octets the ledger says are read."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "sqlite_utils",
            "bouncesink.db",
            "select max(offset) n from replays",
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads(done.stdout or "[]")
    return (found[0]["n"] or 0) if found else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mails", type=int, default=300_000)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as made:
        folder = Path(made)
        file = folder / "all.mbox"
        bounces = write(file, options.mails)
        size = file.stat().st_size
        print(f"{options.mails:,} mails, {bounces:,} of them bounces, {size / 1e9:.2f} GB")

        print("killed after two fifths:")
        replay(folder, file, lambda: taken(folder) > size * 0.4)
        print(f"    {taken(folder) / size:.0%} taken in")
        print("started again:")
        replay(folder, file)

        (folder / "bouncesink.db").rename(folder / "first.db")
        print("in one go:")
        spent = replay(folder, file)
        print(f"    {spent:.1f} s, {options.mails / spent:,.0f} mails a second")
        print("once more:")
        print(f"    {replay(folder, file):.1f} s")
        for name in ("first.db", "bouncesink.db"):
            print(f"    {name}: {_counts(folder, name)}")

        start = time.monotonic()
        with file.open("rb") as stream:
            count = sum(1 for _ in mbox.split(stream, 50_000_000))
        ours = time.monotonic() - start
        start = time.monotonic()
        box = mailbox.mbox(file, create=False)
        others = sum(1 for key in box.iterkeys() if box.get_bytes(key) is not None)
        theirs = time.monotonic() - start
        print(
            f"splitting alone: {count:,} mails in {ours:.1f} s; mailbox: {others:,} in {theirs:.1f}"
        )
        print(f"    {theirs / ours:.2f} x")


def _counts(folder: Path, name: str) -> str:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "sqlite_utils", name),
            COUNTS,
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


if __name__ == "__main__":
    main()
