"""What every Ledger promises. Another implementation passes by joining IMPLEMENTATIONS."""

import tempfile
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from bouncesink.errors import LedgerBusy, LedgerError
from bouncesink.identity import arrival_id
from bouncesink.ledger import ArrivalState, Ledger, Settlement, Totals, Trouble, open_ledger
from bouncesink.model import (
    OPEN,
    Act,
    Action,
    ActionKind,
    ActionState,
    Arrival,
    Category,
    Contact,
    DsnAction,
    Event,
    Evidence,
    Kind,
    Lead,
    Reason,
    Report,
    Send,
    Severity,
    Trust,
    TrustLevel,
    Verdict,
)

NOW = datetime(2026, 3, 1, 12, 0, 0, 123_000, tzinfo=UTC)


@dataclass(frozen=True)
class Implementation:
    """How to open a ledger in a folder, again and again."""

    open: Callable[..., Ledger]


def _open_sqlite(folder: Path, **options) -> Ledger:
    return open_ledger(folder / "ledger.db", **options)


IMPLEMENTATIONS = {"sqlite": Implementation(_open_sqlite)}


@pytest.fixture(params=IMPLEMENTATIONS)
def implementation(request) -> Implementation:
    return IMPLEMENTATIONS[request.param]


@pytest.fixture
def ledger(implementation, tmp_path) -> Iterator[Ledger]:
    ledger = implementation.open(tmp_path)
    yield ledger
    ledger.close()


@pytest.fixture
def other(implementation, ledger, tmp_path) -> Iterator[Ledger]:
    """A second one on the same data, that does not like to wait."""
    other = implementation.open(tmp_path, busy_timeout=0.05)
    yield other
    other.close()


def arrival(number: int, raw: bytes = b"", **changes) -> Arrival:
    raw = raw or b"Subject: %d\r\n\r\nbody\r\n" % number
    made = Arrival(
        arrival_id(raw, "bounces@example.com"),
        "lmtp",
        "",
        "bounces@example.com",
        NOW + timedelta(seconds=number),
        raw,
    )
    return replace(made, **changes)


def settlement(of: Arrival, **changes) -> Settlement:
    made = Settlement(of.id, ArrivalState.DONE, Kind.FAILURE, "rfc3464", f"<{of.id[:8]}@mx.test>")
    return replace(made, **changes)


def event(id_: str, address: str = "who@example.org", **changes) -> Event:
    made = Event(
        id=id_,
        kind=Kind.FAILURE,
        address=address,
        occurred_at=NOW,
        recorded_at=NOW,
        source="lmtp",
        report=Report(address, DsnAction.FAILED, "rfc3464", status="5.1.1", reply_code=550),
        verdict=Verdict(Category.USER_UNKNOWN, "code.5.1.1", "5.1.1"),
        trust=Trust(TrustLevel.PROVEN, ("signed return path",)),
    )
    return replace(made, **changes)


def action(key: str, **changes) -> Action:
    return replace(Action(key, ActionKind.REVIEW, NOW, address="who@example.org"), **changes)


# --- arrivals


def test_append_says_what_was_new_and_keeps_it_whole(ledger):
    first, second, third = (arrival(number) for number in range(3))
    assert ledger.append([first, second, first]) == [True, True, False]
    assert ledger.append([second, third]) == [False, True]
    assert ledger.append([]) == []
    assert ledger.pending(10) == [first, second, third]
    assert ledger.pending(2) == [first, second]


def test_append_takes_a_large_group_in_order(ledger):
    group = [arrival(number) for number in range(500)]
    assert ledger.append(group[:300]) == [True] * 300
    assert ledger.append(group) == [False] * 300 + [True] * 200
    assert ledger.pending(1000) == group


@pytest.mark.parametrize("raw", [b"\0", b"\xff\xfe\0\r\n", bytes(range(256)) * 4096], ids=len)
def test_any_bytes_come_back(ledger, raw):
    ledger.append([arrival(1, raw)])
    assert ledger.arrivals([arrival(1, raw).id])[0].raw == raw


def test_an_arrival_is_the_same_one_in_every_open_ledger(ledger, other):
    ledger.append([arrival(1)])
    assert other.append([arrival(1), arrival(2)]) == [False, True]
    assert ledger.arrivals([arrival(2).id, "unknown", arrival(1).id]) == [arrival(1), arrival(2)]


def test_pending_stops_when_the_bytes_are_enough_for_one_batch(ledger):
    big = [arrival(number, b"%d" % number * (33 << 20)) for number in range(2)]
    ledger.append([*big, arrival(3)])
    assert [each.id for each in ledger.pending(10)] == [each.id for each in big]
    assert [len(batch) for batch in ledger.all_arrivals(10)] == [2, 1]


