"""The gate over HTTP: one answer, many answers, who may ask, and what it says of itself."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from mails import HARD
from web_support import site

from bouncesink.config import Config, ParseConfig, Policy
from bouncesink.engine import Engine
from bouncesink.ledger import open_ledger
from bouncesink.model import Act, Arrival, Contact, Evidence, Reason, Severity
from bouncesink.reader import ReaderPool
from bouncesink.web import metrics
from bouncesink.web.tokens import new

AT = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
JSON = {"Content-Type": "application/json"}
GONE = Contact(
    "gone@example.org",
    Severity.HARD,
    1,
    AT,
    hard_since=AT,
    suppressed=frozenset({Reason.HARD}),
    evidence=(Evidence(AT, "5.1.1", "m1@example.com"),),
)


@pytest.fixture
async def gate(tmp_path):
    async with site(tmp_path) as running:
        with_contacts(running.ledger, GONE)
        yield running


def with_contacts(path, *contacts):
    ledger = open_ledger(path)
    ledger.put_contacts(contacts)
    ledger.close()


async def ask_several(gate, *addresses, headers=JSON):
    return await gate.ask(
        "/v1/addresses", "POST", json.dumps({"addresses": addresses}).encode(), headers
    )


async def test_a_blocked_address_comes_with_why_since_when_and_on_what(gate):
    answer = await gate.ask("/v1/addresses/Gone@Example.org")
    assert answer.status == 200
    assert answer.json == {
        "email": "Gone@Example.org",
        "address": "gone@example.org",
        "mailable": False,
        "reasons": ["hard"],
        "since": "2026-03-02T10:00:00.000Z",
        "bounce_type": "HARD",
        "bounce_count": 1,
        "evidence": [
            {
                "occurred_at": "2026-03-02T10:00:00.000Z",
                "code": "5.1.1",
                "message_id": "m1@example.com",
            }
        ],
        "said": None,
    }


async def test_an_address_that_nothing_is_known_of_may_be_mailed(gate):
    answer = await gate.ask("/v1/addresses/new@example.org")
    assert (answer.status, answer.json["mailable"], answer.json["reasons"]) == (200, True, [])


@pytest.mark.parametrize(
    "email", ['"a/b"@example.org', "a?b@example.org", "a+b@example.org", "jürgen@bücher.example"]
)
async def test_what_needs_quoting_in_a_path_is_found(gate, email):
    answer = await gate.ask(f"/v1/addresses/{quote(email, safe='')}")
    assert (answer.status, answer.json["email"]) == (200, email)


@pytest.mark.parametrize("email", ["nobody", "%00@example.org", "a@", "x" * 400])
async def test_what_is_no_address_is_refused(gate, email):
    assert (await gate.ask(f"/v1/addresses/{email}")).status == 400


async def test_several_are_answered_each_once_in_their_order(gate):
    answer = await ask_several(gate, "b@example.org", "GONE@example.org", "nobody", "b@example.org")
    assert answer.status == 200
    found = [(each["email"], each["mailable"]) for each in answer.json["addresses"]]
    assert found == [("b@example.org", True), ("GONE@example.org", False), ("nobody", False)]
    assert answer.json["addresses"][2]["error"] == "not an e-mail address"


async def test_ten_thousand_are_answered_and_one_more_is_refused(gate):
    answer = await ask_several(gate, *(f"a{n}@example.org" for n in range(9_999)), GONE.address)
    assert [each["mailable"] for each in answer.json["addresses"]] == [True] * 9_999 + [False]
    assert (await ask_several(gate, *(f"a{n}@example.org" for n in range(10_001)))).status == 400


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{}", JSON, 400),
        (b"[]", JSON, 400),
        (b"nonsense", JSON, 400),
        (b"[" * 100_000, JSON, 400),
        (b'{"addresses": "a@example.org"}', JSON, 400),
        (b'{"addresses": [1]}', JSON, 400),
        (b'{"addresses": ["\\ud800@example.org"]}', JSON, 400),
        (b'{"addresses": []}', {"Content-Type": "text/plain"}, 415),
        (b'{"addresses": []}', {}, 415),
        (b'{"addresses": []}', JSON, 200),
    ],
)
async def test_what_is_no_batch_is_refused(gate, body, headers, status):
    assert (await gate.ask("/v1/addresses", "POST", body, headers)).status == status


async def test_of_a_real_bounce_the_sentence_is_told(tmp_path):
    raw = HARD.encode()
    async with site(tmp_path) as running:
        ledger = open_ledger(running.ledger)
        ledger.append([Arrival("a1", "lmtp", "", "bounces@example.com", AT, raw)])
        engine = Engine(ledger, Config())
        with ReaderPool(ParseConfig(), None) as pool:
            engine.drain(pool)
        engine.act(Act.SUPPRESS, "lead@example.org", "tester", "asked by phone")
        ledger.close()
        answer = await running.ask("/v1/addresses/lead@example.org")
    assert answer.json["reasons"] == ["hard", "manual"]
    assert answer.json["since"].startswith("2026-03-02T10:00:00")
    assert "User unknown" in answer.json["said"]


async def test_a_domain_that_is_gone_blocks_all_of_it(tmp_path):
    async with site(tmp_path, Config(policy=Policy(suppress_domains=False))) as running:
        assert (await running.ask("/v1/addresses/a@gone.test")).json["mailable"]


async def test_with_tokens_only_their_holders_may_ask(tmp_path, run):
    made = run("token", "sequencer", "--json").lines[0]
    file = tmp_path / "tokens"
    file.write_text(f"# who may ask\n\n{made['line']}\n")
    assert made["token"] not in file.read_text()
    async with site(tmp_path, tokens=file) as running:
        for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": made["token"]}):
            answer = await running.ask("/v1/addresses/a@example.org", headers=headers)
            assert answer.status == 401
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert (
                await ask_several(running, "a@example.org", headers=JSON | headers)
            ).status == 401
        right = {"Authorization": f"bearer {made['token']}"}
        assert (await running.ask("/v1/addresses/a@example.org", headers=right)).status == 200
        assert (await ask_several(running, "a@example.org", headers=JSON | right)).status == 200
        file.write_text("")
        async with asyncio.timeout(10):
            while (await running.ask("/v1/addresses/a@example.org", headers=right)).status == 200:
                pass


@pytest.mark.parametrize("line", ["nonsense", "a:sha256:12", "a:sha256:" + "g" * 64])
async def test_a_wrong_file_of_tokens_stops_the_start_and_names_the_line(tmp_path, line):
    file = tmp_path / "tokens"
    file.write_text(f"\n{line}\n")
    with pytest.raises(Exception, match="tokens, line 2"):
        async with site(tmp_path, tokens=file):
            pass


@pytest.mark.parametrize("name", ["", "a b", "a:b", "#a", "a\n", "x" * 65])
def test_a_token_needs_a_plain_name(run, name):
    assert run("token", name).code == 2


async def test_the_description_describes_what_is_answered(gate):
    description = (await gate.ask("/v1/openapi.json")).json
    properties = description["components"]["schemas"]["Answer"]["properties"]
    answer = (await gate.ask("/v1/addresses/gone@example.org")).json
    assert set(answer) == set(properties) - {"error"}
    assert set(answer["reasons"]) <= set(properties["reasons"]["items"]["enum"])
    for path, methods in description["paths"].items():
        for method in methods:
            asked = await gate.ask(
                path.replace("{email}", "a@example.org"), method.upper(), b"{}", JSON
            )
            assert asked.status in {200, 400}


async def test_a_token_file_that_is_gone_is_told_and_lets_nobody_in(tmp_path):
    file = tmp_path / "tokens"
    file.write_text("")
    async with site(tmp_path, tokens=file) as running:
        file.unlink()
        async with asyncio.timeout(10):
            while (answer := await running.ask("/v1/addresses/a@example.org")).status == 401:
                pass
        assert answer.status == 503


async def test_metrics_need_a_token_where_the_gate_does(tmp_path):
    token, line = new("prometheus")
    file = tmp_path / "tokens"
    file.write_text(line)

    def routes(context):
        return metrics.routes(replace(context, metrics=lambda _: b"up 1\n"))

    async with site(tmp_path, routes=(routes,), tokens=file) as running:
        assert (await running.ask("/metrics")).status == 401
        answer = await running.ask("/metrics", headers={"Authorization": f"Bearer {token}"})
        assert (answer.status, answer.body) == (200, b"up 1\n")
    (tmp_path / "open").mkdir()
    async with site(tmp_path / "open", routes=(routes,)) as running:
        assert (await running.ask("/metrics")).status == 200
