"""`replay` of an mbox as a person runs it: on a terminal, and stopped by Ctrl-C or `kill -9`."""

import contextlib
import os
import pty
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from commands import Run
from mails import hard

from bouncesink.ledger import Totals, open_ledger

pytestmark = pytest.mark.e2e

MAILS = 3500
LEDGER = Path("bouncesink.db")


def an_mbox(mails: int) -> str:
    return "".join(
        f"From x@example.org Mon Jan  1 00:00:00 2024\n"
        f"{hard(number, number).replace('Lead@', f'lead-{number}@')}\n"
        for number in range(mails)
    )


def totals() -> Totals:
    with closing(open_ledger(LEDGER, read_only=True)) as ledger:
        return ledger.totals()


def test_a_terminal_sees_how_far_it_is(run: Run) -> None:
    Path("all.mbox").write_text(an_mbox(1600))
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "bouncesink", "replay", "all.mbox"]
    with Path("said").open("wb") as said:
        replay = subprocess.Popen(command, stdout=said, stderr=theirs)
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # EIO: nobody has the terminal open any more
        while part := os.read(ours, 1 << 16):
            shown += part
    os.close(ours)
    assert replay.wait() == 0
    assert b"1,600 mails read" in Path("said").read_bytes()
    assert b"%" not in Path("said").read_bytes()
    assert b"100%" in shown
    assert b"1,600 mails" in shown


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_nothing_is_left_out_and_nothing_counts_twice(run: Run, how: signal.Signals) -> None:
    Path("all.mbox").write_text(an_mbox(MAILS))
    open_ledger(LEDGER).close()
    command = [sys.executable, "-m", "bouncesink", "replay", "all.mbox"]
    # A shell has what it starts in the background ignore SIGINT, and so would all below it.
    heeding = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        stopped = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    finally:
        signal.signal(signal.SIGINT, heeding)
    deadline = time.monotonic() + 60
    while totals().events < 500:
        assert stopped.poll() is None, "it was done before it could be stopped"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    stopped.send_signal(how)
    assert stopped.wait(30) == (130 if how is signal.SIGINT else -signal.SIGKILL)
    before = totals().events
    result = run("replay", "all.mbox")
    assert "goes on after" in result.err
    after = totals()
    assert 500 <= before < MAILS
    assert (sum(after.arrivals.values()), after.events, after.contacts) == (MAILS, MAILS, MAILS)
    with closing(open_ledger(LEDGER, read_only=True)) as ledger:
        counts = [each.bounce_count for page in ledger.all_contacts(1000) for each in page]
    assert counts == [1] * MAILS
    assert "was already taken in: 3,500 mails" in run("replay", "all.mbox").out