def test_settling_takes_an_arrival_out_of_what_is_pending(ledger):
    group = [arrival(number) for number in range(3)]
    ledger.append(group)
    done = settlement(group[1], damage=("cut", "no boundary"), subject="Undeliverable")
    ledger.settle([done])
    assert ledger.pending(10) == [group[0], group[2]]
    assert ledger.settlements([each.id for each in group]) == {group[1].id: done}
    assert ledger.append(group) == [False] * 3
    assert ledger.pending(10) == [group[0], group[2]]


def test_settling_again_replaces_what_came_of_it(ledger):
    ledger.append([arrival(1)])
    ledger.settle([settlement(arrival(1))])
    totals = ledger.totals()
    ledger.settle([settlement(arrival(1))] * 2)
    assert ledger.totals() == totals
    revised = settlement(arrival(1), state=ArrivalState.REVIEW, kind=Kind.HUMAN, note="unreadable")
    ledger.settle([revised])
    assert ledger.settlements([arrival(1).id]) == {arrival(1).id: revised}
    assert ledger.totals().arrivals == {ArrivalState.REVIEW: 1}
    assert ledger.totals().kinds == {"human": 1}


def test_settling_what_is_not_there_does_nothing(ledger):
    ledger.settle([settlement(arrival(1))])
    assert ledger.settlements([arrival(1).id]) == {}
    assert ledger.totals() == Totals()


def test_what_waits_for_a_person_is_found(ledger):
    arrivals = [arrival(number) for number in range(3)]
    ledger.append(arrivals)
    ledger.settle([settlement(arrivals[0]), settlement(arrivals[1], state=ArrivalState.REVIEW)])
    assert [each.arrival_id for each in ledger.in_review()] == [arrivals[1].id]
    doubtful = Trust(TrustLevel.DOUBTFUL)
    ledger.add_events(
        [
            event("1", "sure@example.org"),
            event("2", "forged@example.org", trust=doubtful),
            event("3", "forged@example.org", trust=doubtful),
            event("4", "block@example.org", verdict=Verdict(Category.POLICY, "r")),
            event("5", "odd@example.org", verdict=Verdict(Category.UNKNOWN, "r"), trust=None),
        ]
    )
    wanted = ["block@example.org", "forged@example.org", "odd@example.org"]
    assert ledger.addresses_to_review() == wanted


@pytest.mark.parametrize("batch", [1, 2, 100])
def test_all_arrivals_gives_each_once_whatever_its_state(ledger, batch):
    group = [arrival(number) for number in range(5)]
    ledger.append(group)
    ledger.settle([settlement(group[0]), settlement(group[3], state=ArrivalState.REVIEW)])
    batches = list(ledger.all_arrivals(batch))
    assert [each for found in batches for each in found] == group
    assert max(map(len, batches)) <= batch


def test_confirmations_are_latest_first(ledger):
    group = [arrival(number) for number in range(4)]
    ledger.append(group)
    asked = [
        settlement(
            each,
            kind=Kind.FORWARDING_CONFIRMATION,
            confirmation_code=str(number),
            confirmation_link=f"https://mail.example.com/{number}",
        )
        for number, each in enumerate(group[1:])
    ]
    ledger.settle([settlement(group[0]), *asked])
    assert ledger.confirmations(2) == [asked[2], asked[1]]


# --- events


def test_an_event_is_stored_once(ledger):
    assert ledger.add_events([event("a"), event("b"), event("a")]) == [True, True, False]
    changed = event("a", subject="another")
    assert ledger.add_events([changed]) == [False]
    assert ledger.events_of(["who@example.org"]) == {"who@example.org": [event("a"), event("b")]}


def test_events_of_an_address_come_oldest_first(ledger):
    late, early = event("late"), event("early", occurred_at=NOW - timedelta(days=3))
    ledger.add_events([late, early, event("x", "else@example.org")])
    assert ledger.events_of(["who@example.org", "none@example.org"]) == {
        "who@example.org": [early, late]
    }


def test_trouble_is_known_from_its_beginning_to_its_end(ledger, other):
    assert other.troubles() == []
    ledger.put_trouble("sheet", "no access", NOW)
    ledger.put_trouble("sheet", "quota", NOW + timedelta(hours=1))
    ledger.put_trouble("engine", "full disk", NOW)
    assert other.troubles() == [Trouble("engine", "full disk", NOW), Trouble("sheet", "quota", NOW)]
    ledger.put_trouble("sheet", "", NOW)
    ledger.put_trouble("sheet", "", NOW)
    assert [each.part for each in other.troubles()] == ["engine"]


