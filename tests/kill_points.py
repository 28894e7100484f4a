"""Runs bouncesink's commands in forks of one warm interpreter, and kills them between two steps.

A step is what changes something outside the process: a statement or a commit of a ledger
connection, an fsync, a file put in another's place, a call of a service, replies to a peer. Before
and after each there is a point, and a run is killed (SIGKILL) at the one whose number it is given.
What a kill inside of a step leaves behind is what the kernel has of its writes: see the tests of
the cut WAL.

As a program it is that interpreter. It takes jobs as lines of JSON on standard input:
{"folder", "commands": [[word]], "kill_at": number or 0, "later": seconds} starts a run and answers
with its process; {"poll": process} answers with its exit code, or null. The points that a run comes
by are lines in the file `points` of its folder.
"""

import functools
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

READS = ("SELECT", "PRAGMA", "WITH")
CHANGES = ("INSERT", "UPDATE", "DELETE")


class Points:
    """Counts the points, and ends the process at one of them."""

    def __init__(self, file: Path, kill_at: int) -> None:
        self._file = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        self._kill_at = kill_at
        self._count = 0
        self._lock = threading.Lock()

    def come_by(self, name: str) -> None:
        with self._lock:
            self._count += 1
            os.write(self._file, f"{name}\n".encode())
            if self._count == self._kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    def around(self, owner: Any, name: str) -> None:
        """Put a point before and after each call of a function."""
        real = getattr(owner, name)

        @functools.wraps(real)
        def stepping(*args: Any, **kwargs: Any) -> Any:
            self.come_by(f"before {name}")
            result = real(*args, **kwargs)
            self.come_by(f"after {name}")
            return result

        setattr(owner, name, stepping)

    def connection(self) -> type[sqlite3.Connection]:
        points = self

        class Stepping(sqlite3.Connection):
            def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
                return points._statement(super().execute, sql, *args)

            def executemany(self, sql: str, *args: Any) -> sqlite3.Cursor:
                return points._statement(super().executemany, sql, *args)

        return Stepping

    def _statement(self, run: Callable[..., Any], sql: str, *args: Any) -> Any:
        words = sql.split()
        if words[0] in READS:
            return run(sql, *args)
        # Those of a migration by one name: it is one transaction, of many statements.
        name = " ".join(words[:3]) if words[0] in CHANGES else words[0]
        self.come_by(f"before {name}")
        result = run(sql, *args)
        self.come_by(f"after {name}")
        return result


def warm_up() -> None:
    """Import all that commands import as they go."""
    import gspread  # noqa: F401
    import sqlite_utils  # noqa: F401

    import bouncesink.cli.flush
    import bouncesink.cli.queue_work
    import bouncesink.cli.replay
    import bouncesink.cli.serve
    import bouncesink.outbox.sheets
    import bouncesink.service  # noqa: F401
    from bouncesink.classify import load_rules
    from bouncesink.parse import warm_up

    load_rules(None)
    warm_up()


def be(job: dict[str, Any]) -> int:
    """Run the commands of a job, with all points set; give the first exit code that is not 0."""
    import http.client

    from bouncesink import engine, reader
    from bouncesink.classify import load_rules
    from bouncesink.cli import main
    from bouncesink.intake import lmtp
    from bouncesink.parse import Options

    later = timedelta(seconds=job["later"])

    class Later(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + later

    engine.datetime = lmtp.datetime = Later  # type: ignore[misc]
    points = Points(Path("points"), job["kill_at"])
    sqlite3.connect = functools.partial(sqlite3.connect, factory=points.connection())  # type: ignore[assignment]
    for owner, name in (
        (os, "fsync"),
        (os, "replace"),
        (http.client.HTTPConnection, "request"),
        (http.client.HTTPConnection, "getresponse"),
        (lmtp.LmtpSession, "data_received"),
        (lmtp.LmtpSession, "push"),
    ):
        points.around(owner, name)
    # In this process: a reader's own takes longer to start than all else, and keeps nothing.
    rules = load_rules(None)
    reader.ReaderPool.read_many = lambda _, arrivals: (  # type: ignore[method-assign]
        reader.read(arrival, Options(), rules) for arrival in arrivals
    )
    code = 0
    for command in job["commands"]:
        try:
            main(command)
        except SystemExit as end:
            code = code or int(end.code or 0)
    return code


def start(job: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        os.chdir(job["folder"])
        output = os.open("output", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for number, place in ((os.open(os.devnull, os.O_RDONLY), 0), (output, 1), (output, 2)):
            os.dup2(number, place)
        code = be(job)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def poll(pid: int) -> int | None:
    found, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


class Mint:
    """The warm interpreter, from outside."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, job: dict[str, Any]) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def start(
        self, folder: Path, *commands: Sequence[str], kill_at: int = 0, later: float = 0
    ) -> "Run":
        job = {"folder": str(folder), "commands": commands, "kill_at": kill_at, "later": later}
        return Run(self, self.ask(job), folder)

    def close(self) -> None:
        self._process.communicate(timeout=30)


class Run:
    """One run; `code` is its exit code, or minus the signal that ended it."""

    def __init__(self, mint: Mint, pid: int, folder: Path) -> None:
        self._mint = mint
        self.pid = pid
        self._folder = folder
        self.code: int | None = None

    def ended(self) -> bool:
        if self.code is None:
            self.code = self._mint.ask({"poll": self.pid})
        return self.code is not None

    def send(self, number: signal.Signals) -> None:
        if not self.ended():
            os.kill(self.pid, number)

    def points(self) -> list[str]:
        return (self._folder / "points").read_text().splitlines()

    def output(self) -> str:
        return (self._folder / "output").read_text()


@contextmanager
def mint() -> Iterator[Mint]:
    made = Mint()
    try:
        yield made
    finally:
        made.close()


def main() -> None:
    sys.path.insert(0, str(Path(__file__).parents[1]))
    warm_up()
    running = set()
    for line in sys.stdin:
        job = json.loads(line)
        if "poll" in job:
            answer = poll(job["poll"])
            if answer is not None:
                running.discard(job["poll"])
        else:
            answer = start(job)
            running.add(answer)
        print(json.dumps(answer), flush=True)
    for left in running:  # of a test that failed
        os.kill(left, signal.SIGKILL)


if __name__ == "__main__":
    main()
