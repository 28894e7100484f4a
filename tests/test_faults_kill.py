"""Killed at any step from a mail to the sheet and the queues, and started again: once is once."""

import base64
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from http_service import Call, Reply, Service
from kill_points import Mint, Run, mint
from mails import hard
from smartlead_server import KEY, SmartLeadServer

from bouncesink.config import Config
from bouncesink.engine import Engine
from bouncesink.ledger import open_ledger
from bouncesink.model import Action, ActionKind, ActionState

UNREADABLE = """\
From: someone@example.net
Message-ID: <odd@example.net>
Content-Type: message/delivery-status

nothing in it
"""
MAILS = (
    hard(1, 1),
    hard(2, 2)
    .replace("Lead@example.org", "full@example.org")
    .replace("5.1.1", "4.2.2")
    .replace("550", "452")
    .replace("User unknown", "Mailbox full"),
    UNREADABLE,
)
CONFIG = """\
[ledger]
path = "{store}/x.db"
[lmtp]
listen = "unix:{folder}/lmtp.sock"
recipients = ["bounces@example.com"]
[sheet]
path = "{store}/leads.csv"
flush_every = 0.1
[smartlead]
key_file = "key"
base_url = "{smartlead}"
dry_run = false
[webhooks]
urls = ["{receiver}/"]
secret_file = "secret"
"""
LEADS = "LEAD ID,EMAIL\n1,lead@example.org\n2,full@example.org\n3,fine@example.org\n"
BY_HAND = (
    ("flush", "--config", "c.toml"),
    ("replay", "--config", "c.toml", "1.eml", "2.eml", "3.eml"),
    ("flush", "--config", "c.toml"),
    ("queue", "work", "--config", "c.toml"),
)
LATER = 600
"""Seconds after which the second run is: a claim of the first has run out by then."""


class Receiver(Service):
    """Takes in what it is told."""

    def answer(self, call: Call) -> Reply:
        return Reply(200)


class House:
    """A folder with leads, and the services that the queues call.

    `store` is the folder of the ledger and of the sheet.
    """

    def __init__(
        self, folder: Path, store: Path, smartlead: SmartLeadServer, receiver: Receiver
    ) -> None:
        folder.mkdir()
        store.mkdir(exist_ok=True)
        self.folder = folder
        self.store = store
        self.smartlead = smartlead
        self.receiver = receiver
        parts = {
            "folder": folder,
            "store": store,
            "smartlead": smartlead.api,
            "receiver": receiver.url,
        }
        (folder / "c.toml").write_text(CONFIG.format_map(parts))
        (store / "leads.csv").write_text(LEADS)
        (folder / "key").write_text(KEY)
        (folder / "secret").write_text("whsec_" + base64.b64encode(bytes(24)).decode())
        for number, mail in enumerate(MAILS, 1):
            (folder / f"{number}.eml").write_text(mail)
        smartlead.calls.clear()
        receiver.calls.clear()
        smartlead.add(7, "lead@example.org", [11, 12])

    def outcome(self) -> "Outcome":
        """Say what came of it all, after looking whether the ledger agrees with itself."""
        with closing(open_ledger(self.store / "x.db", read_only=True)) as ledger:
            assert ledger._db.all("PRAGMA integrity_check") == [("ok",)]  # type: ignore[attr-defined]
            assert ledger._db.all("PRAGMA foreign_key_check") == []  # type: ignore[attr-defined]
            assert ledger.unfolded() == []
            engine = Engine(ledger, Config())
            contacts = [contact for batch in ledger.all_contacts(100) for contact in batch]
            events = ledger.events_of(contact.address for contact in contacts)
            for contact in contacts:
                assert contact == engine.fold(contact.address, events[contact.address])
            return Outcome(
                arrivals=sorted(
                    ledger._db.all("SELECT id, state FROM arrivals")  # type: ignore[attr-defined]
                ),
                events=sorted(event.id for event in ledger.all_events()),
                bounces={contact.address: contact.bounce_count for contact in contacts},
                actions=sorted((name(each), each.state) for each in ledger.list_actions()),
                sheet=(self.store / "leads.csv").read_text(),
                left_in_campaigns=self.smartlead.campaigns["lead@example.org"],
                removals=self.removals(),
                told=len({call.headers["webhook-id"] for call in self.receiver.calls}),
            )

    def check(self, expected: "Outcome", where: str) -> None:
        """Require that all is as if nobody had been killed `where` it was."""
        outcome = self.outcome()
        # Killed between a service's answer and the ledger, it asks again: SmartLead says 404 then,
        # and the receiver knows the webhook-id.
        assert outcome.removals - expected.removals in (0, 1), where
        assert len(self.receiver.calls) - outcome.told in (0, 1), where
        outcome.removals = expected.removals
        assert outcome == expected, where

    def removals(self) -> int:
        return sum(call.method == "DELETE" for call in self.smartlead.calls)


