"""Arrival -> Reading, in worker processes that hostile mail can neither stall nor bring down.

Each worker is a fresh interpreter on a pair of pipes: it shares no memory, no threads and no event
loop with us, and ends when we do, as its input then ends. It limits itself, so that nobody has to
watch: processor time of one arrival by SIGPROF (and five times as much by the clock, SIGALRM),
address space by RLIMIT_AS. The kernel enforces the first two even inside a regular expression.
"""

import contextlib
import gc
import json
import os
import pickle
import resource
import selectors
import signal
import struct
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from bouncesink.classify import Rules, classify, load_rules
from bouncesink.config import ParseConfig
from bouncesink.errors import BouncesinkError
from bouncesink.model import Arrival, Category, Notice, Verdict
from bouncesink.parse import Options, parse, unreadable, warm_up

if TYPE_CHECKING:  # each worker would import it, and what it needs, for nothing
    from bouncesink.dkim_check import Signature

_BATCH = 32
"""Arrivals that go to a worker in one piece, at most; and octets of them."""
_BATCH_OCTETS = 1024 * 1024
_QUEUED = 2
"""Batches a worker has at once: one to read, one to go on with."""
_LOOK_AHEAD = 256
"""Arrivals and octets a worker that may be ahead of what the caller has taken."""
_LOOK_AHEAD_OCTETS = 32 * 1024 * 1024
_CLOCK_FACTOR = 5
_NICENESS = 10
"""Taking mail in comes before reading it: beside the workers, LMTP keeps its share of a core."""
_FRAME = struct.Struct("!Q")

TIME_LIMIT = "time limit"
MEMORY_LIMIT = "memory limit"
CRASH = "reader crashed"


@dataclass(frozen=True, slots=True)
class Reading:
    """A Notice with a verdict for each of its reports, and the `verdict` on it as a whole.

    `signature` is ours on the returned headers; the engine looks for it, not the worker.
    """

    notice: Notice
    verdicts: tuple[Verdict, ...]
    verdict: Verdict
    signature: "Signature | None" = None


def read(arrival: Arrival, options: Options, rules: Rules) -> Reading:
    """Read one arrival here, without limits. Raises MemoryError and nothing else."""
    notice = parse(arrival, options)
    verdicts = tuple(classify(report, notice, rules) for report in notice.reports)
    return Reading(notice, verdicts, classify(None, notice, rules))


def _unread(arrival: Arrival, damage: str) -> Reading:
    verdict = Verdict(Category.UNKNOWN, "kind-unreadable")
    return Reading(unreadable(arrival, damage), (), verdict)


