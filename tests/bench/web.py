"""How quick are the gate and the page with a million events, and what do they cost LMTP?

    python tests/bench/web.py [--ledger FILE] [--only gate,postfix,pages,lmtp] [--rounds 5]

Needs wrk. Without `--ledger` one is built first: see `filled.py` beside this, which builds one to
keep. A real `bouncesink serve` answers, with users, tokens and its log in a file; the load comes
from processes of its own. Each figure is of several rounds: the least, the median, the most.
"""

import argparse
import contextlib
import http.client
import json
import random
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

import lmtp
from filled import build
from ledger import address

from bouncesink.web.access.users import Entry, Role, User, hashed
from bouncesink.web.tokens import new

BATCH = 1000
PASSWORD = "a long password"
LUA = """
local paths, bodies, number, pause = {}, {}, 0, 0
function init(args)
  for line in io.lines(args[1]) do paths[#paths + 1] = line end
  if args[2] ~= "-" then
    wrk.method = "POST"
    for line in io.lines(args[2]) do bodies[#bodies + 1] = line end
    wrk.headers["Content-Type"] = "application/json"
  end
  pause = tonumber(args[3])
  if args[4] ~= "" then wrk.headers[args[4]] = args[5] end
  math.randomseed(tonumber(args[6]))
  number = math.random(#paths)
end
function request()
  number = number % #paths + 1
  return wrk.format(nil, paths[number], nil, bodies[number])
end
function delay() return math.random(0, 2 * pause) end
function done(summary, latency, requests)
  local e = summary.errors
  print(string.format('RESULT {"p50":%f,"p95":%f,"p99":%f,"most":%f,"rate":%f,"errors":%d}',
    latency:percentile(50) / 1000, latency:percentile(95) / 1000, latency:percentile(99) / 1000,
    latency.max / 1000, summary.requests / summary.duration * 1e6,
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""

CONFIG = """\
[ledger]
path = "{ledger}"
[lmtp]
listen = "127.0.0.1:0"
recipients = ["{recipient}"]
[sheet]
path = "{folder}/leads.csv"
flush_every = 0
[web]
listen = "127.0.0.1:0"
tokens = "{folder}/tokens"
users = "{folder}/users"
[gate]
postfix = "127.0.0.1:0"
[retention]
in_service = false
[log]
format = "json"
"""


@dataclass(frozen=True)
class Load:
    """What wrk saw, times in milliseconds; `rate` is requests a second."""

    p50: float
    p95: float
    p99: float
    most: float
    rate: float
    errors: int


class Served:
    """A running service, and how to ask it."""

    def __init__(self, folder: Path, addresses: dict[str, str], token: str) -> None:
        self.folder = folder
        self.web, self.lmtp = addresses["web"], addresses["lmtp"]
        self.postfix = addresses["policy"]
        self.bearer = ("Authorization", f"Bearer {token}")
        self.cookie = ("Cookie", self._log_in())

    def _log_in(self) -> str:
        form = urlencode({"name": "bench", "password": PASSWORD})
        status, headers, _ = self.ask(
            "/login", form, {"Content-Type": "application/x-www-form-urlencoded"}
        )
        assert status == 303, status
        return headers["set-cookie"].partition(";")[0]

    def ask(
        self, path: str, body: str | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], float]:
        """Ask once; give the status, the headers and the milliseconds it took."""
        began = time.perf_counter()
        with contextlib.closing(http.client.HTTPConnection(self.web, timeout=120)) as connection:
            connection.request("POST" if body else "GET", path, body, headers or {})
            answer = connection.getresponse()
            answer.read()
        took = (time.perf_counter() - began) * 1000
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, took

    def wrk(
        self,
        paths: list[str],
        seconds: float,
        connections: int,
        header: tuple[str, str],
        *,
        bodies: list[str] | None = None,
        rate: float = 0,
    ) -> Load:
        """Send a load; with `rate`, about so many requests a second, else one after the other."""
        (self.folder / "paths").write_text("".join(f"{path}\n" for path in paths))
        if bodies:
            (self.folder / "bodies").write_text("".join(f"{body}\n" for body in bodies))
        (self.folder / "load.lua").write_text(LUA)
        pause = 1000 * connections / rate if rate else 0
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "30s"]
        command += ["-s", str(self.folder / "load.lua"), f"http://{self.web}", "--"]
        command += [str(self.folder / "paths"), str(self.folder / "bodies") if bodies else "-"]
        command += [f"{pause:.0f}", *header, str(random.randrange(10**6))]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        found = re.search(r"^RESULT (.*)$", done.stdout, re.MULTILINE)
        assert found, done.stdout
        load = Load(**json.loads(found[1]))
        if load.errors:
            sys.exit(f"{paths[0]}: {load.errors} errors\n{done.stdout}")
        return load


@contextlib.contextmanager
def served(ledger: Path) -> Iterator[Served]:
    with tempfile.TemporaryDirectory(prefix="bouncesink-bench-") as name:
        folder = Path(name)
        token, line = new("bench")
        (folder / "tokens").write_text(f"{line}\n")
        user = Entry(User("bench", Role.ACT), hashed(PASSWORD))
        (folder / "users").write_text(f"{user.line()}\n")
        config = CONFIG.format(ledger=ledger, folder=folder, recipient=lmtp.RECIPIENT)
        (folder / "bouncesink.toml").write_text(config)
        command = [sys.executable, "-m", "bouncesink", "serve", "--config"]
        with (folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [*command, str(folder / "bouncesink.toml")], stdout=log, stderr=log
            )
        try:
            yield Served(folder, _listening(folder / "log", process), token)
        finally:
            process.terminate()
            process.wait(timeout=60)


def _listening(log: Path, process: "subprocess.Popen[bytes]") -> dict[str, str]:
    pattern = re.compile(r'"on": "(127[^"]+)", "event": "(web|lmtp|policy)\.listening"')
    while len(found := {part: on for on, part in pattern.findall(log.read_text())}) < 3:
        if process.poll() is not None:
            sys.exit(f"`bouncesink serve` ended: {log.read_text()[-2000:]}")
        time.sleep(0.1)
    return found


def spread(figures: list[float], digits: int = 1) -> str:
    low, middle, high = min(figures), statistics.median(figures), max(figures)
    return f"{middle:9.{digits}f}  ({low:.{digits}f} to {high:.{digits}f})"


def table(name: str, loads: list[Load]) -> None:
    parts = [f"{p} {spread([getattr(load, p) for load in loads])}" for p in ("p50", "p95", "p99")]
    rate = statistics.median(load.rate for load in loads)
    print(f"{name:42}{''.join(f'{part:34}' for part in parts)}{rate:7.0f}/s", flush=True)


def some_addresses(count: int) -> list[str]:
    """Give addresses of the ledger, and one in four that it does not know."""
    numbers = [random.randrange(10**6) for _ in range(count)]
    return [address(n) if n % 4 else f"new{n}@d{n % 900}.example" for n in numbers]


def gate(site: Served, rounds: int) -> None:
    """One at a time at stated rates and as fast as it goes, and batches."""
    paths = [f"/v1/addresses/{quote(each, safe='')}" for each in some_addresses(20_000)]
    bodies = [json.dumps({"addresses": some_addresses(BATCH)}) for _ in range(50)]
    site.wrk(paths, 2, 10, site.bearer)
    for rate in (200, 500):
        loads = [site.wrk(paths, 5, 20, site.bearer, rate=rate) for _ in range(rounds)]
        table(f"gate, one; 20 connections, {rate}/s", loads)
    for connections in (1, 10):
        loads = [site.wrk(paths, 5, connections, site.bearer) for _ in range(rounds)]
        table(f"gate, one; {connections} connections, full speed", loads)
    for connections, rate in ((1, 0), (4, 10)):
        loads = [
            site.wrk(
                ["/v1/addresses"] * len(bodies),
                5,
                connections,
                site.bearer,
                bodies=bodies,
                rate=rate,
            )
            for _ in range(rounds)
        ]
        pace = f"{rate}/s" if rate else "full speed"
        table(f"gate, {BATCH:,}; {connections} connections, {pace}", loads)


def postfix(site: Served, rounds: int) -> None:
    """Ask as smtpd does: over one connection, one recipient after the other."""
    wanted = some_addresses(3000)
    host, _, port = site.postfix.rpartition(":")
    figures: dict[str, list[float]] = {"p50": [], "p99": []}
    for _ in range(rounds):
        taken = []
        with socket.create_connection((host, int(port))) as connection:
            for each in wanted:
                began = time.perf_counter()
                connection.sendall(
                    f"request=smtpd_access_policy\nprotocol_state=RCPT\nrecipient={each}\n\n".encode()
                )
                while not connection.recv(1000).endswith(b"\n\n"):
                    pass
                taken.append((time.perf_counter() - began) * 1000)
        cuts = statistics.quantiles(taken, n=100)
        figures["p50"].append(cuts[49])
        figures["p99"].append(cuts[98])
    parts = [f"{name} {spread(found, 2):28}" for name, found in figures.items()]
    print(f"{'gate, by Postfix; 1 connection':42}{''.join(parts)}", flush=True)


def pages(site: Served, rounds: int) -> None:
    blocked = [address(number) for number in range(0, 900_000, 9001)]
    wanted: dict[str, list[str]] = {
        "/": ["/"],
        "/review": ["/review"],
        "/review, the last page": ["/review?priority=2&after=19900"],
        "/bounces": ["/bounces"],
        "/bounces, in the middle": ["/bounces?before=500000"],
        **{
            f"/bounces?{name}": [f"/bounces?{name}={value}" for value in values]
            for name, values in {
                "severity": ["HARD", "SOFT", "BLOCK", "UNKNOWN"],
                "category": ["user_unknown", "unsubscribe"],
                "campaign": ["campaign-3", "campaign-77"],
                "domain": ["d5.example", "d777.example"],
                "rule": ["code.5.1.1", "arf"],
            }.items()
        },
        "/bounces, 2 filters": ["/bounces?severity=HARD&campaign=campaign-9"],
        "/bounces, 4 filters": [
            "/bounces?severity=HARD&category=user_unknown&rule=code.5.1.1&domain=d9.example"
        ],
        "/bounces, filters without a hit": ["/bounces?severity=HARD&category=mailbox_full"],
        "/addresses/EMAIL": [f"/addresses/{quote(each, safe='')}" for each in blocked],
        "/addresses?q=": ["/addresses?q=person1", "/addresses?q=person77"],
        "/suppressed": ["/suppressed"],
        "/suppressed?q=": ["/suppressed?q=person1", "/suppressed?q=person99"],
        "/suppressed?reason=": ["/suppressed?reason=manual", "/suppressed?reason=forgotten"],
        "/queues": ["/queues"],
        "/queues/KIND": ["/queues/hubspot_proposal", "/queues/smartlead_removal"],
        "/queues/KIND, done": ["/queues/postcard?state=done"],
        "/settings": ["/settings"],
    }
    for name, paths in wanted.items():
        status, _, _ = site.ask(paths[0], headers=dict([site.cookie]))
        if status != 200:
            sys.exit(f"{name}: {status}")
        table(name, [site.wrk(paths, 2, 2, site.cookie) for _ in range(rounds)])
    cached: Callable[[int], Load] = lambda days: site.wrk(  # noqa: E731 - read once
        [f"/trends?days={days}"], 2, 2, site.cookie
    )
    for days in (30, 90, 365):
        _, _, cold = site.ask(f"/trends?days={days}", headers=dict([site.cookie]))
        print(f"{f'/trends?days={days}, cold':42}    {cold:9.1f}")
        table(f"/trends?days={days}, cached", [cached(days) for _ in range(rounds)])


def acceptance(site: Served, rounds: int, messages: int) -> None:
    """Send bounces by LMTP in turns with and without a load on the gate, in alternating order."""
    paths = [f"/v1/addresses/{quote(each, safe='')}" for each in some_addresses(20_000)]
    options = argparse.Namespace(connections=20, pipelining=True)
    first = int(time.time()) % 10**7 * 10**5
    lmtp.send(site.lmtp, options, 1000, first)
    first += 1000
    for rate in (200, 500):
        figures: dict[str, list[float]] = {"without": [], "with": []}
        loads: list[Load] = []
        for round_ in range(rounds):
            for name in sorted(figures, reverse=bool(round_ % 2)):
                with _beside(site, paths, rate if name == "with" else 0, loads):
                    figures[name].append(lmtp.send(site.lmtp, options, messages, first))
                first += messages
        ratios = [b / a for a, b in zip(figures["without"], figures["with"], strict=True)]
        print(f"LMTP without the gate, messages/s     {spread(figures['without'], 0)}")
        print(f"LMTP with {rate} questions a second       {spread(figures['with'], 0)}")
        print(f"  one by the other                     {spread(ratios, 2)}", flush=True)
        table("  the gate meanwhile", loads)


@contextlib.contextmanager
def _beside(site: Served, paths: list[str], rate: float, loads: list[Load]) -> Iterator[None]:
    """Ask the gate at a rate until the block ends, and no less than two seconds."""
    if not rate:
        yield
        return
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            loads.append(site.wrk(paths, 2, 20, site.bearer, rate=rate))

    thread = threading.Thread(target=ask)
    thread.start()
    time.sleep(0.3)
    try:
        yield
    finally:
        over.set()
        thread.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--ledger", type=Path, help="one that `filled.py` built")
    parser.add_argument("--only", default="gate,postfix,pages,lmtp")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--messages", type=int, default=4000, help="of a round of LMTP")
    options = parser.parse_args()
    random.seed(1)
    with tempfile.TemporaryDirectory(prefix="bouncesink-bench-") as name:
        ledger = options.ledger or Path(name, "ledger.db")
        if options.ledger is None:
            build(ledger, 1_000_000, 100_000, 365)
        with served(ledger.absolute()) as site:
            print(f"milliseconds: the median of {options.rounds} rounds (the least to the most)\n")
            only = options.only.split(",")
            if "gate" in only:
                gate(site, options.rounds)
            if "postfix" in only:
                postfix(site, options.rounds)
            if "pages" in only:
                pages(site, options.rounds)
            if "lmtp" in only:
                acceptance(site, options.rounds, options.messages)


if __name__ == "__main__":
    main()