def test_trust_is_raised_and_never_lowered(ledger):
    levels = ["contradicted", "doubtful", "plausible", "unchecked", "proven", "plausible"]
    trusts = [Trust(TrustLevel(level), (f"as {level}",)) for level in levels]
    ledger.append([arrival(1)])
    ledger.add_events([event("e", trust=trusts[0])])
    raised = [ledger.raise_trust([event("e", trust=trust)])[0] for trust in trusts[1:]]
    assert raised == [True, True, False, True, False]
    (kept,) = ledger.events_of(["who@example.org"])["who@example.org"]
    assert kept.trust == Trust(TrustLevel.PROVEN, ("as proven",))
    assert ledger.raise_trust([event("other", trust=trusts[4])]) == [False]


def test_replacing_events_leaves_acts_and_other_arrivals_alone(ledger):
    ledger.append([arrival(1), arrival(2)])
    first, second = arrival(1).id, arrival(2).id
    act = event("act", arrival_id=first, kind=Act.CONFIRM, report=None, verdict=None, trust=None)
    kept = event("other", arrival_id=second)
    ledger.add_events([event("old", arrival_id=first), act, kept])
    revised = event("new", arrival_id=first, verdict=Verdict(Category.POLICY, "text.policy"))
    for _ in range(2):
        ledger.replace_events(first, [revised])
        assert ledger.events_of_arrivals([first, second, "unknown"]) == {
            first: [act, revised],
            second: [kept],
        }
    assert ledger.totals().severities == {"HARD": 1, "BLOCK": 1}
    ledger.replace_events(first, [])
    assert ledger.events_of_arrivals([first]) == {first: [act]}


def test_the_same_event_from_another_arrival_stays_where_it_was(ledger):
    ledger.append([arrival(1), arrival(2)])
    ledger.add_events([event("same", arrival_id=arrival(1).id)])
    ledger.replace_events(arrival(2).id, [event("same", arrival_id=arrival(2).id)])
    assert list(ledger.all_events()) == [event("same", arrival_id=arrival(1).id)]


def test_all_events_and_those_since(ledger):
    days = [event(f"{day:04}", occurred_at=NOW - timedelta(days=day)) for day in range(1200)]
    ledger.add_events(days)
    assert list(ledger.all_events()) == days
    since = [each for each in reversed(days) if each.occurred_at >= NOW - timedelta(days=700)]
    assert list(ledger.events_since(NOW - timedelta(days=700))) == since
    same = [event(f"same-{number}") for number in range(1200)]
    ledger.add_events(same)
    assert list(ledger.events_since(NOW)) == [days[0], *same]


def test_reading_all_events_goes_on_while_others_are_written(ledger):
    ledger.add_events([event(f"{number:04}") for number in range(1500)])
    reading = ledger.all_events()
    found = [next(reading).id]
    ledger.add_events([event("later")])
    found += [each.id for each in reading]
    assert found == [f"{number:04}" for number in range(1500)] + ["later"]


# --- contacts

CONTACT = Contact(
    "who@example.org",
    bounce_type=Severity.HARD,
    bounce_count=2,
    last_bounce_at=NOW,
    strikes=1,
    last_strike_at=NOW - timedelta(days=1),
    hard_since=NOW,
    hard_event="a",
    suppressed=frozenset({Reason.HARD, Reason.COMPLAINT}),
    evidence=(
        Evidence(NOW - timedelta(days=1), "4.2.2", "<one@example.com>"),
        Evidence(NOW, "5.1.1", "<two|:@example.com>"),
    ),
    reinstated=1,
)


def test_a_contact_is_as_it_was_last_put(ledger):
    ledger.put_contacts([Contact(CONTACT.address), Contact("else@example.org")])
    ledger.put_contacts([CONTACT])
    ledger.put_contacts([CONTACT])
    assert ledger.contacts(["who@example.org", "none@example.org", "else@example.org"]) == {
        "who@example.org": CONTACT,
        "else@example.org": Contact("else@example.org"),
    }
    assert ledger.totals().contacts == 2
    assert ledger.totals().suppressed == 1
    ledger.put_contacts([replace(CONTACT, suppressed=frozenset())])
    assert ledger.totals().suppressed == 0


def test_the_same_contact_twice_at_once_is_the_later_one(ledger):
    ledger.put_contacts([Contact(CONTACT.address), CONTACT])
    assert ledger.contacts([CONTACT.address]) == {CONTACT.address: CONTACT}


def test_all_contacts_gives_each_once(ledger):
    contacts = [Contact(f"{number:03}@example.org") for number in range(10)]
    ledger.put_contacts(contacts)
    assert list(ledger.all_contacts(4)) == [contacts[:4], contacts[4:8], contacts[8:]]


