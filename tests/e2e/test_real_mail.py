"""Bounces that real servers write, through the whole line: LMTP, ledger, verdict, sheet, queues.

Postfix, Exim and OpenSMTPD get the same mails for a server that refuses. What each writes about
them goes by its recipe of deploy/ to one `bouncesink serve`.
"""

import csv
import json
import smtplib
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from pathlib import Path
from typing import Any

import pytest
from commands import Result, Run
from private_exim import exim
from private_opensmtpd import opensmtpd
from private_postfix import free_port, postfix, wait_until
from refusing import DOMAIN, refusing
from serving import Serving, serving

pytestmark = pytest.mark.e2e

SERVERS = ("postfix", "exim", "opensmtpd")
SIGNED, PLAIN = "signed@example.test", "plain@example.test"
BOUNCES = "bounces@example.test"

POSTFIX = """
delay_warning_time = 2s
maximal_queue_lifetime = 15s
virtual_alias_domains = alias.test
virtual_alias_maps = inline:{{ team.aliased.postfix@alias.test={target} }}
"""


@dataclass(frozen=True)
class Fate:
    """What must be known of a recipient in the end; "" where there is nothing."""

    kinds: frozenset[str]
    category: str = ""
    type: str = ""
    code: str = ""
    review: str = ""

    @property
    def is_hard(self) -> bool:
        return self.type == "HARD"


FAILED = frozenset({"failure"})
GONE = Fate(FAILED, "user_unknown", "HARD", "5.1.1")
FULL = Fate(FAILED, "mailbox_full", "SOFT", "5.2.2")
BUSY = Fate(frozenset({"delayed", "failure"}), "mailbox_full", "SOFT", "4.2.2")
SLOW = Fate(frozenset({"delayed", "failure"}), "system_error", "SOFT", "4.3.0")
EXPIRED = Fate(frozenset({"delayed", "failure"}), "expired", "SOFT", "4.4.7")
LATE = Fate(frozenset({"delayed"}), "delayed")
BLOCKED = Fate(FAILED, "blocklisted", review="blocked")
ODD = Fate(FAILED, "unknown", review="unknown")
GOOD = Fate(frozenset())


@dataclass(frozen=True)
class Case:
    """A mail: what becomes of each of its recipients, by name; see `refusing`."""

    name: str
    fates: Mapping[str, Fate]
    domain: str = DOMAIN
    sender: str = SIGNED
    differs: Mapping[str, Fate] = field(default_factory=dict)
    """By server, the fate of the one recipient where that server tells less."""
    servers: tuple[str, ...] = SERVERS

    def fates_at(self, server: str) -> dict[str, Fate]:
        """Give the fates by address."""
        fates = {name: self.differs.get(server, fate) for name, fate in self.fates.items()}
        return {f"{n}.{self.name}.{server}@{self.domain}": fate for n, fate in fates.items()}

    def message_id(self, server: str) -> str:
        return f"{self.name}-{server}@example.test"


CASES = [
    Case("hard", {"gone": GONE}),
    Case("soft", {"full": FULL}),
    Case("delayed", {"late": LATE}),
    # OpenSMTPD's last word is "Envelope expired": no reply.
    Case("full", {"busy": BUSY}, differs={"opensmtpd": EXPIRED}),
    Case("expired", {"slow": SLOW}, differs={"opensmtpd": EXPIRED}),
    Case("blocked", {"blocked": BLOCKED}),
    Case("unclear", {"odd": ODD}),
    Case(
        "mixed",
        {"gone": GONE, "full": FULL, "blocked": BLOCKED, "odd": ODD, "good": GOOD},
        sender=PLAIN,
    ),
    Case("aliased", {"team": GONE}, domain="alias.test"),
    Case("smtputf8", {"björn": GONE}, servers=("postfix", "exim")),
]
EVERY = [(server, case) for case in CASES for server in case.servers]


@dataclass(frozen=True)
class Books:
    """What stands in the sheet and the queues when all is over; the rows by e-mail address."""

    sheet: Mapping[str, Mapping[str, str]]
    actions: list[Mapping[str, Any]]
    reviews: list[Mapping[str, Any]]
    config: Path


