"""What each provider tells by webhook, over real HTTP: the documented requests."""

import asyncio
import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from webhook_support import (
    CERTIFICATE,
    CONFIRM,
    LOGIN,
    PROVIDERS,
    cases,
    confirmation,
    golden,
    hooks,
    mandrill,
    outcomes,
    post,
    sns,
)

from bouncesink.classify import classify, load_rules
from bouncesink.engine.events import Known, make_events, settle
from bouncesink.ledger import ArrivalState
from bouncesink.model import Arrival, Kind, TrustLevel
from bouncesink.parse import Options, parse
from bouncesink.reader import Reading, read
from bouncesink.trust import Knowledge

NOTHING_KNOWN = Known(Knowledge(mailboxes=frozenset({"other@example.com"})), {}, {})


def reading(arrival: Arrival) -> Reading:
    return read(arrival, Options(), load_rules())


def described(arrival: Arrival) -> list[dict[str, Any]]:
    """What an arrival tells, in the words of the golden files."""
    notice = parse(arrival)
    when = notice.sent_at.isoformat() if notice.sent_at else None
    identity = "sha256:" if notice.identity.startswith("sha256:") else notice.identity
    return [
        {
            "kind": notice.kind.value,
            "recipient": report.recipient,
            "status": report.status,
            "reply_code": report.reply_code,
            "diagnostic": report.diagnostic,
            "category": classify(report, notice, load_rules()).category.value,
            "at": when,
            "message_id": notice.original.message_id,
            "from": notice.original.from_,
            "campaign": next(iter(notice.original.campaign.values()), None),
            "identity": identity,
        }
        for report in notice.reports
    ]


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_the_documented_requests_are_taken_and_read(tmp_path: Path, provider: str) -> None:
    async with hooks(tmp_path) as running:
        for case in cases(provider):
            before = len(running.stored())
            answer = await running.send(golden(provider, case))
            assert answer.status == 200, (case["name"], answer.json)
            new = running.stored()[before:]
            assert answer.json["taken"] == len(new), case["name"]
            assert {(each.source, each.media_type) for each in new} <= {
                (f"webhook:{provider}", "application/json")
            }
            if "told" in case:
                told = [each for arrival in new for each in described(arrival)]
                assert told == case["told"], case["name"]
                assert {settle(each, reading(each)).state for each in new} <= {ArrivalState.DONE}
            elif case.get("test"):
                assert [parse(each).kind for each in new] == [Kind.TEST_EVENT], case["name"]
                assert settle(new[0], reading(new[0])).state is ArrivalState.DONE
            else:
                (damage,) = parse(new[0]).damage
                assert damage == case["review"]
                assert settle(new[0], reading(new[0])).state is ArrivalState.REVIEW


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_retry_is_taken_and_changes_nothing(tmp_path: Path, provider: str) -> None:
    """As after an answer that was lost; and signed anew, as some do."""
    first = golden(provider, cases(provider)[0])
    again = golden(provider, cases(provider)[0])
    async with hooks(tmp_path) as running:
        assert (await running.send(first)).status == 200
        stored = running.stored()
        assert (await running.send(first)).status == 200
        assert running.stored() == stored
        assert (await running.send(again)).status == 200
        ids = {parse(each).identity for each in running.stored()}
        assert ids == {parse(each).identity for each in stored}


async def test_what_came_verified_is_proven_by_its_source_alone(tmp_path: Path) -> None:
    async with hooks(tmp_path) as running:
        await running.send(golden("sendgrid", cases("sendgrid")[0]))
        arrival = running.stored()[0]
    (event,) = make_events(arrival, reading(arrival), NOTHING_KNOWN)
    assert event.trust
    assert event.trust.level is TrustLevel.PROVEN
    assert "by the verified webhook of sendgrid" in event.trust.signals
    # The same bytes from a file, or by mail: no event of a provider, and no proof.
    for source, media_type in (
        ("replay", "message/rfc822"),
        ("replay", "application/json"),
        ("webhook:sendgrid", "message/rfc822"),
    ):
        copy = Arrival("a", source, "", "", arrival.received_at, arrival.raw, media_type)
        for each in make_events(copy, reading(copy), NOTHING_KNOWN):
            assert each.trust
            assert each.trust.level is not TrustLevel.PROVEN


