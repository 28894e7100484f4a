"""The engine, over a real ledger and real readers."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from mails import hard

from bouncesink import engine as engine_module
from bouncesink import verp
from bouncesink.config import Config, MailboxConfig
from bouncesink.engine import Engine
from bouncesink.engine.rebuild import rebuild
from bouncesink.identity import arrival_id
from bouncesink.ledger import ArrivalState, Ledger, open_ledger
from bouncesink.model import Act, ActionKind, ActionState, Arrival, Lead, Severity, TrustLevel
from bouncesink.reader import ReaderPool

CONFIG = Config()
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def arrival(text: str, received_at: datetime = NOW) -> Arrival:
    raw, to = text.encode(), "bounces@example.com"
    return Arrival(arrival_id(raw, to), "lmtp", "", to, received_at, raw)


@pytest.fixture
def pool(readers: ReaderPool) -> ReaderPool:
    return readers


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(open_ledger(tmp_path / "x.db")) as ledger:
        yield ledger


def soft(number: int, message: int, day: int) -> str:
    text = hard(number, message).replace("5.1.1", "5.2.2").replace("550", "552")
    date = (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day)).strftime("%a, %d %b %Y")
    return text.replace("User unknown", "Mailbox full").replace("Mon, 02 Mar 2026", date)


def test_the_third_strike_makes_it_hard_whatever_the_order(
    ledger: Ledger, pool: ReaderPool
) -> None:
    engine = Engine(ledger, CONFIG)
    mails = [soft(n, n, day) for n, day in ((1, 20), (2, 0), (3, 10))]
    for mail in [*mails, soft(4, 1, 20), mails[0]]:
        ledger.append([arrival(mail)])
        engine.drain(pool)
    contact = ledger.contacts(["lead@example.org"])["lead@example.org"]
    assert (contact.bounce_type, contact.bounce_count) == (Severity.HARD, 3)
    assert not contact.mailable


def test_a_reinstatement_cancels_what_was_to_be_done(ledger: Ledger, pool: ReaderPool) -> None:
    ledger.put_leads([Lead("1", "lead@example.org", "lead@example.org")])
    ledger.append([arrival(hard())])
    engine = Engine(ledger, CONFIG, clock=lambda: NOW + timedelta(hours=1))
    assert engine.drain(pool).actions == 4
    engine.act(Act.REINSTATE, "lead@example.org", "operator", "they wrote back")
    assert ledger.contacts(["lead@example.org"])["lead@example.org"].mailable
    assert {action.state for action in ledger.list_actions()} == {ActionState.CANCELLED}

    again = hard(2, 2).replace("Mon, 02 Mar", "Wed, 04 Mar")
    ledger.append([arrival(again, NOW + timedelta(days=3))])
    assert engine.drain(pool).actions == 4
    assert not ledger.contacts(["lead@example.org"])["lead@example.org"].mailable
    assert len(ledger.list_actions(state=ActionState.PENDING)) == 4


def test_what_cannot_be_tied_to_our_mail_goes_to_review(ledger: Ledger, pool: ReaderPool) -> None:
    config = replace(CONFIG, mailboxes=(MailboxConfig("outreach@example.com"),))
    ledger.append([arrival(hard())])
    Engine(ledger, config).drain(pool)
    assert ledger.contacts(["lead@example.org"])["lead@example.org"].mailable
    (action,) = ledger.list_actions()
    assert (action.kind, action.payload["why"]) == (ActionKind.REVIEW, "doubtful")


def test_the_same_notification_by_a_better_way_raises_its_trust(
    ledger: Ledger, pool: ReaderPool
) -> None:
    key = b"0123456789abcdef0123456789abcdef"
    box = MailboxConfig("outreach@example.com")
    engine = Engine(ledger, replace(CONFIG, mailboxes=(box,)))
    engine._knowledge = replace(engine._knowledge, verp_keys=(key,))
    raw = hard().encode()
    token = verp.sign("lead@example.org", key, NOW.date())
    for to, mailable in (
        ("bounces@example.com", True),
        (f"bounces+{token}@example.com", False),
        ("bounces@example.com", False),
    ):
        ledger.append([Arrival(arrival_id(raw, to), "lmtp", "", to, NOW, raw)])
        engine.drain(pool)
        assert ledger.contacts(["lead@example.org"])["lead@example.org"].mailable is mailable
    assert ledger.totals().events == 1
    for apply in (False, True, False):
        assert rebuild(engine, pool, apply=apply) == []
    (event,) = ledger.events_of(["lead@example.org"])["lead@example.org"]
    assert event.trust
    assert event.trust.level is TrustLevel.PROVEN
    assert {action.state for action in ledger.list_actions()} == {ActionState.CANCELLED}


def test_a_bounce_that_a_person_forwarded_inline_goes_to_review(
    ledger: Ledger, pool: ReaderPool
) -> None:
    inline = (
        "From: colleague@example.com\nTo: bounces@example.com\nSubject: Fwd: failure\n"
        "Message-ID: <forward@example.com>\n\nlook at this\n\n"
        "---------- Forwarded message ---------\n"
        "From: Mail Delivery System <MAILER-DAEMON@mx.example.net>\n"
        "Date: Mon, 2 Mar 2026\nSubject: Undelivered Mail Returned to Sender\n"
        "To: <outreach@example.com>\n\n"
        "This is the mail system at host mx.example.net.\n\n"
        "I'm sorry to have to inform you that your message could not\n"
        "be delivered to one or more recipients. It's attached below.\n\n"
        "<lead@example.org>: host mx.example.org[192.0.2.1] said: 550 5.1.1\n"
        "    <lead@example.org>: User unknown (in reply to RCPT TO command)\n"
    )
    ledger.append([arrival(inline)])
    Engine(ledger, CONFIG).drain(pool)
    (event,) = ledger.events_of(["lead@example.org"])["lead@example.org"]
    assert event.verdict
    assert event.verdict.severity is Severity.HARD
    assert ledger.contacts(["lead@example.org"])["lead@example.org"].mailable
    assert [action.kind for action in ledger.list_actions()] == [ActionKind.REVIEW]


@pytest.mark.parametrize("worst_first", [True, False])
def test_of_an_alias_that_failed_for_two_targets_the_worst_counts(
    ledger: Ledger, pool: ReaderPool, worst_first: bool
) -> None:
    unknown = (
        "Original-Recipient: rfc822; team@example.org\n"
        "Final-Recipient: rfc822; gone@example.org\nAction: failed\nStatus: 5.1.1\n"
        "Diagnostic-Code: smtp; 550 5.1.1 User unknown\n"
    )
    full = unknown.replace("gone@", "full@").replace("5.1.1", "5.2.2").replace("550", "552")
    groups = [unknown, full.replace("User unknown", "Mailbox full")]
    text = hard()
    start = text.index("Final-Recipient")
    end = text.index("--b\nContent-Type: message/rfc822")
    groups = groups if worst_first else groups[::-1]
    ledger.append([arrival(text[:start] + "\n".join(groups) + "\n" + text[end:])])
    Engine(ledger, CONFIG).drain(pool)
    assert [event.verdict.category for event in ledger.all_events()] == ["user_unknown"]
    contact = ledger.contacts(["team@example.org"])["team@example.org"]
    assert (contact.bounce_type, contact.bounce_count) == (Severity.HARD, 1)


def test_an_events_file_is_the_operators_word(ledger: Ledger, pool: ReaderPool) -> None:
    config = replace(CONFIG, mailboxes=(MailboxConfig("outreach@example.com"),))
    entry = b'{"code":"550 5.1.1","date":"2026-03-01","email":"lead@example.org"}'
    ledger.append(
        [Arrival(arrival_id(entry, ""), "events", "", "", NOW, entry, "application/json")]
    )
    Engine(ledger, config).drain(pool)
    assert not ledger.contacts(["lead@example.org"])["lead@example.org"].mailable


def test_an_arrival_that_we_fail_at_waits_in_review_and_holds_up_none(
    ledger: Ledger, pool: ReaderPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failure is made: a defect of ours that one arrival alone brings out."""
    real = engine_module.make_events

    def defect(one: Arrival, *rest: object) -> object:
        if b"original-2@" in one.raw:
            raise ZeroDivisionError
        return real(one, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(engine_module, "make_events", defect)
    ledger.append([arrival(hard(n, n)) for n in (1, 2, 3)])
    assert Engine(ledger, CONFIG).drain(pool).arrivals == 3
    assert ledger.totals().arrivals == {ArrivalState.DONE: 2, ArrivalState.REVIEW: 1}
    assert ledger.contacts(["lead@example.org"])["lead@example.org"].bounce_count == 2
    (review,) = ledger.list_actions(ActionKind.REVIEW)
    assert "ZeroDivisionError" in review.payload["note"]


def test_two_engines_on_one_ledger_count_once(tmp_path: Path, pool: ReaderPool) -> None:
    path = tmp_path / "x.db"
    with closing(open_ledger(path)) as one, closing(open_ledger(path)) as two:
        one.append([arrival(hard(n, n)) for n in range(1, 8)])
        batch = one.pending(100)
        assert Engine(two, CONFIG).drain(pool).events == 7
        late = Engine(one, CONFIG)
        readings = list(pool.read_many(batch))
        done = engine_module.Drained()
        late._record_safely(batch, readings, done)
        assert (done.events, done.actions) == (0, 0)
        assert one.contacts(["lead@example.org"])["lead@example.org"].bounce_count == 7


def test_the_strict_profile_is_to_the_letter(ledger: Ledger, pool: ReaderPool) -> None:
    blocked = hard().replace("5.1.1", "5.7.1").replace("User unknown", "blocked by a block list")
    ledger.append([arrival(blocked)])
    engine = Engine(ledger, CONFIG)
    engine.drain(pool)
    assert ledger.contacts(["lead@example.org"])["lead@example.org"].mailable
    strict = replace(CONFIG, policy=replace(CONFIG.policy, profile="rfc5321"))
    Engine(ledger, strict).redecide(["lead@example.org"])
    assert not ledger.contacts(["lead@example.org"])["lead@example.org"].mailable