def name(action: Action) -> str:
    """Name an action; a webhook's key is of its body, which holds the time."""
    return f"webhook:{action.address}" if action.kind is ActionKind.WEBHOOK else action.key


@dataclass
class Outcome:
    arrivals: list[tuple[str, str]]
    events: list[str]
    bounces: dict[str, int]
    actions: list[tuple[str, ActionState]]
    sheet: str
    left_in_campaigns: list[int]
    removals: int
    told: int

    def is_complete(self) -> None:
        assert [state for _, state in self.arrivals].count("review") == 1
        assert len(self.arrivals) == len(MAILS)
        assert self.bounces == {"lead@example.org": 1, "full@example.org": 1}
        assert "lead@example.org,2026-03-02,HARD,1,FALSE," in self.sheet
        assert "full@example.org,2026-03-02,SOFT,1,TRUE," in self.sheet
        assert self.left_in_campaigns == []
        assert self.told == 2
        worked = {ActionKind.SMARTLEAD_REMOVAL, ActionKind.WEBHOOK}
        for key, state in self.actions:
            assert (state is ActionState.DONE) is (key.partition(":")[0] in worked), key


class Builder:
    """Makes houses, one after another, for which the services are as new."""

    def __init__(
        self, folder: Path, warm: Mint, smartlead: SmartLeadServer, told: Receiver
    ) -> None:
        self._folder = folder
        self._smartlead = smartlead
        self._receiver = told
        self.warm = warm

    def house(self, name: object, store: Path | None = None) -> House:
        folder = self._folder / str(name)
        return House(folder, store or folder, self._smartlead, self._receiver)


@contextmanager
def builder(folder: Path) -> Iterator[Builder]:
    folder.mkdir(exist_ok=True)
    with mint() as warm, closing(SmartLeadServer()) as smartlead, closing(Receiver()) as receiver:
        yield Builder(folder, warm, smartlead, receiver)


def until(condition: Callable[[], bool], run: Run) -> None:
    """Another process works on it: look until it is so."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, run.output()
        time.sleep(0.005)


def by_hand(house: House, warm: Mint, kill_at: int = 0, later: float = 0) -> Run:
    run = warm.start(house.folder, *BY_HAND, kill_at=kill_at, later=later)
    until(run.ended, run)
    return run


def whole_by_hand(build: Builder) -> tuple[list[str], Outcome]:
    """Give the points of a run that nobody kills, and what comes of it."""
    house = build.house("whole")
    run = by_hand(house, build.warm)
    assert run.code == 0, run.output()
    outcome = house.outcome()
    outcome.is_complete()
    return run.points(), outcome


def check_killed_by_hand(build: Builder, point: int, expected: Outcome) -> None:
    house = build.house(point)
    killed = by_hand(house, build.warm, kill_at=point)
    assert killed.code == -9, killed.output()
    where = killed.points()[-1]
    again = by_hand(house, build.warm, later=LATER)
    assert again.code == 0, (where, again.output())
    house.check(expected, where)


def last_of_each(points: list[str]) -> list[int]:
    return sorted({name: number for number, name in enumerate(points, 1)}.values())


def test_killed_between_any_two_steps_by_hand(tmp_path: Path) -> None:
    """At some kinds of points; tests/e2e has all points."""
    with builder(tmp_path) as build:
        points, expected = whole_by_hand(build)
        for point in last_of_each(points)[::8]:
            check_killed_by_hand(build, point, expected)