class ReaderPool:
    """Reads arrivals in `config.workers` processes, which start when there is work for them.

    One thread at a time may use it. `rules` is the file of the user's own rules; raises what
    `load_rules` raises.
    """

    def __init__(self, config: ParseConfig, rules: Path | None = None) -> None:
        load_rules(rules)  # a broken file is the caller's error, not that of each worker
        self._config = config
        self._rules = rules
        self._workers: list[_Worker] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the workers and wait for them."""
        for worker in self._workers:
            worker.end()
        self._workers.clear()

    def read_many(self, arrivals: Iterable[Arrival]) -> Iterator[Reading]:
        """Give the Readings in the order of the arrivals, reading ahead within bounds.

        Raises BouncesinkError when the workers cannot start.
        """
        if not self._lock.acquire(blocking=False):
            raise BouncesinkError("A ReaderPool reads for one caller at a time: finish the other.")
        try:
            yield from self._read(_Ahead(arrivals, self._config.workers))
        finally:
            for worker in [worker for worker in self._workers if worker.batches]:
                self._drop(worker)
            self._lock.release()

    def _read(self, ahead: "_Ahead") -> Iterator[Reading]:
        done: dict[int, Reading] = {}
        wanted = 0
        while True:
            self._hand_out(ahead)
            while wanted in done:
                reading = done.pop(wanted)
                wanted += 1
                ahead.taken()
                yield reading
                self._hand_out(ahead)
            busy = [worker for worker in self._workers if worker.batches]
            if not busy:
                return
            for worker in _ready(busy):
                done.update(worker.exchange())
                if worker.ended:
                    self._replace(worker, ahead, done)

    def _hand_out(self, ahead: "_Ahead") -> None:
        """Give each worker what it can take; start another while there is more to do."""
        for _ in range(_QUEUED):
            for worker in self._workers:
                if len(worker.batches) < _QUEUED and (batch := ahead.next()):
                    worker.give(batch)
        while len(self._workers) < self._config.workers and (batch := ahead.next()):
            worker = _Worker(self._config, self._rules)
            self._workers.append(worker)
            worker.give(batch)

    def _replace(self, worker: "_Worker", ahead: "_Ahead", done: dict[int, Reading]) -> None:
        """Mark the arrival that a worker died of; the rest of its work goes to others."""
        reason = worker.cause_of_death()
        first, *others = worker.batches
        if worker.started:
            number = first.first + worker.answered
            done[number] = _unread(first.arrivals[worker.answered], reason)
            others.insert(0, first.after(worker.answered + 1))
        else:
            raise BouncesinkError(f"The reader's process could not start: {reason}.")
        ahead.put_back([batch for batch in others if batch.arrivals])
        worker.batches.clear()
        self._drop(worker)

    def _drop(self, worker: "_Worker") -> None:
        self._workers.remove(worker)
        worker.kill()


@dataclass(slots=True)
class _Batch:
    """Consecutive arrivals; `first` is the number of the first of them."""

    first: int
    arrivals: list[Arrival]

    def after(self, count: int) -> "_Batch":
        return _Batch(self.first + count, self.arrivals[count:])


class _Ahead:
    """The caller's arrivals in batches, no further ahead than the bounds allow."""

    def __init__(self, arrivals: Iterable[Arrival], workers: int) -> None:
        self._arrivals = iter(arrivals)
        self._back: deque[_Batch] = deque()
        self._number = 0
        self._sizes: deque[int] = deque()
        self._octets = 0
        self._room = workers * _LOOK_AHEAD
        self._room_octets = workers * _LOOK_AHEAD_OCTETS

    def taken(self) -> None:
        """Note that the caller has taken the next reading."""
        self._octets -= self._sizes.popleft()

    def put_back(self, batches: Iterable[_Batch]) -> None:
        self._back.extend(batches)

    def next(self) -> _Batch | None:
        """Give the next batch; None at the end, or when the caller must take something first."""
        if self._back:
            return self._back.popleft()
        batch = _Batch(self._number, [])
        octets = 0
        while (
            len(batch.arrivals) < _BATCH
            and octets < _BATCH_OCTETS
            and len(self._sizes) < self._room
            and self._octets < self._room_octets
            and (arrival := next(self._arrivals, None)) is not None
        ):
            size = len(arrival.raw)
            batch.arrivals.append(arrival)
            self._sizes.append(size)
            self._octets += size
            octets += size
        self._number += len(batch.arrivals)
        return batch if batch.arrivals else None


def _ready(workers: "list[_Worker]") -> "list[_Worker]":
    """Wait until some of these can be written to or read from."""
    with selectors.DefaultSelector() as selector:
        for worker in workers:
            selector.register(worker.results, selectors.EVENT_READ, worker)
            if worker.unsent:
                selector.register(worker.requests, selectors.EVENT_WRITE, worker)
        return list(dict.fromkeys(key.data for key, _ in selector.select()))


