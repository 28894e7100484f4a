"""What is kept for how long, over a real ledger and real readers."""

import base64
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from mails import HARD, hard

from bouncesink.config import Config, RetentionConfig
from bouncesink.engine import Engine
from bouncesink.engine.cutting import Form, cut
from bouncesink.engine.rebuild import rebuild
from bouncesink.engine.retention import Maintained, Retention
from bouncesink.identity import arrival_id
from bouncesink.ledger import ArrivalState, Ledger, open_ledger
from bouncesink.model import Act, ActionKind, Arrival, Kind, Lead, Severity
from bouncesink.reader import ReaderPool

SAMPLES = sorted((Path(__file__).parents[1] / "samples").glob("*.eml"))
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
YEARS = NOW + timedelta(days=800)
CONFIG = Config()
BODY = b"would a sample of our lamps be of use to you"


def arrival(raw: bytes, received_at: datetime = NOW) -> Arrival:
    to = "bounces@example.com"
    return Arrival(arrival_id(raw, to), "lmtp", "", to, received_at, raw)


@pytest.fixture
def pool(readers: ReaderPool) -> ReaderPool:
    return readers


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    with closing(open_ledger(path)) as ledger:
        yield ledger


def maintained(
    ledger: Ledger, pool: ReaderPool, at: datetime, *, dry: bool = False, **changed: object
) -> Maintained:
    retention = RetentionConfig(**changed)  # type: ignore[arg-type]
    engine = Engine(ledger, replace(CONFIG, retention=retention), clock=lambda: at)
    return Retention(engine, pool, dry=dry).run()


def drained(ledger: Ledger, pool: ReaderPool, *raws: bytes, at: datetime = NOW) -> Engine:
    ledger.append([arrival(raw, at) for raw in raws])
    engine = Engine(ledger, CONFIG, clock=lambda: at)
    engine.drain(pool)
    return engine


def raws(ledger: Ledger) -> dict[str, bytes]:
    return {each.id: each.raw for batch in ledger.all_arrivals(100) for each in batch}


def test_every_sample_reads_the_same_at_each_age(ledger: Ledger, pool: ReaderPool) -> None:
    engine = drained(ledger, pool, *(path.read_bytes() for path in SAMPLES))
    events = {event.id: event for event in ledger.all_events()}
    before = raws(ledger)

    young = maintained(ledger, pool, NOW)
    assert young.bodies_uncut == 0
    assert young.bodies_cut >= sum(BODY in raw for raw in before.values()) > 20
    assert rebuild(engine, pool, apply=False) == []
    bodiless = raws(ledger)
    assert bodiless.keys() == before.keys()
    assert sum(map(len, bodiless.values())) < sum(map(len, before.values()))
    waits = {settlement.arrival_id for settlement in ledger.in_review()}
    assert not [id_ for id_, raw in bodiless.items() if BODY in raw and id_ not in waits]

    old = maintained(ledger, pool, NOW + timedelta(days=91))
    assert old.raw_cut + old.raw_erased == len(SAMPLES) - len(waits)
    # What a person wrote, or a machine that answers for one, goes whole; bounces never do.
    assert old.raw_erased <= 6
    assert rebuild(engine, pool, apply=True) == []
    assert {event.id: event for event in ledger.all_events()} == events
    small = raws(ledger)
    assert sum(map(len, small.values())) < sum(map(len, bodiless.values()))
    gone = before.keys() - small.keys()
    assert not any(e.report for some in ledger.events_of_arrivals(gone).values() for e in some)


def test_a_second_maintenance_finds_nothing_to_do(ledger: Ledger, pool: ReaderPool) -> None:
    drained(ledger, pool, hard().encode())
    for at in (NOW, NOW + timedelta(days=91), YEARS):
        assert maintained(ledger, pool, at) != Maintained()
        assert maintained(ledger, pool, at) == Maintained()


def test_a_dry_run_says_what_would_be_and_writes_nothing(ledger: Ledger, pool: ReaderPool) -> None:
    drained(ledger, pool, hard().encode())
    before = raws(ledger)
    for at in (NOW, NOW + timedelta(days=91), YEARS):
        would = maintained(ledger, pool, at, dry=True)
        assert would == maintained(ledger, pool, at, dry=True)
        assert would != Maintained()
    assert raws(ledger) == before


