"""Others are told of each change of an address, once, signed."""

import base64
import json
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from commands import Run
from http_service import Call, Reply, Service
from mails import hard
from queue_support import NOW, Queue, opened

from bouncesink.config import WebhooksConfig
from bouncesink.fold import announce
from bouncesink.model import ActionKind, ActionState, Contact, Lead, Reason, Severity
from bouncesink.outbox.webhook import Webhooks

SECRET = "a secret of more than 24 octets"


GUIDE = (Path(__file__).parents[1] / "deploy" / "queues.md").read_text(encoding="utf-8")


class Receiver(Service):
    """Checks each signature as the guide tells its readers to."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = NOW.timestamp
        self.guide: dict[str, Any] = {}
        (code,) = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
        exec(code, self.guide)

    def answer(self, call: Call) -> Reply:
        self.guide["time"] = SimpleNamespace(time=self.clock)
        is_ours = self.guide["is_ours"](SECRET.encode(), call.headers, call.body)
        return Reply(204 if is_ours else 401)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    with opened(tmp_path, ActionKind.WEBHOOK) as queue:
        (tmp_path / "secret").write_text(SECRET)
        yield queue


def sink_of(queue: Queue, *urls: str) -> Webhooks:
    secret = queue.path.parent / "secret"
    return Webhooks(WebhooksConfig(urls, secret), lambda: queue.now)


def tell(queue: Queue, *urls: str, address: str = "lead@example.org") -> list[str]:
    before = Contact(address)
    after = replace(before, bounce_type=Severity.HARD, suppressed=frozenset({Reason.HARD}))
    actions = announce(before, after, [], urls, NOW)
    queue.ledger.add_actions(actions)
    return [action.key for action in actions]


def told(receiver: Receiver) -> list[tuple[str, list[str]]]:
    data = [call.json["data"] for call in receiver.calls]
    return [(each["address"], each["changes"]) for each in data]


CONFIG = """\
[webhooks]
urls = ["{url}/hook/?token=of-the-url"]
secret_file = "secret"
"""


def test_each_change_is_told_once(run: Run, receiver: Receiver) -> None:
    config = ("--config", "c.toml")
    receiver.clock = time.time
    Path("secret").write_text(SECRET)
    Path("c.toml").write_text(CONFIG.format(url=receiver.url))
    Path("leads.csv").write_text("LEAD ID,EMAIL\n7,lead@example.org\n")
    Path("a.eml").write_text(hard())
    Path("b.eml").write_text(hard(2, 2))
    run("replay", "a.eml", "--leads", "leads.csv", *config)
    run("replay", "a.eml", "b.eml", "--leads", "leads.csv", *config)
    run("review", "reinstate", "lead@example.org", "--reason", "they called", *config)
    assert run("queue", "work", *config).code == 0
    assert told(receiver) == [
        ("lead@example.org", ["hard", "blocked"]),
        ("lead@example.org", ["cleared", "reinstated", "released"]),
    ]
    first = receiver.calls[0]
    assert (first.path, first.query) == ("/hook/", {"token": "of-the-url"})
    assert first.json["type"] == "address.changed"
    data = first.json["data"]
    assert (data["mailable"], data["reasons"], data["bounce_type"]) == (False, ["hard"], "HARD")
    assert (data["before"]["mailable"], data["before"]["bounce_type"]) == (True, None)
    assert run("queue", "work", *config).out == "webhook: 0 done, 0 failed, 0 to be tried again.\n"
    kept = Path("bouncesink.db").read_text("latin-1")
    assert "of-the-url" not in kept
    assert SECRET not in kept


def test_the_signature_is_checked_by_the_receiver(receiver: Receiver, queue: Queue) -> None:
    (right,) = tell(queue, receiver.url)
    queue.work(sink_of(queue, receiver.url))
    assert queue.get(right).state is ActionState.DONE
    (queue.path.parent / "secret").write_text("another secret of over 24 octets")
    (wrong,) = tell(queue, receiver.url, address="other@example.org")
    queue.work(sink_of(queue, receiver.url))
    assert "the receiver answered 401" in (queue.get(wrong).last_error or "")


def test_the_guide_shows_what_is_told(receiver: Receiver, queue: Queue) -> None:
    before = Contact("lead@example.org")
    hard = frozenset({Reason.HARD})
    after = replace(before, bounce_type=Severity.HARD, bounce_count=1, suppressed=hard)
    leads = [Lead("7", "Lead@example.org", "lead@example.org")]
    (action,) = announce(before, after, leads, [receiver.url], NOW)
    (shown,) = re.findall(r"```json\n(.*?)```", GUIDE, re.DOTALL)
    assert json.loads(action.payload["body"]) == json.loads(shown)


def test_a_secret_in_the_form_of_the_standard(receiver: Receiver, queue: Queue) -> None:
    coded = "whsec_" + base64.b64encode(SECRET.encode()).decode()
    (queue.path.parent / "secret").write_text(coded)
    (key,) = tell(queue, receiver.url)
    queue.work(sink_of(queue, receiver.url))
    assert queue.get(key).state is ActionState.DONE


@pytest.mark.parametrize(
    ("secret", "words"), [("short", "at least 24 octets"), ("whsec_%%%", "base64 is wanted")]
)
def test_a_secret_that_is_none(receiver: Receiver, queue: Queue, secret: str, words: str) -> None:
    (queue.path.parent / "secret").write_text(secret)
    (key,) = tell(queue, receiver.url)
    queue.work(sink_of(queue, receiver.url))
    assert words in (queue.get(key).last_error or "")
    assert not receiver.calls


@pytest.mark.parametrize(
    ("reply", "state"),
    [
        (Reply(200, b"ok"), "done"),
        (Reply(202), "done"),
        (Reply(410), "failed"),
        (Reply(422, {"message": "no"}), "failed"),
        (Reply(301, None, {"Location": "http://127.0.0.1:9/"}), "pending"),
        (Reply(404), "pending"),
        (Reply(500, b"<html>"), "pending"),
        (Reply(429, None, {"Retry-After": "100"}), "pending"),
    ],
)
def test_each_answer_ends_in_a_state(
    receiver: Receiver, queue: Queue, reply: Reply, state: str
) -> None:
    receiver.troubles.append(reply)
    (key,) = tell(queue, receiver.url)
    queue.work(sink_of(queue, receiver.url))
    assert queue.get(key).state.value == state


def test_a_repetition_has_the_same_id_and_body(receiver: Receiver, queue: Queue) -> None:
    receiver.troubles.append(Reply(500))
    (key,) = tell(queue, receiver.url)
    sink = sink_of(queue, receiver.url)
    queue.work(sink)
    queue.later(120)
    queue.work(sink)
    first, second = receiver.calls
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == key
    assert first.body == second.body
    assert first.headers["webhook-timestamp"] != second.headers["webhook-timestamp"]


def test_a_receiver_that_is_down_holds_up_no_other(receiver: Receiver, queue: Queue) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        down = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        addresses = [f"{n}@example.org" for n in range(50)]
        keys = [tell(queue, down, receiver.url, address=address) for address in addresses]
        queue.work(sink_of(queue, down, receiver.url))
    assert {queue.get(key).state.value for _, key in keys} == {"done"}
    assert {queue.get(key).state.value for key, _ in keys} == {"pending"}
    assert "did not answer POST" in (queue.get(keys[0][0]).last_error or "")


def test_a_receiver_that_is_configured_no_longer(receiver: Receiver, queue: Queue) -> None:
    (key,) = tell(queue, "https://gone.example.com/x")
    queue.work(sink_of(queue, receiver.url))
    assert "names this receiver no longer" in (queue.get(key).last_error or "")


BLOCKED = Contact("a@example.org", suppressed=frozenset({Reason.MANUAL}))


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        (Contact("a@example.org"), Contact("a@example.org", bounce_count=1), []),
        (Contact("a@example.org"), Contact("a@example.org", Severity.SOFT), ["soft"]),
        (Contact("a@example.org"), BLOCKED, ["blocked"]),
        (BLOCKED, Contact("a@example.org"), ["released"]),
        (BLOCKED, replace(BLOCKED, suppressed=frozenset({Reason.COMPLAINT})), ["reasons"]),
        (BLOCKED, replace(BLOCKED, bounce_type=Severity.HARD), ["hard"]),
    ],
)
def test_what_is_a_change(before: Contact, after: Contact, changes: list[str]) -> None:
    leads = [Lead("7", "A@example.org", "a@example.org")]
    actions = announce(before, after, leads, ["https://x.example.com/secret-path"], NOW)
    told = [json.loads(action.payload["body"])["data"] for action in actions]
    assert [each["changes"] for each in told] == ([changes] if changes else [])
    assert all(each["leads"] == ["7"] for each in told)
    assert not any("secret-path" in str(action) for action in actions)