def test_the_suppressed_and_the_domains_that_do_not_exist(ledger):
    free, blocked = Contact("a@example.org"), frozenset({Reason.HARD})
    gone = Contact("b@gone.test", suppressed=blocked, bounce_type=Severity.HARD, hard_event="1")
    left = Contact("c@here.test", suppressed=blocked, bounce_type=Severity.HARD, hard_event="2")
    ledger.add_events(
        [
            event("1", "b@gone.test", verdict=Verdict(Category.DOMAIN_UNKNOWN, "r")),
            event("2", "c@here.test"),
        ]
    )
    ledger.put_contacts([left, free, gone])
    assert list(ledger.suppressed_contacts(1)) == [[gone], [left]]
    assert ledger.unknown_domains(["gone.test", "here.test", "example.org"]) == {"gone.test"}
    ledger.put_contacts([replace(gone, bounce_type=None, hard_event=None)])
    assert ledger.unknown_domains(["gone.test"]) == set()


def test_many_addresses_at_once(ledger):
    contacts = [Contact(f"{number}@example.org") for number in range(3000)]
    ledger.put_contacts(contacts)
    addresses = [contact.address for contact in contacts]
    assert ledger.contacts(iter(addresses)) == dict(zip(addresses, contacts, strict=True))


def test_what_was_sent_is_known_once_by_message_and_recipient(ledger):
    one = Send("1@example.com", "who@example.org", NOW, "spring", "sales@example.com")
    copy = Send("1@example.com", "also@example.org")
    other = Send("2@example.com", "who@example.org")
    assert ledger.put_sends([one, copy, one]) == [True, True, False]
    assert ledger.put_sends([replace(one, campaign="autumn"), other]) == [False, True]
    assert ledger.sends_of(["1@example.com", "2@example.com", "3@example.com"]) == {
        "1@example.com": [one, copy],
        "2@example.com": [other],
    }
    assert ledger.put_sends([]) == []


# --- leads


def test_put_leads_makes_these_all_the_leads_there_are(ledger):
    one, two = Lead("1", "Who@Example.org", "who@example.org"), Lead("2", "x@y.test", "x@y.test")
    twin, again = Lead("3", "who@example.org", "who@example.org"), Lead("1", "z@y.test", "z@y.test")
    for leads in ([one, two, twin, again], [two, one], [two, one], [again], [], [one, one]):
        ledger.put_leads(leads)
        assert list(ledger.all_leads()) == leads
        assert ledger.totals().leads == len(leads)
    ledger.put_leads([one, two, twin])
    assert ledger.leads_of(["who@example.org", "none@example.org"]) == {
        "who@example.org": [one, twin]
    }


def test_very_many_leads(ledger):
    leads = [Lead(str(n), f"{n}@example.org", f"{n}@example.org") for n in range(2500)]
    ledger.put_leads(leads)
    assert list(ledger.all_leads()) == leads


# --- actions


def test_an_action_is_stored_once_by_its_key(ledger):
    first = action("a", payload={"note": "Größe", "reason": "550 5.1.1"}, lead_id="7")
    second = action("b", kind=ActionKind.POSTCARD, address=None)
    assert ledger.add_actions([first, second, first]) == [True, True, False]
    assert ledger.add_actions([replace(first, lead_id="8")]) == [False]
    assert ledger.list_actions() == [first, second]
    assert ledger.list_actions(limit=1) == [first]
    assert ledger.list_actions(kind=ActionKind.POSTCARD) == [second]
    assert ledger.list_actions(state=ActionState.DONE) == []
    assert ledger.list_actions(ActionKind.REVIEW, ActionState.PENDING) == [first]


def test_actions_are_listed_by_priority_then_age(ledger):
    wanted = {"a": "3", "b": "2", "c": "1", "d": "x", "e": "1"}
    ledger.add_actions([action(key, payload={"priority": p}) for key, p in wanted.items()])
    assert [each.key for each in ledger.list_actions()] == ["c", "e", "b", "d", "a"]
    ledger.move_action("e", OPEN, ActionState.DONE, at=NOW)
    ledger.move_action("d", OPEN, ActionState.CLAIMED, at=NOW)
    found = ledger.list_actions(ActionKind.REVIEW, OPEN)
    assert [each.key for each in found] == ["c", "b", "d", "a"]
    assert [each.key for each in ledger.list_actions(state=(ActionState.DONE,))] == ["e"]