def bytes_in(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.glob("ledger.db*"))


async def test_the_secret_that_older_bodies_have_is_not_kept(tmp_path: Path) -> None:
    deep = {"event_type": "EMAIL_BOUNCE", "to_email": "lead@example.org"}
    deep |= {"webhook": [{"Secret_Key": "must-not-be-kept"}], "secret_key": "must-not-be-kept"}
    async with hooks(tmp_path) as running:
        await running.send(golden("smartlead", cases("smartlead")[0]))
        await running.send(post("smartlead", deep))
        stored = running.stored()
        assert len(stored) == 2
        assert not [each for each in stored if b"must-not" in each.raw]
        everything = await asyncio.to_thread(bytes_in, tmp_path)
        assert b"8f2c-stats" in everything
        assert b"must-not-be-kept" not in everything


async def test_a_subscription_of_a_pinned_topic_is_confirmed(tmp_path: Path) -> None:
    async with hooks(tmp_path) as running:
        for version in ("1", "2"):
            answer = await running.send(confirmation(SignatureVersion=version))
            assert (answer.status, answer.json) == (200, {"taken": 0, "ignored": 1})
        assert running.web.asked == [CERTIFICATE, CONFIRM, CONFIRM]
        assert running.stored() == []


async def test_the_end_of_a_subscription_is_for_a_person(tmp_path: Path) -> None:
    async with hooks(tmp_path) as running:
        await running.send(confirmation(Type="UnsubscribeConfirmation"))
        (arrival,) = running.stored()
        assert running.web.asked == [CERTIFICATE]
    assert parse(arrival).damage == ("unknown event: SNS UnsubscribeConfirmation",)


async def test_the_certificate_is_fetched_once(tmp_path: Path) -> None:
    async with hooks(tmp_path) as running:
        for number in range(5):
            message = json.dumps({"notificationType": "Bounce", "bounce": {}, "n": number})
            version = "1" if number % 2 else "2"
            at = datetime.now().timestamp()
            posted = sns(message, at, SignatureVersion=version, Subject="A subject\nof two lines")
            assert (await running.send(posted)).status == 200
        assert running.web.asked == [CERTIFICATE]
        assert outcomes(running.told) == {"taken": 5}


async def test_mandrill_may_look_whether_we_are_there(tmp_path: Path) -> None:
    async with hooks(tmp_path) as running:
        probe = mandrill("[]", key="test-webhook")
        assert (await running.send(probe, "HEAD")).status == 200
        assert (await running.send(probe)).status == 200
        assert (await running.send(mandrill("[{}]", key="test-webhook"))).status == 403
        assert running.stored() == []


async def test_a_second_account_has_a_name_and_a_secret_of_its_own(tmp_path: Path) -> None:
    good = golden("postmark", cases("postmark")[0])
    async with hooks(tmp_path) as running:
        second = replace(good, path="second").but(Authorization="", X_Bounce_Secret=LOGIN)
        assert (await running.send(second)).status == 200
        assert (await running.send(second.but(X_Bounce_Secret="wrong"))).status == 401
        (arrival,) = running.stored()
    assert arrival.source == "webhook:postmark/second"
    assert parse(arrival).reports[0].status == "5.1.1"


async def test_a_new_secret_counts_at_once_beside_the_old(tmp_path: Path) -> None:
    async with hooks(tmp_path) as running:
        good = golden("smartlead", cases("smartlead")[0])
        (tmp_path / "smartlead.secret").write_text("quite another\n")
        assert (await running.send(good)).status == 403
        (tmp_path / "smartlead.secret").write_text("quite another\na key that both of us know\n")
        assert (await running.send(good)).status == 200
        (tmp_path / "smartlead.secret").unlink()
        answer = await running.send(good)
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")