def config(folder: Path, listen: list[str]) -> Path:
    (folder / "verp.key").write_text("a key of the tests alone, 32 octets")
    path = folder / "bouncesink.toml"
    path.write_text(
        f"""
[ledger]
path = "ledger.db"
[lmtp]
listen = {listen}
recipients = ["{BOUNCES}"]
socket_mode = "0666"
[[mailboxes]]
address = "{SIGNED}"
[[mailboxes]]
address = "{PLAIN}"
verp = false
[trust]
verp_key_file = "verp.key"
[postcards]
required_columns = ["STREET"]
[sheet]
flush_every = 0.5
[log]
format = "json"
"""
    )
    return path


def write_sheet(folder: Path) -> None:
    with (folder / "lead_details.csv").open("w", newline="") as file:
        sheet = csv.writer(file)
        sheet.writerow(["LEAD ID", "EMAIL", "STREET"])
        addresses = [a for server, case in EVERY for a in case.fates_at(server)]
        sheet.writerows((f"L-{n}", a, f"{n} Mill Lane") for n, a in enumerate(addresses))


def read_sheet(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "lead_details.csv").open(newline="") as file:
        return {row["EMAIL"]: row for row in csv.DictReader(file)}


def return_paths(path: Path) -> dict[str, str]:
    """Sign for every address, as a program that sends does it."""
    addresses = [a for server, case in EVERY for a in case.fates_at(server)]
    done = subprocess.run(
        [sys.executable, "-m", "bouncesink", "verp", "sign", "--config", path, "-"],
        input="\n".join(addresses),
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(zip(addresses, done.stdout.split(), strict=True))


def send(case: Case, server: str, port: int, paths: Mapping[str, str]) -> None:
    to = list(case.fates_at(server))
    mail = EmailMessage(policy=SMTP if all(map(str.isascii, to)) else SMTPUTF8)
    mail["From"], mail["To"], mail["Subject"] = case.sender, ", ".join(to), "A question"
    mail["Message-ID"] = f"<{case.message_id(server)}>"
    mail["Date"] = "Sun, 01 Mar 2026 10:00:00 +0000"
    mail.set_content("How are you?")
    sender = paths[to[0]] if case.sender == SIGNED else BOUNCES
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as smtp:
        smtp.send_message(mail, sender, to)


def target(server: str) -> str:
    return f"gone.target.{server}@{DOMAIN}"


@pytest.fixture(scope="module")
def books(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Books]:
    folder = tmp_path_factory.mktemp("line")
    write_sheet(folder)
    with ExitStack() as stack:
        hop = stack.enter_context(refusing())
        socket, where = root / "run/bouncesink/lmtp.sock", f"127.0.0.1:{free_port()}"
        path = config(folder, [f"unix:{socket}", where])
        paths = return_paths(path)
        service = stack.enter_context(serving(path))
        aliases = {s: {f"team.aliased.{s}": target(s)} for s in SERVERS}
        mtas = {
            "postfix": postfix(f"inet:{where}", hop.port, POSTFIX.format(target=target("postfix"))),
            "exim": exim(root, "unix:/run/bouncesink/lmtp.sock", hop.port, aliases["exim"]),
            "opensmtpd": opensmtpd(root, where, hop.port, aliases["opensmtpd"]),
        }
        servers = {name: stack.enter_context(mta) for name, mta in mtas.items()}
        for server, case in EVERY:
            send(case, server, servers[server].port, paths)

        def told() -> set[tuple[str, str]]:
            servers["opensmtpd"].retry()
            found = service.ask("SELECT address, kind FROM events")
            hop.relented |= {str(a) for a, kind in found if kind == "delayed" and a in late}
            return {(str(a), str(kind)) for a, kind in found}

        fates = {a: fate for server, case in EVERY for a, fate in case.fates_at(server).items()}
        late = {a for a, fate in fates.items() if fate is LATE}
        every = {(a, kind) for a, fate in fates.items() for kind in fate.kinds}
        try:
            wait_until(lambda: every <= told(), 60, "not all bounces came")
            for name, server in servers.items():
                wait_until(lambda s=server: not s.left(), 30, f"mail is left in {name}")
            wait_until(service.drained, 30, "arrivals are left")
            typed = {a: fate.type for a, fate in fates.items()}
            wait_until(lambda: types(folder) == typed, 10, "the sheet is not as it must be")
        except AssertionError:
            print(sorted(every - told()))
            for name, server in servers.items():
                print(f"\n{name}:", server.left(), server.log()[-5000:], sep="\n")
            raise
        yield Books(
            read_sheet(folder),
            in_json(service, "queue", "list", "--limit", "1000"),
            in_json(service, "review", "list", "--limit", "1000"),
            path,
        )


def types(folder: Path) -> dict[str, str]:
    return {a: row.get("EMAIL BOUNCE TYPE", "") for a, row in read_sheet(folder).items()}


def in_json(service: Serving, *command: str) -> list[Any]:
    done = subprocess.run(
        [sys.executable, "-m", "bouncesink", *command, "--json", "--config", service.config],
        capture_output=True,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def of(address: str, actions: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [action for action in actions if action["address"].partition(":")[0] == address]


PROPOSED = {"hubspot_proposal", "smartlead_removal", "postcard", "advisory"}


@pytest.mark.parametrize(("server", "case"), EVERY, ids=[f"{s}-{case.name}" for s, case in EVERY])
def test_a_bounce_goes_through_the_whole_line(
    server: str, case: Case, books: Books, run: Run
) -> None:
    for address, fate in case.fates_at(server).items():
        check_sheet(books.sheet[address], fate, case.message_id(server))
        kinds = sorted(action["kind"] for action in of(address, books.actions))
        assert kinds == (sorted(PROPOSED) if fate.is_hard else [])
        assert [each["payload"]["why"] for each in of(address, books.reviews)] == (
            [fate.review] if fate.review else []
        )
        check_story(run("explain", address, "--json", "--config", str(books.config)), fate, case)


def check_sheet(row: Mapping[str, str], fate: Fate, message_id: str) -> None:
    shown = [row[name] for name in ("EMAIL BOUNCE TYPE", "BOUNCE COUNT", "EMAIL VALID")]
    if not fate.type:
        assert (shown, row["EMAIL BOUNCE DATE"], row["BOUNCE EVIDENCE"]) == (["", "", ""], "", "")
        return
    assert shown == [fate.type, "1", "FALSE" if fate.is_hard else "TRUE"]
    assert row["BOUNCE EVIDENCE"] == f"{row['EMAIL BOUNCE DATE']}:{fate.code}:{message_id}"
    days = datetime.now(UTC).date() - date.fromisoformat(row["EMAIL BOUNCE DATE"])
    assert timedelta(0) <= days <= timedelta(days=1)


def check_story(told: Result, fate: Fate, case: Case) -> None:
    (story,) = told.lines
    assert told.code == (0 if fate.kinds else 1)
    assert story["bounce_type"] == (fate.type or None)
    assert story["mailable"] is not fate.is_hard
    assert len(story["leads"]) == 1
    assert {event["kind"] for event in story["events"]} == fate.kinds
    by_kind = {event["kind"]: event for event in story["events"]}
    for kind, event in by_kind.items():
        category = "delayed" if kind == "delayed" else fate.category
        assert event["report"]["category"] == category
        assert event["report"]["rule"]
        assert event["trust"]["level"] == ("proven" if case.sender == SIGNED else "plausible")


def test_one_message_gives_one_strike_however_often_it_is_told(books: Books, run: Run) -> None:
    told = run("explain", "slow.expired.exim@reject.test", "--json", "--config", str(books.config))
    (story,) = told.lines
    assert len(story["events"]) > 2, "Exim tells of every other delay"
    assert (story["bounce_count"], story["strikes"]) == (1, 1)


def test_what_the_alias_stands_for_is_left_alone(books: Books, run: Run) -> None:
    for server in SERVERS:
        assert run("explain", target(server), "--config", str(books.config)).code == 1


def test_the_postcard_round_reaches_all_who_are_hard(books: Books, run: Run) -> None:
    run("postcards", "next", "--out", "round.csv", "--config", str(books.config))
    with Path("round.csv").open(newline="") as file:
        written_to = {row["EMAIL"] for row in csv.DictReader(file)}
    fates = {a: fate for server, case in EVERY for a, fate in case.fates_at(server).items()}
    assert written_to == {address for address, fate in fates.items() if fate.is_hard}