def test_an_action_is_moved_once_however_many_try(ledger, other):
    ledger.add_actions([action("a"), action("b")])
    move = {"at": NOW, "actor": "one", "reason": "they said so"}
    assert ledger.move_action("a", OPEN, ActionState.DONE, **move)
    assert not other.move_action("a", OPEN, ActionState.CANCELLED, at=NOW, actor="two")
    assert not other.move_action("none", OPEN, ActionState.DONE, at=NOW)
    done = replace(action("a"), state=ActionState.DONE, actor="one", moved_at=NOW)
    assert other.find_actions("a", 2) == [replace(done, reason="they said so")]
    assert ledger.totals().actions == {
        (ActionKind.REVIEW, ActionState.DONE): 1,
        (ActionKind.REVIEW, ActionState.PENDING): 1,
    }


def test_what_was_cancelled_can_be_called_for_again_but_not_what_a_person_closed(ledger):
    ledger.add_actions([action(key) for key in "abcd"])
    ledger.cancel_actions(["a", "b"], "overtaken")
    ledger.move_action("c", OPEN, ActionState.CANCELLED, at=NOW, actor="one", reason="no")
    ledger.reopen_actions(["a", "c", "d", "none"])
    found = {each.key: (each.state.value, each.reason) for each in ledger.list_actions()}
    assert found == {
        "a": ("pending", None),
        "b": ("cancelled", "overtaken"),
        "c": ("cancelled", "no"),
        "d": ("pending", None),
    }


def test_a_failed_attempt_is_counted_and_its_error_stays(ledger):
    ledger.add_actions([action("a")])
    claimed, pending = ActionState.CLAIMED, ActionState.PENDING
    for number in (1, 2):
        assert ledger.move_action("a", (pending,), claimed, at=NOW, actor="worker-1")
        later = NOW + timedelta(minutes=number)
        assert ledger.move_action(
            "a", (claimed,), pending, at=NOW, next_attempt_at=later, error="429"
        )
    assert ledger.move_action("a", (pending,), ActionState.DONE, at=NOW, actor="worker-2")
    (found,) = ledger.list_actions()
    assert (found.attempts, found.last_error, found.next_attempt_at) == (2, "429", None)
    assert (found.actor, found.reason) == ("worker-2", None)


def test_actions_are_due_when_their_time_has_come_or_their_claim_is_over(ledger):
    pending, approved, claimed = OPEN
    ledger.add_actions([action(key) for key in ("new", "later", "ok", "mine", "left", "done")])
    ledger.add_actions([action("other", kind=ActionKind.ALERT)])
    later = NOW + timedelta(minutes=1)
    ledger.move_action("later", OPEN, pending, at=NOW, next_attempt_at=later, error="429")
    ledger.move_action("ok", OPEN, approved, at=NOW)
    ledger.move_action("mine", OPEN, claimed, at=NOW, actor="a person")
    ledger.move_action("left", OPEN, claimed, at=NOW, actor="a program", next_attempt_at=later)
    ledger.move_action("done", OPEN, ActionState.DONE, at=NOW)

    def due(states, now, limit=9):
        return {each.key for each in ledger.due_actions(ActionKind.REVIEW, states, now, limit)}

    assert due([pending], NOW) == {"new"}
    assert due([pending, approved], NOW) == {"new", "ok"}
    assert due([approved], later) == {"ok", "left"}
    assert due([pending, approved], later) == {"new", "ok", "later", "left"}
    assert due([pending, approved], later, limit=1) == {"new"}


def test_troubled_actions_are_open_or_failed_with_an_error(ledger):
    ledger.add_actions([action(key) for key in "abcd"])
    ledger.move_action("a", OPEN, ActionState.FAILED, at=NOW, error="no")
    ledger.move_action("b", OPEN, ActionState.PENDING, at=NOW + timedelta(1), error="later")
    ledger.move_action("c", OPEN, ActionState.DONE, at=NOW, error="at first")
    assert [each.key for each in ledger.troubled_actions(9)] == ["b", "a"]
    assert len(ledger.troubled_actions(1)) == 1


def test_what_is_cancelled_belongs_to_nobody_any_more(ledger):
    ledger.add_actions([action("a")])
    claimed = (ActionState.CLAIMED,)
    ledger.move_action("a", OPEN, *claimed, at=NOW, actor="one", next_attempt_at=NOW)
    ledger.cancel_actions(["a"], "overtaken")
    ledger.reopen_actions(["a"])
    (found,) = ledger.list_actions()
    assert (found.state, found.actor, found.next_attempt_at) == (ActionState.PENDING, None, None)


