"""A month in which a campaign burns: what is told, when, how often, and what is proposed."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from http_service import Reply
from queue_support import opened
from smartlead_server import KEY, SmartLeadServer

from bouncesink.config import Config, LedgerConfig, SmartLeadConfig, WatchConfig
from bouncesink.engine import Engine
from bouncesink.engine.stand_watch import stand_watch
from bouncesink.fold.alert import about_of
from bouncesink.ledger import Ledger, open_ledger
from bouncesink.model import (
    Action,
    ActionKind,
    ActionState,
    Category,
    DsnAction,
    Event,
    Kind,
    Report,
    Send,
    Trust,
    TrustLevel,
    Verdict,
)
from bouncesink.outbox.smartlead_pause import SmartLeadPause

START = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = open_ledger(tmp_path / "bouncesink.db")
    yield ledger
    ledger.close()


class Month:
    """Sends and bounces hour by hour, with a flush after each: `told` has what came of it."""

    def __init__(self, ledger: Ledger, **watch) -> None:
        self.ledger = ledger
        self.config = Config(ledger=LedgerConfig(Path("unused")), watch=WatchConfig(**watch))
        self.now = START
        self.engine = Engine(ledger, self.config, clock=lambda: self.now)
        self.sent: dict[str, int] = {}
        self.told: list[tuple[datetime, Action]] = []
        self.step = HOUR

    def hour(self, **campaigns: tuple[int, int]) -> None:
        """Send so many and have so many of them bounce, by campaign."""
        for campaign, (sent, hard) in campaigns.items():
            first = self.sent.get(campaign, 0)
            self.sent[campaign] = first + sent
            names = [f"{campaign}-{number}" for number in range(first, first + sent)]
            self.ledger.put_sends(
                [
                    Send(
                        f"{name}@example.com",
                        f"{name}@lead.test",
                        self.now,
                        campaign,
                        "a@example.com",
                    )
                    for name in names
                ]
            )
            self.engine.record([self._bounce(campaign, name) for name in names[:hard]])
        self.now += self.step
        self.told += [
            (self.now, action) for action in stand_watch(self.ledger, self.config, self.now)
        ]

    def _bounce(self, campaign: str, name: str) -> Event:
        address = f"{name}@lead.test"
        return Event(
            id=name,
            kind=Kind.FAILURE,
            address=address,
            occurred_at=self.now,
            recorded_at=self.now,
            source="lmtp",
            report=Report(
                address, DsnAction.FAILED, "rfc3464", diagnostic="550 5.1.1 no such user"
            ),
            verdict=Verdict(Category.USER_UNKNOWN, "a-rule"),
            trust=Trust(TrustLevel.PROVEN),
            message_id=f"{name}@example.com",
            sender="a@example.com",
            campaign=campaign,
        )

    def about(self, campaign: str) -> list[str]:
        """What was told and proposed of a campaign, in its order."""
        return [
            action.payload.get("subject") or f"pause {action.payload['campaign']}"
            for _, action in self.told
            if campaign in about_of(action) + action.payload.get("campaign", "")
        ]

    def pauses(self) -> list[Action]:
        return self.ledger.list_actions(ActionKind.CAMPAIGN_PAUSE)


def test_a_month_with_a_burning_campaign(ledger):
    month = Month(ledger)
    month.step = 6 * HOUR
    for quarter in range(4 * 30):
        month.hour(
            steady=(120, 1),
            burning=(60, 6 if quarter >= 4 * 20 else 0),
            tiny=(5, 1) if quarter == 4 * 20 else (0, 0),
        )
    assert month.about("burning") == [
        "campaign burning: 2.1% bounced hard",
        "campaign burning: 3.2% bounced hard",
        "pause burning",
    ]
    # 28 quarters of a day are in the window: 6 x 6 of 1680 pass 2 %, 9 x 6 of them 3 %.
    times = [(at - START) / month.step for at, each in month.told if "burning" in about_of(each)]
    assert times == [80 + 6, 80 + 9]
    assert month.about("tiny") == []
    assert month.about("steady") == []
    (pause,) = month.pauses()
    assert (pause.state, pause.payload["campaign"]) == (ActionState.PENDING, "burning")


def test_the_alert_comes_with_the_flush_in_which_the_limit_is_passed(ledger):
    month = Month(ledger)
    for _ in range(24 * 7):
        month.hour(spring=(10, 0))
    assert month.told == []
    month.hour(spring=(500, 100))
    assert [at for at, _ in month.told] == [month.now] * len(month.told)
    assert month.about("spring") == ["campaign spring: 4.6% bounced hard", "pause spring"]


def test_one_bounce_of_five_raises_none(ledger):
    month = Month(ledger)
    month.hour(tiny=(5, 1))
    month.hour(tiny=(0, 0))
    assert month.told == []


def test_when_it_is_over_that_is_told_and_when_it_begins_anew_it_is_told_anew(ledger):
    month = Month(ledger)
    month.hour(spring=(100, 10))
    for _ in range(24 * 8):
        month.hour(spring=(10, 0))
    month.hour(spring=(400, 200))
    subjects = month.about("spring")
    assert subjects == [
        "campaign spring: 10.0% bounced hard",
        "pause spring",
        "over: campaign spring: 10.0% bounced hard",
        subjects[3],
        "pause spring",
    ]
    assert len(month.pauses()) == 2


def test_what_hovers_about_the_limit_rings_once(ledger):
    month = Month(ledger, window_days=30)
    month.hour(spring=(1000, 31))
    for _ in range(10):
        month.hour(spring=(40, 0))
        month.hour(spring=(1, 1))
    assert month.about("spring") == ["campaign spring: 3.1% bounced hard", "pause spring"]


@pytest.mark.parametrize(("pause", "states"), [("auto", ["approved"]), ("off", [])])
def test_a_pause_is_approved_or_not_asked_for_as_the_config_has_it(ledger, pause, states):
    month = Month(ledger, pause=pause)
    month.hour(spring=(100, 50))
    assert [action.state.value for action in month.pauses()] == states


def test_blocks_by_one_provider_are_told_with_its_sentence_and_over_a_day_later(ledger):
    month = Month(ledger)
    said = "550 5.7.606 Access denied, banned sending IP [198.51.100.7]"
    ledger.add_events(
        [
            Event(
                id=str(number),
                kind=Kind.FAILURE,
                address=f"lead-{number}@outlook.com",
                occurred_at=month.now,
                recorded_at=month.now,
                source="lmtp",
                report=Report("x", DsnAction.FAILED, "rfc3464", diagnostic=said),
                verdict=Verdict(Category.BLOCKLISTED, "a-rule"),
                trust=Trust(TrustLevel.PROVEN),
                message_id=str(number),
            )
            for number in range(12)
        ]
    )
    for _ in range(30):
        month.hour()
    (begun, over) = [action for _, action in month.told]
    assert begun.payload["subject"] == "microsoft blocks us: 12 messages in a day"
    assert said in begun.payload["text"]
    assert over.payload["subject"].startswith("over: microsoft")


@pytest.fixture
def server() -> Iterator[SmartLeadServer]:
    server = SmartLeadServer()
    yield server
    server.close()


@pytest.fixture
def sink(server, tmp_path) -> SmartLeadPause:
    (tmp_path / "key").write_text(KEY)
    return SmartLeadPause(SmartLeadConfig(tmp_path / "key", dry_run=False, base_url=server.api))


def test_an_approved_pause_is_carried_out_and_another_waits(server, sink, tmp_path):
    server.statuses = {7: "ACTIVE", 8: "ACTIVE"}
    with opened(tmp_path, ActionKind.CAMPAIGN_PAUSE) as queue:
        wanted = queue.add("a@example.org", approved=True, campaign="7")
        waiting = queue.add("b@example.org", campaign="8")
        queue.work(sink)
        assert (queue.get(wanted).state, queue.get(wanted).reason) == (
            ActionState.DONE,
            "campaign 7 is paused",
        )
        assert queue.get(waiting).state is ActionState.PENDING
    assert server.statuses == {7: "PAUSED", 8: "ACTIVE"}


@pytest.mark.parametrize(
    ("campaign", "reply", "state", "error"),
    [
        ("spring", None, ActionState.FAILED, "is no number of a campaign"),
        ("9", None, ActionState.FAILED, "has no campaign 9"),
        ("7", Reply(422, {"message": "no"}), ActionState.FAILED, "refused it (422"),
        ("7", Reply(500, {}), ActionState.APPROVED, "500"),
        ("7", Reply(401, {}), ActionState.APPROVED, "does not accept the key"),
    ],
)
def test_every_other_answer_ends_where_a_person_sees_it(
    server, sink, tmp_path, campaign, reply, state, error
):
    server.statuses = {7: "ACTIVE"}
    if reply is not None:
        server.troubles.append(reply)
    with opened(tmp_path, ActionKind.CAMPAIGN_PAUSE) as queue:
        key = queue.add("a@example.org", approved=True, campaign=campaign)
        queue.work(sink)
        assert queue.get(key).state is state
        assert error in (queue.get(key).last_error or "")
