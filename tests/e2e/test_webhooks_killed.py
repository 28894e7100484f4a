"""200 webhooks a second while `serve` is killed: every 2xx is in the ledger, and none twice."""

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from private_postfix import wait_until
from webhook_support import MANDRILL_URL, Post, post, providers

pytestmark = pytest.mark.e2e

SECONDS = float(os.environ.get("WEBHOOK_LOAD_SECONDS", "15"))
RATE = 200
PATIENCE = 120.0
"""Seconds for which a provider tries again: less than any does."""

CONFIG = """\
[ledger]
path = "ledger.db"
[lmtp]
listen = "127.0.0.1:0"
recipients = ["bounces@example.com"]
[web]
listen = "127.0.0.1:0"
[log]
format = "json"
"""


@dataclass
class Service:
    """`serve`, which comes back on another port each time."""

    folder: Path
    process: subprocess.Popen[bytes] | None = None
    url: str = ""
    starts: int = 0

    def start(self) -> None:
        self.starts += 1
        log = self.folder / f"serve-{self.starts}.log"
        command = [sys.executable, "-m", "bouncesink", "serve", "--config", "c.toml"]
        with log.open("wb") as file:
            self.process = subprocess.Popen(command, cwd=self.folder, stdout=file, stderr=file)
        wait_until(lambda: "web.listening" in log.read_text(), 30, "serve does not listen")
        lines = (json.loads(line) for line in log.read_text().splitlines() if '"event"' in line)
        on = next(line["on"] for line in lines if line["event"] == "web.listening")
        self.url = f"http://{on}/hooks/"

    def kill(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    tables = []
    for each in providers(tmp_path):
        table = {
            "provider": each.provider,
            "name": each.name,
            "secret_file": str(each.secret_file or ""),
            "topics": list(each.topics),
            "url": each.url,
            "header": each.header,
        }
        lines = [f"{key} = {json.dumps(value)}" for key, value in table.items() if value]
        tables.append("\n".join(["[[providers]]", *lines]))
    (tmp_path / "c.toml").write_text(CONFIG + "\n".join(tables) + "\n")
    service = Service(tmp_path)
    service.start()
    try:
        yield service
    finally:
        service.kill()


def bounce(number: int) -> tuple[str, Post]:
    """The Message-ID of a mail, and what one of the providers tells of it."""
    email, id_ = f"lead{number}@example.org", f"mail-{number}"
    said = "550 5.1.1 The email account that you tried to reach does not exist."
    message_id = f"{id_}@example.com"
    match number % 6:
        case 0:
            event = {
                "email": email,
                "event": "bounce",
                "timestamp": int(time.time()),
                "reason": said,
            }
            event |= {"sg_event_id": id_, "smtp-id": f"<{message_id}>", "type": "bounce"}
            return message_id, post("sendgrid", [event])
        case 1:
            record = {"RecordType": "Bounce", "ID": number, "Type": "HardBounce", "Email": email}
            return f"{id_}@mtasv.net", post(
                "postmark", record | {"MessageID": id_, "Details": said}
            )
        case 2:
            event = {"event": "failed", "severity": "permanent", "recipient": email, "id": id_}
            event |= {"message": {"headers": {"message-id": message_id}}}
            return message_id, post("mailgun", event | {"delivery-status": {"message": said}})
        case 3:
            msg = {"_id": id_, "email": email, "diag": said}
            assert MANDRILL_URL
            return id_, post(
                "mandrill", [{"event": "hard_bounce", "_id": id_, "ts": 1, "msg": msg}]
            )
        case 4:
            event = {"event_type": "EMAIL_BOUNCE", "to_email": email, "stats_id": id_}
            event |= {"sent_message": {"message_id": f"<{message_id}>"}}
            return message_id, post("smartlead", event | {"bounce_message": {"text": said}})
    entry = {"email": email, "date": int(time.time()), "reply": said, "message_id": message_id}
    return message_id, post("generic", entry)


@dataclass
class Load:
    """Sends at a steady rate, whatever is answered, and tries again as providers do."""

    service: Service
    taken: list[str] = field(default_factory=list)
    answers: Counter[object] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)

    async def run(self, seconds: float) -> None:
        timeout = aiohttp.ClientTimeout(total=10)
        connector = aiohttp.TCPConnector(limit=100)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
            began = time.monotonic()
            async with asyncio.TaskGroup() as group:
                for number in range(int(seconds * RATE)):
                    await asyncio.sleep(max(0.0, began + number / RATE - time.monotonic()))
                    group.create_task(self._tell(session, number))

    async def _tell(self, session: aiohttp.ClientSession, number: int) -> None:
        message_id, told = bounce(number)
        until, pause = time.monotonic() + PATIENCE, 0.5
        while time.monotonic() < until:
            began = time.monotonic()
            try:
                url = self.service.url + told.path
                async with session.post(url, data=told.body, headers=told.headers) as answer:
                    self.answers[answer.status] += 1
                    if answer.status == 200:
                        self.seconds.append(time.monotonic() - began)
                        self.taken.append(message_id)
                        return
            except (aiohttp.ClientError, OSError):
                self.answers["no answer"] += 1
            await asyncio.sleep(pause)
            pause = min(pause * 2, 8.0)


async def test_every_2xx_is_in_the_ledger_though_serve_is_killed(service: Service) -> None:
    load = Load(service)
    sending = asyncio.create_task(load.run(SECONDS))
    await asyncio.sleep(SECONDS / 2)
    await asyncio.to_thread(service.kill)
    at_the_kill = len(load.taken)
    await asyncio.to_thread(service.start)
    await sending
    slowest = sorted(load.seconds)
    print(
        f"{len(load.taken)} taken ({at_the_kill} at the kill), answers {dict(load.answers)}, "
        f"median {slowest[len(slowest) // 2] * 1000:.1f} ms, "
        f"99 % within {slowest[len(slowest) * 99 // 100] * 1000:.1f} ms"
    )
    assert 0 < at_the_kill < len(load.taken)
    assert set(load.answers) <= {200, 503, "no answer"}
    assert load.answers["no answer"] > 0
    assert len(load.taken) == int(SECONDS * RATE)  # each was heard in the end
    await asyncio.to_thread(
        wait_until,
        lambda: ask(service, PENDING) == [(0,)],
        60,
        "the engine does not come to an end",
    )
    recorded = Counter(
        message_id for (message_id,) in ask(service, "SELECT message_id FROM events")
    )
    assert set(load.taken) <= set(recorded)
    assert set(recorded.values()) == {1}
    hard = "SELECT count(*) FROM contacts WHERE bounce_type = 'HARD' AND bounce_count = 1"
    assert ask(service, hard) == ask(service, "SELECT count(*) FROM contacts")


PENDING = "SELECT count(*) FROM arrivals WHERE state = 'pending'"


def ask(service: Service, sql: str) -> list[tuple[object, ...]]:
    path = service.folder / "ledger.db"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return connection.execute(sql).fetchall()
