"""The gate says the same however it is asked: for every way in which an address can stand."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from commands import Run
from web_support import Site, site

from bouncesink.config import Config, GateConfig, Policy
from bouncesink.engine import Engine
from bouncesink.engine.forget import forget
from bouncesink.engine.review import Decision
from bouncesink.ledger import open_ledger
from bouncesink.model import (
    Act,
    Category,
    Contact,
    DsnAction,
    Event,
    Kind,
    Reason,
    Report,
    Trust,
    TrustLevel,
    Verdict,
)
from bouncesink.service.policy import PolicyServer

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CONFIG = Config(policy=Policy(suppress_domains=True))
SAID = "smtp; 550 5.1.1 no such user here"


def told(day: int, category: Category, *, trust: TrustLevel = TrustLevel.PROVEN) -> Event:
    """What a notification said on a day; the address is put in later, here and below."""
    kind = {Category.COMPLAINT: Kind.FEEDBACK, Category.UNSUBSCRIBE: Kind.UNSUBSCRIBE}
    at = START + timedelta(days=day)
    return Event(
        id=f"told-{day}-{category}",
        kind=kind.get(category, Kind.FAILURE),
        address="",
        occurred_at=at,
        recorded_at=at,
        source="lmtp",
        report=Report("", DsnAction.FAILED, "rfc3464", status="5.1.1", diagnostic=SAID),
        verdict=Verdict(category, "a.rule"),
        trust=Trust(trust),
        message_id=f"m{day}@example.com",
    )


def acted(day: int, act: Act, target: str | None = None) -> Event:
    at = START + timedelta(days=day)
    return Event(
        id=f"act-{day}-{act}",
        kind=act,
        address="",
        occurred_at=at,
        recorded_at=at,
        source="cli",
        actor="tester",
        reason="a reason",
        target=target,
    )


HARD, SOFT = Category.USER_UNKNOWN, Category.MAILBOX_FULL
COMPLAINT, UNSUBSCRIBE = Category.COMPLAINT, Category.UNSUBSCRIBE
UNSURE = TrustLevel.DOUBTFUL

# An address, what happened to it, the reasons that hold, and the day since when one does.
STORIES: tuple[tuple[str, Sequence[Event], list[str], int | None], ...] = (
    ("new@example.org", [], [], None),
    ("soft@example.org", [told(1, SOFT)], [], None),
    ("hard@example.org", [told(1, HARD), told(2, HARD)], ["hard"], 1),
    ("strikes@example.org", [told(n, SOFT) for n in (1, 2, 3)], ["strikes"], 3),
    (
        "both@example.org",
        [*(told(n, SOFT) for n in (1, 2, 3)), told(4, HARD)],
        ["hard", "strikes"],
        3,
    ),
    ("unsure@example.org", [told(1, HARD, trust=UNSURE)], [], None),
    ("complained@example.org", [told(2, COMPLAINT), told(5, COMPLAINT)], ["complaint"], 2),
    (
        "surer@example.org",
        [told(2, COMPLAINT, trust=UNSURE), told(5, COMPLAINT)],
        ["complaint"],
        5,
    ),
    (
        "confirmed@example.org",
        [told(2, COMPLAINT, trust=UNSURE), acted(4, Act.CONFIRM, "told-2-complaint")],
        ["complaint"],
        4,
    ),
    (
        "dismissed@example.org",
        [told(2, COMPLAINT), told(3, COMPLAINT), acted(4, Act.DISMISS, "told-2-complaint")],
        ["complaint"],
        3,
    ),
    ("left@example.org", [told(2, UNSUBSCRIBE), told(1, HARD)], ["hard", "unsubscribe"], 1),
    ("manual@example.org", [acted(1, Act.SUPPRESS), acted(3, Act.SUPPRESS)], ["manual"], 1),
    (
        "again@example.org",
        [acted(1, Act.SUPPRESS), acted(2, Act.UNSUPPRESS), acted(3, Act.SUPPRESS)],
        ["manual"],
        3,
    ),
    ("let-go@example.org", [acted(1, Act.SUPPRESS), acted(2, Act.UNSUPPRESS)], [], None),
    ("reinstated@example.org", [told(1, HARD), acted(2, Act.REINSTATE)], [], None),
    (
        "not-cleared@example.org",
        [told(1, HARD), told(1, COMPLAINT), acted(2, Act.REINSTATE)],
        ["complaint"],
        1,
    ),
    (
        "hard-again@example.org",
        [told(1, HARD), acted(2, Act.REINSTATE), told(3, HARD)],
        ["hard"],
        3,
    ),
    ("first@gone.example", [told(1, Category.DOMAIN_UNKNOWN)], ["domain", "hard"], 1),
    ("second@gone.example", [], ["domain"], None),
    ("complained@gone.example", [told(2, COMPLAINT)], ["complaint", "domain"], 2),
    ("forgotten@example.org", [told(1, HARD)], ["forgotten"], None),
)


@pytest.fixture
async def asked(tmp_path: Path) -> AsyncIterator[Site]:
    async with site(tmp_path, CONFIG) as running:
        ledger = open_ledger(running.ledger)
        engine = Engine(ledger, CONFIG, clock=lambda: START + timedelta(days=10))
        for address, events, *_ in STORIES:
            engine.record([_about(address, event) for event in events])
        forget(engine, "forgotten@example.org", Decision("tester", "asked to"))
        ledger.close()
        yield running


def _about(address: str, event: Event) -> Event:
    target = event.target and f"{address} {event.target}"
    report = event.report and replace(event.report, recipient=address)
    return replace(event, id=f"{address} {event.id}", address=address, report=report, target=target)


def as_told(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name != "email"}


async def batch(running: Site, addresses: Sequence[str]) -> list[dict[str, Any]]:
    body = json.dumps({"addresses": addresses}).encode()
    answer = await running.ask("/v1/addresses", "POST", body, {"Content-Type": "application/json"})
    found: list[dict[str, Any]] = answer.json["addresses"]
    return found


async def test_however_it_is_asked_the_answer_is_one(asked: Site, tmp_path: Path, run: Run) -> None:
    addresses = [address for address, *_ in STORIES]
    (tmp_path / "bouncesink.toml").write_text(
        f'[ledger]\npath = "{asked.ledger}"\n[policy]\nsuppress_domains = true\n'
    )
    by_command = run("check", "--json", "--config", "bouncesink.toml", *addresses)
    assert by_command.code == 1
    told_by = dict(zip(addresses, by_command.lines, strict=True))
    some = await batch(asked, addresses)
    many = await batch(asked, [*addresses, *(f"a{n}@example.net" for n in range(500))])
    assert [as_told(each) for each in some] == list(told_by.values())
    assert [as_told(each) for each in many[: len(some)]] == list(told_by.values())
    gate = PolicyServer(replace(asked.context.config, gate=GateConfig()))
    for address, answer in told_by.items():
        alone = (await asked.ask(f"/v1/addresses/{address}")).json
        assert as_told(alone) == answer
        request = {"request": "smtpd_access_policy", "recipient": address}
        assert (gate._action(request) == "DUNNO") == answer["mailable"]
    await gate.stop()


async def test_why_and_since_when(asked: Site) -> None:
    found = {}
    for answer in await batch(asked, [address for address, *_ in STORIES]):
        since = answer["since"] and (datetime.fromisoformat(answer["since"]) - START).days
        found[answer["email"]] = (answer["reasons"], since)
        assert answer["mailable"] == (not answer["reasons"])
        assert (answer["said"] == SAID) == (answer["bounce_type"] == "HARD")
    assert found == {address: (reasons, day) for address, _, reasons, day in STORIES}


async def test_without_its_ledger_it_says_to_come_back(tmp_path: Path) -> None:
    async with site(tmp_path, CONFIG) as running:
        many = [f"a{n}@example.org" for n in range(500)]
        running.ledger.rename(tmp_path / "away.db")
        assert await statuses(running, many) == {503}
        running.ledger.write_bytes(b"no ledger at all" * 1000)
        assert await statuses(running, many) == {503}
        (tmp_path / "away.db").replace(running.ledger)
        assert await statuses(running, many) == {200}


async def statuses(running: Site, addresses: Sequence[str]) -> set[int]:
    """Ask in each way; give the statuses."""
    found = {(await running.ask(f"/v1/addresses/{addresses[0]}")).status}
    for some in (addresses[:2], addresses):
        body = json.dumps({"addresses": some}).encode()
        headers = {"Content-Type": "application/json"}
        found.add((await running.ask("/v1/addresses", "POST", body, headers)).status)
    return found


async def test_while_another_writes_it_answers(tmp_path: Path) -> None:
    async with site(tmp_path, CONFIG) as running:
        with closing(open_ledger(running.ledger)) as ledger, ledger.transaction():
            ledger.put_contacts([Contact("a@example.org", suppressed=frozenset({Reason.MANUAL}))])
            assert (await running.ask("/v1/addresses/a@example.org")).json["mailable"]
        assert not (await running.ask("/v1/addresses/a@example.org")).json["mailable"]