def test_actions_are_found_by_the_beginning_of_their_key(ledger):
    ledger.add_actions([action(key) for key in ("review:ab", "review:a_", "review:ac", "alert:ab")])
    found = [each.key for each in ledger.find_actions("review:a", 10)]
    assert found == ["review:a_", "review:ab", "review:ac"]
    assert [each.key for each in ledger.find_actions("review:ab", 10)] == ["review:ab"]
    assert len(ledger.find_actions("", 2)) == 2
    assert ledger.find_actions("review:%", 10) == []


def test_open_actions_are_pending_approved_or_claimed(ledger):
    ledger.add_actions([action(state.value, state=state) for state in ActionState])
    ledger.add_actions([action("else", address="else@example.org")])
    found = ledger.open_actions(["who@example.org", "none@example.org"])
    assert [each.state for each in found] == [
        ActionState.PENDING,
        ActionState.APPROVED,
        ActionState.CLAIMED,
    ]


def test_cancelling_touches_only_what_is_open(ledger):
    ledger.add_actions([action(state.value, state=state) for state in ActionState])
    keys = [state.value for state in ActionState]
    ledger.cancel_actions([*keys, "unknown"], "the address was reinstated")
    assert ledger.open_actions(["who@example.org"]) == []
    assert [each.key for each in ledger.list_actions(state=ActionState.CANCELLED)] == [
        "pending",
        "approved",
        "claimed",
        "cancelled",
    ]
    assert len(ledger.list_actions(state=ActionState.DONE)) == 1


# --- transactions


def give_up(ledger: Ledger, *writes: Callable[[], object]) -> None:
    with ledger.transaction():
        for write in writes:
            write()
        raise ZeroDivisionError


def test_a_transaction_is_all_or_nothing(ledger, other):
    with pytest.raises(ZeroDivisionError):
        give_up(
            ledger,
            lambda: ledger.append([arrival(1)]),
            lambda: ledger.add_events([event("a")]),
            lambda: ledger.put_contacts([CONTACT]),
            lambda: ledger.add_actions([action("a")]),
            lambda: ledger.put_leads([Lead("1", "a@b.test", "a@b.test")]),
        )
    assert ledger.totals() == other.totals() == Totals()
    with ledger.transaction():
        ledger.append([arrival(1)])
        ledger.add_events([event("a")])
        assert ledger.totals().events == 1
        assert other.totals() == Totals()
    assert other.totals() == ledger.totals()
    assert other.totals().events == 1


def test_a_transaction_inside_another_is_part_of_it(ledger):
    def inner() -> None:
        with ledger.transaction():
            ledger.append([arrival(1)])

    with pytest.raises(ZeroDivisionError):
        give_up(ledger, inner)
    assert ledger.pending(1) == []


def test_what_failed_inside_a_transaction_fails_all_of_it(ledger):
    orphan = event("orphan", arrival_id="an arrival that is not there")

    def carry_on_regardless() -> None:
        with ledger.transaction():
            ledger.append([arrival(1)])
            with pytest.raises(LedgerError):
                ledger.add_events([event("fine"), orphan])

    with pytest.raises(LedgerError, match="given up"):
        carry_on_regardless()
    assert ledger.totals() == Totals()
    assert ledger.append([arrival(1)]) == [True]


def test_one_writer_at_a_time_and_the_other_can_try_again(ledger, other):
    with ledger.transaction():
        ledger.append([arrival(1)])
        with pytest.raises(LedgerBusy):
            other.append([arrival(2)])
        assert other.pending(10) == []
    assert other.append([arrival(2)]) == [True]
    assert ledger.pending(10) == [arrival(1), arrival(2)]


def test_everything_is_there_after_opening_again(implementation, ledger, tmp_path):
    ledger.append([arrival(1)])
    ledger.settle([settlement(arrival(1))])
    ledger.add_events([event("a", arrival_id=arrival(1).id)])
    ledger.put_contacts([CONTACT])
    before = ledger.totals()
    ledger.close()
    for read_only in (False, True):
        again = implementation.open(tmp_path, read_only=read_only)
        assert again.totals() == before
        assert list(again.all_events()) == [event("a", arrival_id=arrival(1).id)]
        assert again.contacts([CONTACT.address]) == {CONTACT.address: CONTACT}
        again.close()


def test_read_only_sees_what_another_writes_and_refuses_to_write(implementation, ledger, tmp_path):
    reader = implementation.open(tmp_path, read_only=True)
    ledger.append([arrival(1)])
    assert reader.pending(10) == [arrival(1)]
    for write in (
        lambda: reader.append([arrival(2)]),
        lambda: reader.put_contacts([CONTACT]),
        lambda: reader.cancel_actions(["a"], "no"),
    ):
        with pytest.raises(LedgerError, match="reading only"):
            write()
    assert reader.pending(10) == [arrival(1)]
    reader.close()


# --- what the world may bring

