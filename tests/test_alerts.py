"""Alerts: when they begin and end, and that each is told once, whatever is down meanwhile."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from http_service import Call, Reply, Service
from hypothesis import given
from hypothesis import strategies as st
from smtp_server import MailServer
from test_service import CONFIG, serving

from bouncesink.config import AlertsConfig, Config, LedgerConfig
from bouncesink.fold.alert import about_of, over, tell, words
from bouncesink.ledger import Ledger, Totals, Trouble, open_ledger
from bouncesink.model import Action, ActionKind, ActionState, Arrival
from bouncesink.outbox.alerts import Alerts
from bouncesink.outbox.worker import Worker
from bouncesink.service.alerts import SETTLING, Snapshot, due
from bouncesink.service.chore import Chore
from bouncesink.service.health import Health
from bouncesink.service.monitor import Monitor
from bouncesink.standard_webhooks import is_signed

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOURS = timedelta(hours=1)
LIMITS = AlertsConfig(mail_to=("ops@example.com",), mail_from="bouncesink@example.com")
FAILED = {(ActionKind.WEBHOOK, ActionState.FAILED): 2}
BUSY = (19, 10, 0, 11)


def seen(
    *,
    silent: timedelta = timedelta(0),
    up: timedelta = timedelta(days=1),
    troubles: tuple[Trouble, ...] = (),
    past: tuple[int, ...] = BUSY,
    reviews: int = 0,
    actions: dict[tuple[ActionKind, ActionState], int] | None = None,
    now: datetime = NOW,
) -> Snapshot:
    counts = {(ActionKind.REVIEW, ActionState.PENDING): reviews, **(actions or {})}
    totals = Totals(actions=counts, last_arrival_at=now - silent)
    return Snapshot(now, now - up, totals, troubles, past)


def trouble(part: str, since: timedelta) -> Trouble:
    return Trouble(part, "it is broken", NOW - since)


MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("snapshot", "told"),
    [
        (seen(), []),
        (seen(silent=6 * HOURS), ["silence"]),
        (seen(silent=6 * HOURS - MINUTE), []),
        (seen(silent=6 * HOURS, past=(90, 0, 0, 11)), []),  # a quiet time of the week
        (seen(silent=6 * HOURS, past=(9, 10, 10, 10)), []),  # too few for a silence to tell
        (seen(silent=6 * HOURS, past=()), []),  # a young ledger
        (seen(silent=6 * HOURS, up=SETTLING - MINUTE), []),  # what waited elsewhere comes yet
        (seen(silent=6 * HOURS, up=SETTLING), ["silence"]),
        (seen(troubles=(trouble("sheet", 31 * MINUTE),)), ["trouble:sheet"]),
        (seen(troubles=(trouble("sheet", 29 * MINUTE),)), []),
        (seen(troubles=(trouble("engine", 15 * MINUTE),)), ["trouble:engine"]),
        (seen(troubles=(trouble("engine", 14 * MINUTE),)), []),
        (seen(actions=FAILED), ["dead-letters"]),
        (seen(reviews=100), []),
        (seen(reviews=101), ["review"]),
        (
            seen(troubles=(trouble("a", HOURS), trouble("b", HOURS)), reviews=101),
            ["trouble:a", "trouble:b", "review"],
        ),
    ],
)
def test_what_begins(snapshot: Snapshot, told: list[str]) -> None:
    alerts = due(snapshot, LIMITS, [])
    assert [about_of(alert) for alert in alerts] == told
    assert due(snapshot, LIMITS, alerts) == []
    for alert in alerts:
        subject, text = words(alert)
        assert subject
        assert "\n\n" in text  # what is wrong, and what to do


@pytest.mark.parametrize(
    ("began", "stands", "ends"),
    [
        (
            seen(silent=6 * HOURS),
            seen(silent=9 * HOURS, past=(0, 0, 0, 0), now=NOW + 3 * HOURS),  # the weekend has come
            seen(silent=MINUTE, now=NOW + 2 * MINUTE),
        ),
        (seen(troubles=(trouble("x", HOURS),)), seen(troubles=(trouble("x", MINUTE),)), seen()),
        (seen(actions=FAILED), seen(actions=FAILED), seen()),
        (seen(reviews=101), seen(reviews=81), seen(reviews=80)),
    ],
)
def test_what_is_over(began: Snapshot, stands: Snapshot, ends: Snapshot) -> None:
    (alert,) = due(began, LIMITS, [])
    assert due(stands, LIMITS, [alert]) == []
    (last,) = due(replace(ends, now=NOW + 2 * HOURS), LIMITS, [alert])
    assert last.key == alert.key.removesuffix("began") + "over"
    assert words(last)[0] == f"over: {words(alert)[0]}"
    assert "after 120 minutes" in words(last)[1]


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(70, 130)), max_size=30))
def test_each_is_told_once_when_it_begins_and_once_when_it_is_over(
    looks: list[tuple[bool, bool, int]],
) -> None:
    standing: dict[str, Action] = {}
    told: set[str] = set()
    for minute, (broken, failed, reviews) in enumerate(looks):
        now = NOW + minute * MINUTE
        look = seen(
            troubles=(trouble("engine", HOURS),) if broken else (),
            actions=FAILED if failed else {},
            reviews=reviews,
            now=now,
        )
        for alert in due(look, LIMITS, list(standing.values())):
            assert alert.key not in told
            told.add(alert.key)
            if alert.key.endswith(":began"):
                assert about_of(alert) not in standing
                standing[about_of(alert)] = alert
            else:
                assert standing.pop(about_of(alert)).key == alert.key.removesuffix("over") + "began"
    if looks:
        broken, failed, reviews = looks[-1]
        assert ("trouble:engine" in standing, "dead-letters" in standing) == (broken, failed)
        assert "review" in standing or reviews <= 100
        assert "review" not in standing or reviews > 80


class Receiver(Service):
    def answer(self, call: Call) -> Reply:
        head = call.headers
        given = (
            head["webhook-id"],
            head["webhook-timestamp"],
            call.body,
            head["webhook-signature"],
        )
        return Reply(204 if is_signed([b"a secret of 24 octets or more"], *given) else 401)


@dataclass
class Desk:
    """A ledger with the one who works its alerts, and those who are told."""

    ledger: Ledger
    path: Path
    mail: MailServer
    hook: Receiver
    config: AlertsConfig
    now: datetime = NOW

    def work(self) -> list[ActionState]:
        self.now += 2 * HOURS
        Worker(self.ledger, self.sink, lambda: self.now).step()
        return [action.state for action in self.ledger.list_actions(ActionKind.ALERT)]

    def __post_init__(self) -> None:
        self.sink = Alerts(self.config, lambda: self.now)


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with closing(MailServer()) as server:
        yield server


@pytest.fixture
def desk(tmp_path: Path, mail: MailServer) -> Iterator[Desk]:
    (tmp_path / "secret").write_text("a secret of 24 octets or more")
    path = tmp_path / "x.db"
    with closing(Receiver()) as hook, closing(open_ledger(path)) as ledger:
        config = replace(
            LIMITS, smtp=mail.address, webhook=f"{hook.url}/alerts", secret_file=tmp_path / "secret"
        )
        yield Desk(ledger, path, mail, hook, config)


def test_an_alert_goes_by_mail_and_by_webhook(desk: Desk) -> None:
    alert = tell(
        "watch:x", "1", "Öfen\r\nBcc: a@example.net", "One\x1b[2J\n\nTwo ü", NOW, "a@b.test"
    )
    desk.ledger.add_actions([alert])
    assert desk.work() == [ActionState.DONE]
    (mail,), (call,) = desk.mail.mails, desk.hook.calls
    assert desk.mail.envelopes == [("bouncesink@example.com", ["ops@example.com"])]
    assert mail["Subject"] == "bouncesink: Öfen Bcc: a@example.net"
    assert mail["Bcc"] is None
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Message-ID"].endswith("@example.com>")
    assert mail.get_content().splitlines()[:3] == ["One [2J", "", "Two ü"]
    assert call.headers["webhook-id"] == alert.key
    assert call.json["type"] == "alert"
    assert call.json["data"]["about"] == "watch:x"
    assert call.json["data"]["address"] == "a@b.test"
    assert desk.work() == [ActionState.DONE]
    assert len(desk.mail.mails) == len(desk.hook.calls) == 1


def test_a_way_that_is_down_holds_up_no_other_and_is_tried_again(desk: Desk) -> None:
    desk.ledger.add_actions([tell("x", "1", "first", "words", NOW)])
    desk.mail.refuse = "550 5.7.1 not you"
    assert desk.work() == [ActionState.PENDING]
    (waiting,) = desk.ledger.troubled_actions(1)
    assert waiting.last_error == f"by mail: {desk.mail.address}: 550 5.7.1 not you"
    desk.mail.refuse = ""
    assert desk.work() == [ActionState.DONE]
    assert (len(desk.mail.mails), len(desk.hook.calls)) == (1, 1)
    desk.ledger.add_actions([tell("x", "2", "second", "words", NOW)])
    desk.hook.troubles.append(Reply(503))
    assert ActionState.PENDING in desk.work()
    assert desk.work() == [ActionState.DONE] * 2
    assert [mail["Subject"] for mail in desk.mail.mails] == [
        "bouncesink: first",
        "bouncesink: second",
    ]


def test_no_mail_server_is_said_in_a_line(desk: Desk) -> None:
    desk.mail.close()
    desk.ledger.add_actions([tell("x", "1", "first", "words", NOW)])
    assert desk.work() == [ActionState.PENDING]
    (waiting,) = desk.ledger.troubled_actions(1)
    assert waiting.last_error == f"by mail: {desk.mail.address}: Connection refused"


def test_a_flood_that_the_fold_saw_is_told_in_words(desk: Desk) -> None:
    flood = Action(
        "alert:flood:doubtful:lead@example.org:first",
        ActionKind.ALERT,
        NOW,
        address="lead@example.org",
        payload={"why": "doubtful", "flood": "true", "count": "30"},
    )
    desk.ledger.add_actions([flood])
    assert desk.work() == [ActionState.DONE]
    assert "a flood of bounces for review about lead@example.org" in desk.mail.mails[0]["Subject"]


def test_the_monitor_knows_what_the_ledger_held_weeks_ago(desk: Desk) -> None:
    weeks = [NOW - timedelta(weeks=week) - 3 * HOURS for week in range(4, 0, -1)]
    arrivals = [
        Arrival(f"{at}-{n}", "lmtp", "", "", at + n * MINUTE, b"x")
        for at in weeks
        for n in range(10)
    ]
    desk.ledger.append(arrivals)
    config = Config(ledger=LedgerConfig(path=desk.path), alerts=desk.config)
    clock = [NOW - 2 * HOURS]
    monitor = Monitor(config, lambda: None, lambda: clock[0])
    chore = Chore("monitor", 60, monitor.step, desk.path)

    def look() -> list[str]:
        monitor.step(chore)
        return [about_of(alert) for alert in desk.ledger.standing_alerts()]

    assert look() == []  # it has only begun
    clock[0] = NOW
    assert look() == ["silence"]
    clock[0] += MINUTE
    assert look() == ["silence"]
    desk.ledger.append([Arrival("again", "lmtp", "", "", clock[0], b"x")])
    clock[0] += MINUTE
    assert look() == []
    assert desk.work() == [ActionState.DONE] * 2
    assert [mail["Subject"] for mail in desk.mail.mails] == [
        "bouncesink: nothing has arrived for 171 hours",
        "bouncesink: over: nothing has arrived for 171 hours",
    ]
    assert desk.ledger.beats() == {"service": clock[0]}


def test_a_part_that_is_stuck_is_told_of(desk: Desk) -> None:
    seconds = [0.0]
    health = Health(clock=lambda: seconds[0])
    health.expect("engine", 60, vital=True)
    seconds[0] = 3600
    config = Config(ledger=LedgerConfig(path=desk.path), alerts=desk.config)
    told = threading.Event()
    chore = Chore("monitor", 60, Monitor(config, told.set).step, desk.path)
    chore.start(health)
    assert told.wait(60)
    chore.stop()
    assert chore.join(60)
    (alert,) = desk.ledger.standing_alerts()
    assert words(alert)[0] == "engine has trouble"
    assert "stuck for 3,600 seconds" in words(alert)[1]


def test_over_tells_of_what_it_was() -> None:
    (alert,) = due(seen(reviews=101), LIMITS, [])
    assert "101 bounces wait for review" in words(over(alert, NOW + HOURS))[0]


def test_a_service_tells_once_also_when_it_starts_again(tmp_path: Path, mail: MailServer) -> None:
    (tmp_path / "lead_details.csv").write_text("LEAD ID,NAME\n1,x\n")
    with closing(open_ledger(tmp_path / "x.db")) as ledger:
        ledger.put_trouble("sheet", "no column", datetime.now(UTC) - HOURS)
    alerts = f'[alerts]\nmail_to = "ops@example.com"\nmail_from = "b@example.com"\nsmtp = "{mail.address}"\n'
    for _ in range(2):
        before = beat(tmp_path / "x.db")
        with serving(tmp_path, CONFIG + alerts) as service:
            if not mail.mails:
                service.wait_for("queue.done", sink="alert")
            while beat(tmp_path / "x.db") == before:
                time.sleep(0.01)
            assert service.stop() == 0
    with closing(open_ledger(tmp_path / "x.db", read_only=True)) as ledger:
        (standing,) = ledger.standing_alerts()
    (told,) = mail.mails
    assert told["Subject"] == "bouncesink: the sheet cannot be brought up to date"
    assert standing.state is ActionState.DONE


def beat(path: Path) -> datetime:
    with closing(open_ledger(path, read_only=True)) as ledger:
        return ledger.beats().get("service", NOW)