def test_a_returned_body_goes_and_its_headers_stay(ledger: Ledger, pool: ReaderPool) -> None:
    drained(ledger, pool, hard().encode())
    assert maintained(ledger, pool, NOW).bodies_cut == 1
    (raw,) = raws(ledger).values()
    assert b"\r\nhello\r\n" not in raw
    assert b"Message-ID: <original-1@example.com>" in raw
    assert b"Diagnostic-Code: smtp; 550 5.1.1 <Lead@example.org>: User unknown" in raw
    assert b"It could not be delivered." in raw


def test_bodies_stay_where_the_config_says_so_until_raw_days(
    ledger: Ledger, pool: ReaderPool
) -> None:
    drained(ledger, pool, hard().encode())
    assert maintained(ledger, pool, NOW, keep_bodies=True) == Maintained()
    assert raws(ledger) == {arrival(hard().encode()).id: hard().encode()}
    month = NOW + timedelta(days=30)
    assert maintained(ledger, pool, month, keep_bodies=True, raw_days=29).raw_cut == 1
    (raw,) = raws(ledger).values()
    assert b"hello" not in raw
    assert b"It could not be delivered." not in raw
    assert b"Diagnostic-Code" in raw


def test_a_redelivery_of_what_was_cut_is_still_known(ledger: Ledger, pool: ReaderPool) -> None:
    drained(ledger, pool, hard().encode())
    for at in (NOW, NOW + timedelta(days=91), YEARS):
        maintained(ledger, pool, at)
        assert ledger.append([arrival(hard().encode())]) == [False]


def test_without_a_message_id_the_notification_stays_the_one_it_was(
    ledger: Ledger, pool: ReaderPool
) -> None:
    nameless = HARD.replace("Message-ID: <notice-1@mx.example.net>\n", "").encode()
    engine = drained(ledger, pool, nameless)
    (event,) = ledger.all_events()
    for at in (NOW, NOW + timedelta(days=91)):
        maintained(ledger, pool, at)
        assert rebuild(engine, pool, apply=True) == []
        assert list(ledger.all_events()) == [event]


def test_what_waits_for_a_person_keeps_all_until_it_is_decided(
    ledger: Ledger, pool: ReaderPool
) -> None:
    unclear = hard().replace("message/delivery-status", "application/x-nothing").encode()
    unclear = unclear.replace(b"<Lead@example.org>: User unknown", b"no").replace(b"Lead@", b"@")
    drained(ledger, pool, unclear)
    (settlement,) = ledger.in_review()
    assert maintained(ledger, pool, YEARS) == Maintained()
    assert list(raws(ledger).values()) == [unclear]
    ledger.settle([replace(settlement, state=ArrivalState.DONE)])
    assert maintained(ledger, pool, YEARS).raw_erased == 1


def test_after_two_years_the_state_stays_and_the_story_goes(
    path: Path, ledger: Ledger, pool: ReaderPool
) -> None:
    ledger.put_leads([Lead("L-1", "lead@example.org", "lead@example.org")])
    reply = (
        b"From: Lead@example.org\r\nTo: sales@example.com\r\nAuto-Submitted: auto-replied\r\n"
        b"Date: Mon, 02 Mar 2026 11:00:00 +0000\r\nSubject: Out of office\r\nMessage-ID: <away@example.org>\r\n\r\nBack soon.\r\n"
    )
    engine = drained(ledger, pool, hard().encode(), reply)
    engine.act(Act.SUPPRESS, "lead@example.org", "ops", "by telephone")
    before = ledger.contacts(["lead@example.org"])
    keys = {action.key for action in ledger.open_actions(["lead@example.org"])}

    almost = maintained(ledger, pool, NOW + timedelta(days=725))
    assert (almost.events_removed, almost.events_cut) == (0, 0)
    done = maintained(ledger, pool, YEARS)
    assert (done.events_removed, done.events_cut) == (1, 2)
    assert raws(ledger) == {}

    engine.redecide(["lead@example.org"])
    assert ledger.contacts(["lead@example.org"]) == before
    assert before["lead@example.org"].bounce_type is Severity.HARD
    assert {action.key for action in ledger.open_actions(["lead@example.org"])} == keys
    kinds = {event.kind: event for event in ledger.all_events()}
    assert kinds.keys() == {Kind.FAILURE, Act.SUPPRESS}
    assert kinds[Act.SUPPRESS].reason == "by telephone"
    with closing(sqlite3.connect(path)) as db:
        assert (
            db.execute("SELECT diagnostic, subject, sender, lead_id FROM events").fetchall()
            == [(None, None, None, None)] * 2
        )
    again = hard(2).encode()  # another notice about the same message, years later
    drained(ledger, pool, again, at=YEARS)
    assert ledger.contacts(["lead@example.org"])["lead@example.org"].bounce_count == 1