# A database can keep neither NUL nor a lone surrogate; the next test is about those.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
anything = st.text(max_size=40)
times = st.datetimes(timezones=st.sampled_from([UTC])).map(
    lambda time: time.replace(microsecond=time.microsecond // 1000 * 1000)
)


def maybe(strategy: st.SearchStrategy) -> st.SearchStrategy:
    return st.none() | strategy


def reports(words: st.SearchStrategy[str], codes: st.SearchStrategy[int]) -> st.SearchStrategy:
    return st.builds(
        Report,
        recipient=words,
        action=st.sampled_from(DsnAction),
        recognizer=st.just("rfc3464"),
        original_recipient=maybe(words),
        status=maybe(words),
        reply_code=maybe(codes),
        diagnostic=maybe(words),
        remote_mta=maybe(words),
        reporting_mta=maybe(words),
        last_attempt=maybe(times),
    )


def events(words: st.SearchStrategy[str], codes: st.SearchStrategy[int]) -> st.SearchStrategy:
    return st.builds(
        Event,
        id=st.builds(lambda: uuid.uuid4().hex),  # the ledger outlives the example
        kind=st.sampled_from([*Kind, *Act]),
        address=words,
        occurred_at=times,
        recorded_at=times,
        source=st.just("lmtp"),
        report=maybe(reports(words, codes)),
        verdict=maybe(
            st.builds(
                Verdict, category=st.sampled_from(Category), rule=st.just("r"), evidence=words
            )
        ),
        trust=maybe(
            st.builds(
                Trust,
                level=st.sampled_from(TrustLevel),
                signals=st.lists(words, max_size=3).map(tuple),
            )
        ),
        message_id=maybe(words),
        sender=maybe(words),
        subject=maybe(words),
        campaign=maybe(words),
        lead_id=maybe(words),
        actor=maybe(words),
        reason=maybe(words),
        target=maybe(words),
    )


evidences = st.builds(Evidence, occurred_at=times, code=texts, message_id=texts)
contacts = st.builds(
    Contact,
    address=texts,
    bounce_type=maybe(st.sampled_from([Severity.HARD, Severity.SOFT])),
    bounce_count=st.integers(0, 2**31 - 1),
    last_bounce_at=maybe(times),
    strikes=st.integers(0, 100),
    last_strike_at=maybe(times),
    hard_since=maybe(times),
    hard_event=maybe(st.just("e")),
    suppressed=st.frozensets(st.sampled_from(Reason)),
    evidence=st.lists(evidences, max_size=3).map(tuple),
    reinstated=st.integers(0, 100),
)
bounded = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@bounded
@given(each=events(texts, st.integers(-(2**31) + 1, 2**31 - 1)))
def test_an_event_comes_back_as_it_was(ledger, each):
    assert ledger.add_events([each]) == [True]
    assert each in ledger.events_of([each.address])[each.address]


@bounded
@given(each=contacts)
def test_a_contact_comes_back_as_it_was(ledger, each):
    ledger.put_contacts([each])
    assert ledger.contacts([each.address]) == {each.address: each}


@bounded
@given(each=events(anything, st.integers()), word=anything)
def test_no_text_and_no_number_is_too_odd(ledger, each, word):
    assert ledger.add_events([each]) == [True]
    assert each.id in {found.id for found in ledger.events_of([each.address])[each.address]}
    ledger.put_contacts([Contact(word, evidence=(Evidence(NOW, word, word),))])
    assert set(ledger.contacts([word])) == {word}
    ledger.put_leads([Lead(word, word, word)])
    assert set(ledger.leads_of([word])) == {word}
    ledger.add_actions([action(word, address=word, payload={word: word})])
    assert ledger.add_actions([action(word)]) == [False]
    ledger.cancel_actions([word], word)
    ledger.sends_of([word])
    ledger.put_sends([Send(word, word, campaign=word)])
    ledger.move_action(word, OPEN, ActionState.DONE, at=NOW, actor=word, error=word)
    ledger.find_actions(word, 10)
    odd = arrival(1, each.id.encode(), envelope_from=word, envelope_to=word)
    ledger.append([odd])
    ledger.settle([settlement(odd, identity=word, subject=word, note=word, damage=(word,))])
    assert set(ledger.settlements([odd.id])) == {odd.id}
    ledger.arrivals([word])


@pytest.mark.parametrize(
    "time",
    [datetime.min.replace(tzinfo=UTC), datetime.max.replace(microsecond=999_000, tzinfo=UTC)],
)
def test_times_at_the_ends_of_time(ledger, time):
    ledger.add_events([event("a", occurred_at=time)])
    assert [each.occurred_at for each in ledger.events_since(time)] == [time]


def test_a_time_that_has_no_utc_is_taken(ledger):
    east, west = timezone(timedelta(hours=14)), timezone(timedelta(hours=-12))
    ledger.add_events([event("a", occurred_at=datetime.min.replace(tzinfo=east))])
    ledger.add_events([event("b", occurred_at=datetime.max.replace(tzinfo=west))])
    assert [each.id for each in ledger.all_events()] == ["a", "b"]


# --- counters

few = st.integers(0, 3)
some = st.lists(few, max_size=4)


class Counters(RuleBasedStateMachine):
    """Totals equal a fresh count after anything that was done, in whatever order."""

    implementation: Implementation

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.ledger = self.implementation.open(Path(self.folder.name))

    def teardown(self) -> None:
        self.ledger.close()
        self.folder.cleanup()

    @rule(numbers=some)
    def append(self, numbers):
        self.ledger.append([arrival(number) for number in numbers])

    @rule(numbers=some, state=st.sampled_from(ArrivalState), kind=st.sampled_from(Kind))
    def settle(self, numbers, state, kind):
        self.ledger.settle([settlement(arrival(n), state=state, kind=kind) for n in numbers])

    @rule(numbers=some, category=maybe(st.sampled_from(Category)))
    def add_events(self, numbers, category):
        verdict = category and Verdict(category, "r")
        self.ledger.add_events([event(str(number), verdict=verdict) for number in numbers])

    @rule(number=few, category=st.sampled_from(Category), before=some, after=some)
    def replace_events(self, number, category, before, after):
        of = arrival(number)
        self.ledger.append([of])
        for numbers in (before, after):
            verdict = Verdict(category, "r")
            made = [event(str(n), arrival_id=of.id, verdict=verdict) for n in numbers]
            self.ledger.replace_events(of.id, made)

    @rule(numbers=some, suppressed=st.frozensets(st.sampled_from(Reason), max_size=2))
    def put_contacts(self, numbers, suppressed):
        self.ledger.put_contacts([Contact(f"{n}@x.test", suppressed=suppressed) for n in numbers])

    @rule(numbers=some)
    def put_leads(self, numbers):
        self.ledger.put_leads([Lead(str(n), f"{n}@x.test", f"{n}@x.test") for n in numbers])

    @rule(numbers=some, kind=st.sampled_from(ActionKind), state=st.sampled_from(ActionState))
    def add_actions(self, numbers, kind, state):
        self.ledger.add_actions([action(str(n), kind=kind, state=state) for n in numbers])

    @rule(numbers=some)
    def cancel_actions(self, numbers):
        self.ledger.cancel_actions([str(number) for number in numbers], "no")

    @rule(number=few, to=st.sampled_from(ActionState))
    def move_action(self, number, to):
        self.ledger.move_action(str(number), list(ActionState), to, at=NOW)

    @rule(numbers=some)
    def reopen_actions(self, numbers):
        self.ledger.reopen_actions([str(number) for number in numbers])

    @rule(numbers=some)
    def give_up(self, numbers):
        with pytest.raises(ZeroDivisionError):
            give_up(
                self.ledger,
                lambda: self.append(numbers),
                lambda: self.put_contacts(numbers, frozenset()),
                lambda: self.cancel_actions(numbers),
            )

    @invariant()
    def totals_equal_a_fresh_count(self):
        ledger = self.ledger
        arrivals = [each for batch in ledger.all_arrivals(100) for each in batch]
        settled = ledger.settlements([each.id for each in arrivals])
        state_of = {key: each.state for key, each in settled.items()}
        states = [state_of.get(each.id, ArrivalState.PENDING) for each in arrivals]
        events = list(ledger.all_events())
        contacts = [each for batch in ledger.all_contacts(100) for each in batch]
        pending = ledger.pending(100)
        assert ledger.totals() == Totals(
            arrivals=Counter(states),
            kinds=Counter(each.kind.value for each in settled.values()),
            events=len(events),
            severities=Counter(each.verdict.severity.value for each in events if each.verdict),
            contacts=len(contacts),
            suppressed=sum(not each.mailable for each in contacts),
            leads=len(list(ledger.all_leads())),
            actions=Counter((each.kind, each.state) for each in ledger.list_actions(limit=100)),
            last_arrival_at=arrivals[-1].received_at if arrivals else None,
            oldest_pending_at=pending[0].received_at if pending else None,
        )


def test_totals_equal_a_fresh_count(implementation):
    machine = type("_Counters", (Counters,), {"implementation": implementation})
    run_state_machine_as_test(
        machine,
        settings=settings(max_examples=40, stateful_step_count=15, deadline=None),
    )
