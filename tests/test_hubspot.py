"""HubSpot by its API: each answer ends in a state that a person can see."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from commands import Run
from http_service import Reply
from hubspot_server import TOKEN, HubSpotServer
from queue_support import Queue, bounce, opened

from bouncesink.config import HubSpotConfig, load
from bouncesink.engine import Engine, utcnow
from bouncesink.ledger import open_ledger
from bouncesink.model import Act, ActionKind, ActionState
from bouncesink.outbox.hubspot import HubSpot
from bouncesink.outbox.worker import LEASE, Worker

MARK = "|BOUNCE:HARD:2026-03-02"
KEY = "hubspot_proposal:lead@example.org:0"


@pytest.fixture
def server() -> Iterator[HubSpotServer]:
    server = HubSpotServer()
    yield server
    server.close()


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    with opened(tmp_path, ActionKind.HUBSPOT_PROPOSAL) as queue:
        yield queue


@pytest.fixture
def sink(server: HubSpotServer, tmp_path: Path) -> HubSpot:
    (tmp_path / "token").write_text(TOKEN + "\n")
    return HubSpot(HubSpotConfig(token_file=tmp_path / "token", base_url=server.url))


def propose(queue: Queue, address: str = "lead@example.org", *, approved: bool = True) -> str:
    return queue.add(
        address, approved=approved, lead_source_notes_append=MARK, email_bounced="true"
    )


def test_nothing_is_written_before_it_is_approved(
    server: HubSpotServer, queue: Queue, sink: HubSpot
) -> None:
    server.add("1", "lead@example.org", lead_source_notes="met at the fair")
    key = propose(queue, approved=False)
    queue.work(sink)
    assert not server.calls
    queue.ledger.move_action(key, (ActionState.PENDING,), ActionState.APPROVED, at=queue.now)
    queue.work(sink)
    assert server.contacts["1"]["lead_source_notes"] == f"met at the fair{MARK}"
    assert server.contacts["1"]["email_bounced"] == "true"
    done = queue.get(key)
    assert (done.state, done.actor, done.reason) == (
        ActionState.DONE,
        "hubspot",
        "contact 1 updated",
    )


def test_the_mark_is_not_repeated(server: HubSpotServer, queue: Queue, sink: HubSpot) -> None:
    server.add("1", "lead@example.org", lead_source_notes=f"x{MARK}", email_bounced="true")
    key = propose(queue)
    queue.work(sink)
    assert queue.get(key).reason == "HubSpot had it already"
    assert server.contacts["1"]["lead_source_notes"] == f"x{MARK}"
    assert server.count("POST", "update") == 0


def test_approval_can_be_automatic(server: HubSpotServer, queue: Queue, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    config = HubSpotConfig(tmp_path / "token", approve="auto", base_url=server.url + "/")
    server.add("1", "lead@example.org")
    propose(queue, approved=False)
    queue.work(HubSpot(config))
    assert server.contacts["1"]["lead_source_notes"] == MARK


def test_many_go_in_batches(server: HubSpotServer, queue: Queue, sink: HubSpot) -> None:
    for number in range(130):
        server.add(str(number), f"{number}@example.org")
        propose(queue, f"{number}@example.org")
    queue.work(sink)
    assert set(queue.states().values()) == {"done"}
    assert all(each["lead_source_notes"] == MARK for each in server.contacts.values())
    assert len(server.calls) == 4


def test_two_addresses_of_one_contact(server: HubSpotServer, queue: Queue, sink: HubSpot) -> None:
    server.add("1", "lead@example.org", hs_additional_emails="old@example.org;x@example.org")
    propose(queue)
    queue.add("old@example.org", approved=True, lead_source_notes_append="|BOUNCE:HARD:2026-01-01")
    queue.work(sink)
    assert set(queue.states().values()) == {"done"}
    assert server.contacts["1"]["lead_source_notes"] == f"{MARK}|BOUNCE:HARD:2026-01-01"


def test_a_contact_that_is_not_there_is_a_dead_letter(
    server: HubSpotServer, queue: Queue, sink: HubSpot
) -> None:
    server.add("1", "lead@example.org")
    propose(queue)
    key = propose(queue, "none@example.org")
    queue.work(sink)
    assert queue.states() == {"lead@example.org": "done", "none@example.org": "failed"}
    assert "no contact with the address none@example.org" in (queue.get(key).last_error or "")


def test_one_that_is_refused_fails_no_other(
    server: HubSpotServer, queue: Queue, sink: HubSpot
) -> None:
    for number in range(3):
        server.add(str(number), f"{number}@example.org")
        propose(queue, f"{number}@example.org")
    server.locked.add("1")
    queue.work(sink)
    assert queue.states() == {
        "0@example.org": "done",
        "1@example.org": "failed",
        "2@example.org": "done",
    }
    error = queue.get("hubspot_proposal:1@example.org").last_error or ""
    assert "a rule of this portal refuses it" in error


def test_a_note_that_is_full(server: HubSpotServer, queue: Queue, sink: HubSpot) -> None:
    server.add("1", "lead@example.org", lead_source_notes="x" * 65_530)
    key = propose(queue)
    queue.work(sink)
    assert "is full" in (queue.get(key).last_error or "")
    assert len(server.contacts["1"]["lead_source_notes"]) == 65_530


def test_an_unknown_property_waits_for_a_person(
    server: HubSpotServer, queue: Queue, sink: HubSpot
) -> None:
    server.add("1", "lead@example.org")
    server.known.remove("email_bounced")
    key = propose(queue)
    queue.work(sink)
    waiting = queue.get(key)
    assert (waiting.state, waiting.attempts) == (ActionState.APPROVED, 1)
    assert "HubSpot lacks a property" in (waiting.last_error or "")
    assert "Create lead_source_notes" in (waiting.last_error or "")
    assert waiting.next_attempt_at
    server.known.add("email_bounced")
    queue.later(60)
    queue.work(sink)
    assert queue.get(key).state is ActionState.DONE


def test_a_token_that_is_refused_and_then_replaced(
    server: HubSpotServer, queue: Queue, sink: HubSpot, tmp_path: Path
) -> None:
    server.add("1", "lead@example.org")
    server.token = "another"
    key = propose(queue)
    queue.work(sink)
    error = queue.get(key).last_error or ""
    assert "does not accept the token in" in error
    assert TOKEN not in error
    calls = len(server.calls)
    queue.work(sink)
    assert len(server.calls) == calls, "it rests"
    (tmp_path / "token").write_text("another")
    queue.later(60)
    queue.work(sink)
    assert queue.get(key).state is ActionState.DONE


@pytest.mark.parametrize("token", ["", "two\nlines", "ünicode"])
def test_a_token_file_without_a_token(
    queue: Queue, sink: HubSpot, tmp_path: Path, token: str
) -> None:
    (tmp_path / "token").write_text(token)
    key = propose(queue)
    queue.work(sink)
    assert "one line with the key is wanted" in (queue.get(key).last_error or "")


def test_retry_after_is_honoured(server: HubSpotServer, queue: Queue, sink: HubSpot) -> None:
    server.add("1", "lead@example.org")
    server.troubles.append(Reply(429, {"message": "ten secondly limit"}, {"Retry-After": "200"}))
    key = propose(queue)
    queue.work(sink)
    waiting = queue.get(key)
    assert waiting.next_attempt_at
    assert (waiting.next_attempt_at - queue.now).total_seconds() >= 200
    assert "asks us to slow down (429): ten secondly limit" in (waiting.last_error or "")
    queue.later(199)
    queue.work(sink, anew=True)
    assert len(server.calls) == 1, "nor after a restart"
    queue.later(2)
    queue.work(sink)
    assert queue.get(key).state is ActionState.DONE


@pytest.mark.parametrize(
    "reply",
    [
        Reply(502, b"<html>bad gateway</html>"),
        Reply(500, {"message": "internal error"}),
        Reply(200, b"<html>login</html>"),
        Reply(302, b"", {"Location": "http://127.0.0.1:9/"}),
        Reply(200, b"[" * 100_000),
        Reply(403, {"message": "requires scopes"}),
    ],
)
def test_trouble_backs_off_and_is_tried_again(
    server: HubSpotServer, queue: Queue, sink: HubSpot, reply: Reply
) -> None:
    server.add("1", "lead@example.org")
    key = propose(queue)
    waits = []
    for attempt in range(3):
        server.troubles.extend([reply, reply])
        queue.work(sink, anew=True)
        waiting = queue.get(key)
        assert (waiting.state, waiting.attempts) == (ActionState.APPROVED, attempt + 1)
        assert waiting.next_attempt_at
        waits.append((waiting.next_attempt_at - queue.now).total_seconds())
        queue.now = waiting.next_attempt_at
        server.troubles.clear()
    assert all(15 <= wait <= 120 for wait in waits)
    queue.work(sink, anew=True)
    assert queue.get(key).state is ActionState.DONE


def test_nobody_answers(queue: Queue, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    sink = HubSpot(HubSpotConfig(tmp_path / "token", base_url="http://127.0.0.1:9"))
    key = propose(queue)
    queue.work(sink)
    assert "HubSpot did not answer POST: Connection refused" in (queue.get(key).last_error or "")


CONFIG = """\
[hubspot]
token_file = "token"
base_url = "{url}"
"""


def start(run: Run, server: HubSpotServer) -> None:
    """A HARD lead, and the proposal about it approved."""
    Path("token").write_text(TOKEN)
    Path("c.toml").write_text(CONFIG.format(url=server.url))
    bounce("lead@example.org", leads={"7": "lead@example.org"})
    run("queue", "approve", "hubspot", "--config", "c.toml")
    server.add("1", "lead@example.org")


def test_the_command_shows_first_and_then_does(run: Run, server: HubSpotServer) -> None:
    start(run, server)
    shown = run("queue", "work", "--dry-run", "--config", "c.toml")
    assert "would call: POST http://127.0.0.1" in shown.out
    assert MARK in shown.out
    assert "1 action due, 1 call to make" in shown.out
    assert server.contacts["1"] == {"email": "lead@example.org"}
    done = run("queue", "work", "--config", "c.toml")
    assert (done.code, "1 done, 0 failed" in done.out) == (0, True)
    assert server.contacts["1"]["lead_source_notes"] == MARK
    server.token = "another"
    run("queue", "list", "--config", "c.toml")
    everything = shown.out + done.out + done.err + Path("bouncesink.db").read_text("latin-1")
    assert TOKEN not in everything


def test_the_command_says_what_is_wrong(run: Run, server: HubSpotServer) -> None:
    start(run, server)
    server.token = "another"
    result = run("queue", "work", "--config", "c.toml")
    assert (result.code, "does not accept the token" in result.out) == (4, True)
    assert "does not accept the token" in run("status", "--config", "c.toml").out
    assert run("queue", "work").code == 2


def test_a_reinstatement_at_the_last_moment_is_heeded(run: Run, server: HubSpotServer) -> None:
    start(run, server)

    def reinstate(_: object) -> None:
        server.before = lambda _: None
        acts = threading.Thread(target=_reinstate)
        acts.start()
        acts.join()

    server.before = reinstate
    assert run("queue", "work", "--config", "c.toml").code == 0
    assert server.count("POST", "read") == 1
    assert "lead_source_notes" not in server.contacts["1"]
    shown = run("queue", "show", KEY, "--config", "c.toml").out
    assert "state    cancelled" in shown
    assert "overtaken" in shown


def test_a_reinstatement_a_moment_too_late_is_told(run: Run, server: HubSpotServer) -> None:
    start(run, server)

    def reinstate(call: object) -> None:
        if server.count("POST", "update"):
            server.after = lambda _: None
            acts = threading.Thread(target=_reinstate)
            acts.start()
            acts.join()

    server.after = reinstate
    run("queue", "work", "--config", "c.toml")
    shown = run("queue", "show", KEY, "--config", "c.toml").out
    assert "overtaken, but it had just been carried out: contact 1 updated" in shown


def _reinstate() -> None:
    with closing(open_ledger(Path("bouncesink.db"))) as ledger:
        engine = Engine(ledger, load(Path("c.toml")))
        engine.act(Act.REINSTATE, "lead@example.org", "one", "they called")


@pytest.mark.parametrize("where", ["read", "update"])
def test_killed_in_the_middle_nothing_is_done_twice(
    run: Run, server: HubSpotServer, where: str
) -> None:
    """Killed after HubSpot has done it and before it answers: the worst moment."""
    start(run, server)
    reached, go_on = threading.Event(), threading.Event()

    def hold(_: object) -> None:
        if server.count("POST", where):
            reached.set()
            go_on.wait(60)

    server.after = hold
    with Path("output").open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "bouncesink", "queue", "work", "--config", "c.toml"],
            stdout=output,
            stderr=output,
        )
    assert reached.wait(60), Path("output").read_text()
    process.send_signal(signal.SIGKILL)
    process.wait()
    go_on.set()
    server.after = lambda _: None
    (left,) = run("queue", "show", KEY, "--json", "--config", "c.toml").lines
    assert (left["state"], left["next_attempt_at"] is not None) == ("claimed", True)
    assert "0 done" in run("queue", "work", "--config", "c.toml").out, "the claim still holds"
    _work_after_the_lease(server)
    assert server.contacts["1"]["lead_source_notes"] == MARK
    (done,) = run("queue", "show", KEY, "--json", "--config", "c.toml").lines
    assert done["state"] == "done"
    assert server.count("POST", "update") == 1


def _work_after_the_lease(server: HubSpotServer) -> None:
    with closing(open_ledger(Path("bouncesink.db"))) as ledger:
        sink = HubSpot(HubSpotConfig(Path("token"), base_url=server.url))
        Worker(ledger, sink, lambda: utcnow() + LEASE + timedelta(seconds=1)).step()