def test_a_sign_of_life_stays_while_somebody_is_to_ask(ledger: Ledger, pool: ReaderPool) -> None:
    ledger.put_leads([Lead("L-1", "lead@example.org", "lead@example.org")])
    reply = (
        b"From: Lead@example.org\r\nTo: sales@example.com\r\nAuto-Submitted: auto-replied\r\n"
        b"Date: Wed, 01 Jul 2026 10:00:00 +0000\r\nSubject: Out of office\r\n"
        b"Message-ID: <away@example.org>\r\n\r\nBack soon.\r\n"
    )
    drained(ledger, pool, hard().encode(), reply)
    (asked,) = ledger.list_actions(ActionKind.REVERIFY)
    assert maintained(ledger, pool, YEARS).events_removed == 0
    Engine(ledger, CONFIG, clock=lambda: YEARS).redecide(["lead@example.org"])
    assert ledger.list_actions(ActionKind.REVERIFY) == [asked]


def test_events_files_are_status_all_through(ledger: Ledger, pool: ReaderPool) -> None:
    raw = json.dumps(
        {
            "recipient": "a@example.org",
            "status": "5.1.1",
            "type": "bounce",
            "timestamp": NOW.isoformat(),
        }
    ).encode()
    ledger.append([replace(arrival(raw), media_type="application/json")])
    Engine(ledger, CONFIG, clock=lambda: NOW).drain(pool)
    for settlement in list(ledger.in_review()):
        ledger.settle([replace(settlement, state=ArrivalState.DONE)])
    maintained(ledger, pool, NOW + timedelta(days=91))
    assert list(raws(ledger).values()) == [raw]


def test_maintenance_stops_when_it_is_told_to(ledger: Ledger, pool: ReaderPool) -> None:
    drained(ledger, pool, hard().encode())
    engine = Engine(ledger, CONFIG, clock=lambda: YEARS)
    assert Retention(engine, pool, goes_on=lambda: False).run() == Maintained()


RETURNED = b"From: sales@example.com\nSubject: Hello\n"


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\n",
        b"no header section at all",
        b"Content-Type: multipart/mixed; boundary=b\n\n",
        b"Content-Type: multipart/mixed; boundary=b\n\n--b\n",
        b"Content-Type: multipart/mixed; boundary=b\n\n--b--\n--b\n\nx",
        b'Content-Type: multipart/mixed; boundary="b"\n\n' + b"--b\n" * 5000,
        b"Content-Type: message/rfc822\n\n" * 3000,
        b"Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\n!!!!",
        bytes(range(256)),
    ],
)
def test_cutting_bears_whatever_comes(raw: bytes, form: Form) -> None:
    made = cut(raw, RETURNED, form)
    assert len(made.replace(b"\r\n", b"\n")) <= len(raw) + 1


def test_an_encoded_returned_message_is_cut_too() -> None:
    inner = base64.encodebytes(RETURNED + b"\nhello, secret\n")
    raw = (
        b"Content-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/rfc822\n"
        b"Content-Transfer-Encoding: base64\n\n" + inner + b"--b--\n"
    )
    made = cut(raw, RETURNED, Form.BODILESS)
    assert b"Subject: Hello" in made
    assert b"base64" not in made
    assert base64.b64encode(b"secret")[:6] not in made
    assert b"secret" not in made


@pytest.mark.parametrize("quote", [b"", b"   ", b"> "])
def test_a_returned_message_in_the_text_ends_with_its_headers(quote: bytes) -> None:
    lines = [*RETURNED.splitlines(), b"", b"hello, secret"]
    raw = b"Subject: failure\n\nIt failed:\n\n" + b"\n".join(quote + line for line in lines)
    made = cut(raw, RETURNED, Form.BODILESS)
    assert b"It failed:" in made
    assert made.endswith(b"Subject: Hello\r\n")
