"""The reader's pool: order, limits, and no worker left behind."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from parse_support import arrival, dsn, failed, real

from bouncesink.config import ParseConfig
from bouncesink.errors import BouncesinkError, ConfigError, InputError
from bouncesink.model import Arrival, Category, Kind
from bouncesink.reader import ReaderPool

# Hostile in a way that no rule of parsing can foresee: a stand-in for the defect not yet found.
SLOW = textwrap.dedent(
    """
    from bouncesink.parse import dsn
    read = dsn.recognize
    def recognize(message, enrich=None):
        if "spin" in message.subject:
            while True: pass
        if "grow" in message.subject:
            bytearray(4 << 30)
        if "abort" in message.subject:
            import os; os.abort()
        return read(message, enrich)
    dsn.recognize = recognize
    """
)


@pytest.fixture(scope="module")
def pool():
    with ReaderPool(ParseConfig(workers=2)) as made:
        yield made


@pytest.fixture
def poisoned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A pool whose workers hang, grow or abort at a mail that says so."""
    (tmp_path / "poison.py").write_text(SLOW)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(
        "bouncesink.reader._BOOT",
        "import json, sys\nlimits = json.loads(sys.argv[1])\nsys.path[:] = limits['path']\n"
        "import poison\nfrom bouncesink import reader\n"
        "reader._CLOCK_FACTOR = 100\n"  # processor time is what it is also on a busy machine
        "reader.work(limits)\n",
    )
    with ReaderPool(ParseConfig(workers=2, time_limit=0.3, memory_limit=1_000_000_000)) as made:
        yield made


def mail(number: int, subject: str = "Undelivered") -> Arrival:
    text = dsn(failed(f"lead{number}@example.com")).replace(
        "Subject: Undelivered Mail Returned to Sender", f"Subject: {subject}"
    )
    return arrival(text)


def recipients(readings) -> list[str | None]:
    return [r.notice.reports[0].recipient if r.notice.reports else None for r in readings]


def test_readings_come_in_the_order_of_the_arrivals(pool: ReaderPool) -> None:
    readings = list(pool.read_many(mail(n) for n in range(500)))
    assert recipients(readings) == [f"lead{n}@example.com" for n in range(500)]
    assert all(len(r.verdicts) == len(r.notice.reports) for r in readings)
    assert readings[0].verdicts[0].category is Category.USER_UNKNOWN


def test_a_pool_is_used_again_and_again(pool: ReaderPool) -> None:
    assert list(pool.read_many([])) == []
    for _ in range(3):
        assert recipients(pool.read_many([mail(1)])) == ["lead1@example.com"]


def test_it_works_from_a_thread(pool: ReaderPool) -> None:
    found: list[str | None] = []
    thread = threading.Thread(target=lambda: found.extend(recipients(pool.read_many([mail(7)]))))
    thread.start()
    thread.join(60)
    assert found == ["lead7@example.com"]


def test_a_caller_that_stops_early_leaves_a_pool_that_works(pool: ReaderPool) -> None:
    readings = pool.read_many(mail(n) for n in range(200))
    next(readings)
    with pytest.raises(BouncesinkError, match="one caller at a time"):
        next(pool.read_many([mail(1)]))
    readings.close()
    assert recipients(pool.read_many([mail(5)])) == ["lead5@example.com"]


def test_it_reads_ahead_within_bounds(pool: ReaderPool) -> None:
    taken = 0

    def arrivals():
        nonlocal taken
        for number in range(5000):
            taken += 1
            yield mail(number)

    readings = pool.read_many(arrivals())
    next(readings)
    assert taken <= 2 * 256 + 32
    readings.close()


@pytest.mark.parametrize(
    ("subject", "damage"),
    [("spin", "time limit"), ("grow", "memory limit"), ("abort", "reader crashed")],
)
def test_what_a_worker_dies_of_costs_that_arrival_alone(
    poisoned: ReaderPool, subject: str, damage: str
) -> None:
    bad = {3, 40, 41, 99}
    readings = list(
        poisoned.read_many(mail(n, subject if n in bad else "Undelivered") for n in range(100))
    )
    for number, reading in enumerate(readings):
        if number in bad:
            assert reading.notice.kind is Kind.UNREADABLE
            assert reading.notice.damage == (damage,)
            assert reading.verdict.category is Category.UNKNOWN
        else:
            assert reading.notice.reports[0].recipient == f"lead{number}@example.com"


def test_large_mail_passes_through_the_pipes(pool: ReaderPool) -> None:
    big = real("postfix-hard-511") + b"x" * 20_000_000
    readings = list(pool.read_many([arrival(big)] * 5))
    assert recipients(readings) == ["r550-5.1.1-alice@reject.test"] * 5


def test_a_broken_rules_file_is_the_callers_error(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_text("[[rule]\n")
    with pytest.raises((ConfigError, InputError)):
        ReaderPool(ParseConfig(), path)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="asks /proc for children")
def test_close_leaves_no_process() -> None:
    others = set(_children(os.getpid()))
    pool = ReaderPool(ParseConfig(workers=2))
    list(pool.read_many(mail(n) for n in range(200)))
    workers = set(_children(os.getpid())) - others
    assert workers
    pool.close()
    assert not [pid for pid in workers if _alive(pid)]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="asks /proc for children")
def test_workers_die_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    mail_file = tmp_path / "mail"
    mail_file.write_bytes(real("postfix-hard-511"))
    code = f"""
import sys, time
from datetime import UTC, datetime
from pathlib import Path
from bouncesink.config import ParseConfig
from bouncesink.model import Arrival
from bouncesink.reader import ReaderPool
raw = Path({str(mail_file)!r}).read_bytes()
pool = ReaderPool(ParseConfig(workers=1))
list(pool.read_many([Arrival("a", "file", "", "", datetime.now(UTC), raw)]))
print("read", flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"read\n"
        (worker,) = _children(parent.pid)
        os.kill(worker, signal.SIGINT)  # Ctrl-C is for the parent to handle
        os.kill(worker, signal.SIGTERM)
        assert _alive(worker)
        watch = os.pidfd_open(worker)
        parent.kill()
    import select

    ready, _, _ = select.select([watch], [], [], 60)
    os.close(watch)
    assert ready, "the worker outlived its parent"
