"""SmartLead by its API: shown first, and each answer ends in a state that a person can see."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import Run
from http_service import Reply
from queue_support import Queue, bounce, opened
from smartlead_server import KEY, SmartLeadServer

from bouncesink.config import SmartLeadConfig
from bouncesink.model import ActionKind, ActionState
from bouncesink.outbox import hubspot, smartlead
from bouncesink.outbox.rest import buckets
from bouncesink.outbox.smartlead import SmartLead

LEAD = "lead@example.org"
CONFIG = """\
[smartlead]
key_file = "key"
base_url = "{url}"
"""


@pytest.fixture
def server() -> Iterator[SmartLeadServer]:
    server = SmartLeadServer()
    yield server
    server.close()


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    with opened(tmp_path, ActionKind.SMARTLEAD_REMOVAL) as queue:
        yield queue


@pytest.fixture
def sink(server: SmartLeadServer, tmp_path: Path) -> SmartLead:
    (tmp_path / "key").write_text(KEY)
    return SmartLead(SmartLeadConfig(tmp_path / "key", dry_run=False, base_url=server.api))


def test_a_lead_is_removed_from_all_its_campaigns(
    server: SmartLeadServer, queue: Queue, sink: SmartLead
) -> None:
    server.add(55, LEAD, [1, 2])
    server.add(56, "other@example.org", [1])
    key = queue.add(LEAD)
    queue.work(sink)
    assert queue.get(key).reason == "lead 55 removed from 1, 2"
    assert server.campaigns == {LEAD: [], "other@example.org": [1]}


def test_cut_off_between_two_campaigns_the_rest_follows(
    server: SmartLeadServer, queue: Queue, sink: SmartLead
) -> None:
    server.add(55, LEAD, [1, 2])
    key = queue.add(LEAD)
    server.before = lambda call: (
        server.troubles.append(Reply(500)) if call.path.endswith("2/leads/55") else None
    )
    queue.work(sink)
    assert (queue.get(key).state, server.campaigns[LEAD]) == (ActionState.PENDING, [2])
    server.before = lambda _: None
    queue.later(60)
    queue.work(sink)
    assert queue.get(key).state is ActionState.DONE
    assert server.count("DELETE", "/campaigns/1/") == 1


@pytest.mark.parametrize(
    ("reply", "state", "words"),
    [
        (Reply(200, {}), "done", "SmartLead has no lead with this address"),
        (Reply(404, {"message": "nothing"}), "done", "SmartLead has no lead with this address"),
        (Reply(200, {"id": 5, "lead_campaign_data": []}), "done", "lead 5 is in no campaign"),
        (Reply(400, {"message": "bad e-mail"}), "failed", "refused it (400: bad e-mail)"),
        (Reply(200, {"id": "1/../2"}), "failed", "gave no number of the lead: an object of id"),
        (Reply(200, {"id": 5, "campaigns": []}), "failed", "gave no campaigns of 5"),
        (
            Reply(200, {"id": 5, "lead_campaign_data": [{"campaign_id": "x"}]}),
            "failed",
            "gave no campaigns of 5",
        ),
        (Reply(401, {"message": "Invalid API Key"}), "pending", "does not accept the key in"),
        (Reply(429, {"message": "slow"}, {"Retry-After": "90"}), "pending", "slow down (429)"),
        (Reply(503, b"<html>"), "pending", "has trouble (503): without a word"),
        (Reply(200, b"<html>"), "pending", "no JSON"),
        (Reply(301, b"", {"Location": "http://127.0.0.1:9/"}), "pending", "unexpected (301"),
    ],
)
def test_each_answer_ends_in_a_state(
    server: SmartLeadServer, queue: Queue, sink: SmartLead, reply: Reply, state: str, words: str
) -> None:
    server.troubles.append(reply)
    key = queue.add(LEAD)
    queue.work(sink)
    action = queue.get(key)
    assert action.state.value == state
    told = f"{action.reason} {action.last_error}"
    assert words in told
    assert KEY not in told
    assert server.count("DELETE") == 0


def test_retry_after_holds_all_back(server: SmartLeadServer, queue: Queue, sink: SmartLead) -> None:
    server.troubles.append(Reply(429, None, {"Retry-After": "300"}))
    for number in range(3):
        queue.add(f"{number}@example.org")
    queue.work(sink)
    assert len(server.calls) == 1
    queue.later(301)
    queue.work(sink)
    assert set(queue.states().values()) == {"done"}


def test_the_campaign_of_the_bounce_is_taken_where_nothing_else_is_told(
    server: SmartLeadServer, queue: Queue, sink: SmartLead
) -> None:
    server.add(55, LEAD, [4711])
    server.troubles.append(Reply(200, {"id": 55}))
    key = queue.add(LEAD, campaign="4711")
    queue.work(sink)
    assert queue.get(key).reason == "lead 55 removed from 4711"


def test_it_is_a_dry_run_until_told_otherwise(run: Run, server: SmartLeadServer) -> None:
    Path("key").write_text(KEY)
    Path("c.toml").write_text(CONFIG.format(url=server.api))
    bounce(LEAD, leads={"7": LEAD})
    server.add(55, LEAD, [1, 2])
    shown = run("queue", "work", "--config", "c.toml")
    assert shown.code == 0
    assert "[smartlead] dry_run = true" in shown.out
    would = f"would call: DELETE {server.api}/campaigns/1/leads/55?api_key=REDACTED"
    assert would in shown.out
    assert server.campaigns[LEAD] == [1, 2]
    Path("c.toml").write_text(CONFIG.format(url=server.api) + "dry_run = false\n")
    assert "2 calls to make" in run("queue", "work", "--dry-run", "--config", "c.toml").out
    done = run("queue", "work", "--config", "c.toml")
    assert "lead 55 removed from 1, 2" in done.out
    assert server.campaigns[LEAD] == []
    assert KEY not in shown.out + done.out + done.err
    assert KEY not in Path("bouncesink.db").read_text("latin-1")


@pytest.mark.parametrize(
    ("limits", "most"),
    [
        (smartlead.LIMITS, {1: 10, 60: 60, 3600: 1000}),
        (hubspot.LIMITS, {10: 100}),
    ],
)
def test_the_limits_of_a_service_are_kept(
    limits: tuple[tuple[int, float], ...], most: dict[int, int]
) -> None:
    now = 0.0
    calls: list[float] = []

    def pause(seconds: float) -> None:
        nonlocal now
        now += seconds

    quotas = buckets(*limits, clock=lambda: now, pause=pause)
    while len(calls) < 2500:
        for quota in quotas:
            quota.take()
        calls.append(now)
        now += 0.01
    for window, allowed in most.items():
        first = 0
        for last, at in enumerate(calls):
            while calls[first] <= at - window:
                first += 1
            assert last - first + 1 <= allowed, (window, at)