class _Worker:
    """One process. `batches` is what it has to do; of the first, `answered` are back."""

    def __init__(self, config: ParseConfig, rules: Path | None) -> None:
        limits = {
            "path": sys.path,
            "rules": str(rules.absolute()) if rules else None,
            "time_limit": config.time_limit,
            "memory_limit": config.memory_limit,
            "campaign_headers": config.campaign_headers,
        }
        self._process = subprocess.Popen(  # noqa: S603  our own interpreter, our own code
            [sys.executable, "-I", "-c", _BOOT, json.dumps(limits)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # the terminal's Ctrl-C is for us to handle
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self.requests = self._process.stdin.fileno()
        self.results = self._process.stdout.fileno()
        os.set_blocking(self.requests, False)
        os.set_blocking(self.results, False)
        self.batches: deque[_Batch] = deque()
        self.answered = 0
        self.unsent = bytearray()
        self.started = False
        self.ended = False
        self._received = bytearray()
        self._trouble = ""

    def give(self, batch: _Batch) -> None:
        self.batches.append(batch)
        data = pickle.dumps(batch.arrivals, pickle.HIGHEST_PROTOCOL)
        self.unsent += _FRAME.pack(len(data))
        self.unsent += data

    def exchange(self) -> dict[int, Reading]:
        """Send and receive what goes without waiting; give new Readings by their numbers."""
        try:
            if self.unsent:
                with contextlib.suppress(BlockingIOError):
                    sent = os.write(self.requests, memoryview(self.unsent)[: 1 << 20])
                    del self.unsent[:sent]
            with contextlib.suppress(BlockingIOError):
                data = os.read(self.results, 1 << 20)
                self._received += data
                self.ended = not data
        except BrokenPipeError:
            self.ended = True
        return dict(self._readings())

    def _readings(self) -> Iterator[tuple[int, Reading]]:
        at = 0
        while len(self._received) - at >= _FRAME.size:
            (size,) = _FRAME.unpack_from(self._received, at)
            end = at + _FRAME.size + size
            if len(self._received) < end:
                break
            frame = self._received[at + _FRAME.size : end]
            at = end
            if not self.started:
                self.started = frame == _READY
                self._trouble = "" if self.started else frame.decode("utf-8", "replace")
                continue
            # what comes back was made by our own code from our own types
            yield self.batches[0].first + self.answered, pickle.loads(frame)  # noqa: S301
            self.answered += 1
            if self.answered == len(self.batches[0].arrivals):
                self.batches.popleft()
                self.answered = 0
        del self._received[:at]

    def cause_of_death(self) -> str:
        code = self._process.wait()
        if self._trouble:
            return self._trouble
        if code in (-signal.SIGPROF, -signal.SIGALRM):
            return TIME_LIMIT
        return MEMORY_LIMIT if code in (_OUT_OF_MEMORY, -signal.SIGKILL) else CRASH

    def end(self) -> None:
        """Let it finish by itself, as it does when its input ends; else make it."""
        self._close()
        try:
            self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        self._close()
        self._process.kill()
        self._process.wait()

    def _close(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):
                pipe.close()


_READY = b"ready"
_OUT_OF_MEMORY = 77
_BOOT = """\
import json, sys
limits = json.loads(sys.argv[1])
sys.path[:] = limits["path"]
from bouncesink.reader import work
work(limits)
"""


def work(limits: Mapping[str, Any]) -> None:
    """Be a worker: read batches from standard input, write Readings to standard output."""
    with contextlib.suppress(OSError):  # a container may forbid it
        os.nice(_NICENESS)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # we end when our input does
    for number in (signal.SIGPROF, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    requests, results = sys.stdin.buffer, sys.stdout.buffer
    try:
        options = Options(campaign_headers=tuple(limits["campaign_headers"]))
        rules = load_rules(Path(limits["rules"]) if limits["rules"] else None)
        warm_up()
        gc.freeze()
        most = int(limits["memory_limit"])
        resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))
    except Exception as error:
        _send(results, f"{type(error).__name__}: {error}".encode())
        return
    _send(results, _READY)
    try:
        while header := requests.read(_FRAME.size):
            batch = pickle.loads(requests.read(*_FRAME.unpack(header)))  # noqa: S301  from our parent
            for arrival in batch:
                _arm(limits["time_limit"])
                data = pickle.dumps(read(arrival, options, rules), pickle.HIGHEST_PROTOCOL)
                _arm(0.0)
                _send(results, data)
    except MemoryError:
        os._exit(_OUT_OF_MEMORY)
    except (BrokenPipeError, struct.error):
        os._exit(0)


def _arm(seconds: float) -> None:
    """Let the kernel end us after so much processor time, or five times as much by the clock."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, seconds * _CLOCK_FACTOR)


def _send(results: BinaryIO, data: bytes) -> None:
    results.write(_FRAME.pack(len(data)) + data)
    results.flush()
