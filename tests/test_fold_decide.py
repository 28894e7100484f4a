"""What the state of an address calls for, and for how long."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bouncesink.config import Policy
from bouncesink.fold import contain, decide, fold
from bouncesink.fold.intentions import FLOOD, OPEN_DOUBTFUL, OPEN_REVIEWS
from bouncesink.model import (
    Act,
    Action,
    ActionKind,
    Category,
    DsnAction,
    Event,
    Kind,
    Lead,
    Report,
    Trust,
    TrustLevel,
    Verdict,
)

ADDRESS = "lead@example.com"
LEAD = Lead("L-1", "Lead@Example.com", ADDRESS)
DAY0 = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)
NOW = DAY0 + timedelta(days=400)
POLICY = Policy()
REQUIRE = TrustLevel.PLAUSIBLE


def bounce(name, category=Category.USER_UNKNOWN, trust=TrustLevel.PLAUSIBLE, **report):
    report = {"status": "5.1.1", "action": DsnAction.FAILED, "diagnostic": "550 no"} | report
    return Event(
        id=name,
        kind=Kind.FAILURE,
        address=ADDRESS,
        occurred_at=DAY0,
        recorded_at=DAY0,
        source="test",
        arrival_id=f"arrival of {name}",
        report=Report(ADDRESS, recognizer="rfc3464", **report),
        verdict=Verdict(category, "test-rule"),
        trust=Trust(trust, ("returned From is not ours",)),
        message_id=f"<{name}@example.org>",
        campaign="spring",
    )


def act(kind, day, target=None):
    moment = DAY0 + timedelta(days=day)
    return Event(f"{kind}-{day}", kind, ADDRESS, moment, moment, "operator", target=target)


def called_for(*events, leads=(LEAD,), policy=POLICY, require=REQUIRE, now=NOW):
    contact = fold(ADDRESS, events, policy, require)
    return decide(contact, leads, events, policy, require, now)


def kinds(actions):
    return sorted(action.kind for action in actions)


def only(actions, kind):
    (found,) = [action for action in actions if action.kind is kind]
    return found


def test_a_hard_lead_sets_four_things_in_motion():
    actions = called_for(bounce("b"))
    assert kinds(actions) == ["advisory", "hubspot_proposal", "postcard", "smartlead_removal"]
    assert {a.address for a in actions} == {ADDRESS}
    assert {a.lead_id for a in actions} == {"L-1"}
    assert {a.event_id for a in actions} == {"b"}
    proposal = only(actions, ActionKind.HUBSPOT_PROPOSAL).payload
    assert proposal["lead_source_notes_append"] == "|BOUNCE:HARD:2026-03-01"
    assert proposal["email_bounced"] == "true"
    assert proposal["campaign"] == "spring"
    assert only(actions, ActionKind.ADVISORY).payload["advisory"] == "kg_pending"


def test_three_strikes_set_the_same_in_motion():
    soft = [bounce(f"s{n}", Category.MAILBOX_FULL) for n in range(3)]
    assert len(called_for(*soft)) == 4
    assert called_for(*soft[:2]) == ()


def test_an_address_that_is_no_lead_starts_nothing():
    assert called_for(bounce("b"), leads=()) == ()


def test_a_person_on_two_rows_is_removed_once_and_gets_an_advisory_for_each():
    leads = (Lead("L-2", ADDRESS, ADDRESS), LEAD, LEAD)
    assert kinds(called_for(bounce("b"), leads=leads)) == [
        *("advisory", "advisory", "hubspot_proposal"),
        *("postcard", "postcard", "smartlead_removal"),
    ]


@pytest.mark.parametrize("category", [Category.COMPLAINT, Category.UNSUBSCRIBE])
def test_who_complained_is_no_bounce(category):
    assert called_for(bounce("c", category)) == ()


def test_a_reinstatement_calls_it_off_and_a_new_hard_bounce_starts_it_anew():
    first = called_for(bounce("b"))
    assert called_for(bounce("b"), act(Act.REINSTATE, 1)) == ()
    late = replace(bounce("n"), occurred_at=DAY0 + timedelta(days=2), recorded_at=NOW)
    again = called_for(bounce("b"), act(Act.REINSTATE, 1), late)
    assert kinds(again) == kinds(first)
    assert {a.key for a in again}.isdisjoint(a.key for a in first)


def test_a_dismissal_calls_it_off_and_a_new_hard_bounce_starts_it_anew():
    first = called_for(bounce("b"))
    assert called_for(bounce("b"), act(Act.DISMISS, 1, "b")) == ()
    again = called_for(bounce("b"), act(Act.DISMISS, 1, "b"), bounce("n"))
    assert kinds(again) == kinds(first)
    assert {a.key for a in again}.isdisjoint(a.key for a in first)


def test_dismissing_what_never_counted_starts_nothing_anew():
    doubtful = bounce("d", trust=TrustLevel.DOUBTFUL)
    first = called_for(bounce("b"))
    after = called_for(bounce("b"), doubtful, act(Act.DISMISS, 1, "d"))
    assert {a.key for a in after} == {a.key for a in first}


def test_an_older_hard_bounce_that_arrives_late_starts_nothing_anew():
    older = replace(bounce("o"), occurred_at=DAY0 - timedelta(days=9))
    assert {a.key for a in called_for(bounce("b"), older)} == {
        a.key for a in called_for(bounce("b"))
    }


@pytest.mark.parametrize(
    ("category", "trust", "report", "why"),
    [
        (Category.UNKNOWN, TrustLevel.PLAUSIBLE, {}, "unknown"),
        (Category.USER_UNKNOWN, TrustLevel.DOUBTFUL, {}, "doubtful"),
        (Category.USER_UNKNOWN, TrustLevel.CONTRADICTED, {}, "doubtful"),
        (Category.UNKNOWN, TrustLevel.DOUBTFUL, {}, "doubtful"),
        (Category.COMPLAINT, TrustLevel.DOUBTFUL, {}, "doubtful"),
        (Category.POLICY, TrustLevel.PLAUSIBLE, {"status": "5.7.1"}, "blocked"),
        (Category.POLICY, TrustLevel.PLAUSIBLE, {"status": None, "reply_code": 554}, "blocked"),
        (Category.POLICY, TrustLevel.PLAUSIBLE, {"status": None}, "blocked"),
        (Category.RATE_LIMITED, TrustLevel.PLAUSIBLE, {"status": "4.2.1"}, None),
        (Category.POLICY, TrustLevel.PLAUSIBLE, {"action": DsnAction.DELAYED}, None),
        (Category.GREYLISTED, TrustLevel.DOUBTFUL, {"status": "4.2.0"}, None),
        (Category.AUTO_REPLY, TrustLevel.DOUBTFUL, {}, None),
        (Category.MAILBOX_FULL, TrustLevel.PLAUSIBLE, {}, None),
    ],
)
def test_what_a_person_must_look_at(category, trust, report, why):
    event = bounce("e", category, trust, **report)
    actions = called_for(event)
    assert [a.payload["why"] for a in actions] == ([why] if why else [])
    for action in actions:
        assert (action.kind, action.event_id) == (ActionKind.REVIEW, "e")
        assert action.arrival_id == "arrival of e"
        assert action.payload["signals"] == "returned From is not ours"
        assert action.payload["diagnostic"] == "550 no"
    for ruling in (Act.CONFIRM, Act.DISMISS):
        ruled = called_for(event, act(ruling, 1, "e"))
        assert ActionKind.REVIEW not in kinds(ruled)


def test_an_address_that_is_no_lead_is_reviewed_as_well():
    assert kinds(called_for(bounce("u", Category.UNKNOWN), leads=())) == ["review"]


def test_profile_to_the_letter_has_no_blocks_to_review():
    letter = Policy(profile="rfc5321")
    assert ActionKind.REVIEW not in kinds(called_for(bounce("p", Category.POLICY), policy=letter))


def test_reputation_and_spam_come_first_and_what_may_be_forged_last():
    def priority(category, trust=TrustLevel.PLAUSIBLE):
        return only(called_for(bounce("e", category, trust)), ActionKind.REVIEW).payload["priority"]

    assert priority(Category.REPUTATION) == priority(Category.SPAM_CONTENT) == "1"
    assert priority(Category.UNKNOWN) == priority(Category.RELAY_DENIED) == "2"
    assert priority(Category.REPUTATION, TrustLevel.DOUBTFUL) == "3"


def doubtful(count, category=Category.USER_UNKNOWN):
    return [bounce(f"d{n:05}", category, TrustLevel.DOUBTFUL) for n in range(count)]


def test_a_few_doubtful_events_are_looked_at_one_by_one():
    assert kinds(called_for(*doubtful(FLOOD))) == ["review"] * FLOOD


@pytest.mark.parametrize("count", [FLOOD + 1, 99, 2000])
def test_a_flood_of_doubtful_events_is_one_review_item_and_one_alert(count):
    actions = called_for(*doubtful(count))
    assert kinds(actions) == ["alert", "review"]
    assert only(actions, ActionKind.REVIEW).payload["count"] == str(count)


def life(kind, day, trust=TrustLevel.PROVEN):
    moment = DAY0 + timedelta(days=day)
    sign = replace(bounce(f"life-{kind}-{day}", trust=trust), kind=kind, verdict=None)
    return replace(sign, occurred_at=moment, recorded_at=moment)


@pytest.mark.parametrize("kind", [Kind.AUTO_REPLY, Kind.DELIVERED, Kind.DISPOSITION])
def test_a_sign_of_life_long_after_it_became_hard_asks_to_verify(kind):
    (asked,) = [a for a in called_for(bounce("b"), life(kind, 30)) if a.kind == "reverify"]
    assert (asked.address, asked.lead_id, asked.payload["sign"]) == (ADDRESS, "L-1", kind)
    never = Policy(reverify_after_days=0)
    for events, policy in (
        ([bounce("b"), life(kind, 29)], POLICY),
        ([bounce("b"), life(kind, 99, TrustLevel.DOUBTFUL)], POLICY),
        ([bounce("b"), life(kind, 99)], never),
        ([bounce("b"), life(kind, 99), act(Act.REINSTATE, 100)], POLICY),
        ([life(kind, 99)], POLICY),
        ([bounce("b"), life(Kind.DELAYED, 99)], POLICY),
    ):
        assert "reverify" not in kinds(called_for(*events, policy=policy))


def test_a_message_that_both_failed_and_was_delivered_is_for_a_person():
    failed = bounce("b")
    delivered = replace(life(Kind.DELIVERED, 0), message_id=failed.message_id)
    (review,) = [a for a in called_for(failed, delivered) if a.kind == "review"]
    assert (review.event_id, review.payload["why"]) == ("b", "conflicting")
    assert "review" not in kinds(called_for(failed, delivered, act(Act.CONFIRM, 1, "b")))
    assert called_for(failed, delivered, act(Act.DISMISS, 1, "b")) == ()
    assert "review" not in kinds(called_for(failed, replace(delivered, message_id="<x@y.test>")))
    forged = replace(delivered, trust=Trust(TrustLevel.DOUBTFUL))
    assert "review" not in kinds(called_for(failed, forged))


def test_a_flood_hides_nothing_else():
    actions = called_for(*doubtful(50), bounce("u", Category.UNKNOWN), bounce("h"))
    assert kinds(actions).count("review") == 2
    assert "hubspot_proposal" in kinds(actions)


@pytest.mark.parametrize("category", [Category.UNKNOWN, Category.POLICY])
def test_many_of_another_kind_are_one_item_too_but_no_alarm(category):
    events = [bounce(f"u{n:02}", category) for n in range(FLOOD + 1)]
    assert kinds(called_for(*events[:FLOOD])) == ["review"] * FLOOD
    assert [a.payload["count"] for a in called_for(*events)] == [str(FLOOD + 1)]
    assert called_for(*events, act(Act.DISMISS, 1)) == ()


def test_dismissing_all_that_waits_takes_no_bounce_back():
    assert called_for(bounce("b"), act(Act.DISMISS, 1)) == called_for(bounce("b"))


def test_a_flood_is_dismissed_in_one_act_and_a_later_one_shows_again():
    flood = doubtful(50)
    assert called_for(*flood, act(Act.DISMISS, 1)) == ()
    after = replace(bounce("z", trust=TrustLevel.DOUBTFUL), recorded_at=DAY0 + timedelta(days=2))
    assert [a.event_id for a in called_for(*flood, act(Act.DISMISS, 1), after)] == ["z"]
    next_flood = [replace(after, id=f"n{n}") for n in range(50)]
    again = called_for(*flood, act(Act.DISMISS, 1), *next_flood)
    assert kinds(again) == ["alert", "review"]
    assert {a.key for a in again}.isdisjoint(a.key for a in called_for(*flood))


def test_dismissing_all_that_is_doubtful_leaves_what_waits_for_another_reason():
    flood, unknown = doubtful(50), bounce("u", Category.UNKNOWN)
    dismissed = act(Act.DISMISS, 1, "doubtful")
    assert [a.event_id for a in called_for(*flood, unknown, dismissed)] == ["u"]
    after = replace(bounce("z", trust=TrustLevel.DOUBTFUL), recorded_at=DAY0 + timedelta(days=2))
    assert [a.event_id for a in called_for(*flood, dismissed, after)] == ["z"]


def test_a_growing_flood_is_not_one_item_an_event():
    keys = {action.key for count in range(6, 600, 7) for action in called_for(*doubtful(count))}
    assert len(keys) == 4  # the alert, and the item at "some", "tens" and "hundreds"


def test_many_addresses_under_attack_are_one_item_and_one_alert_a_day():
    new = [
        action
        for n in range(300)
        for action in called_for(bounce(f"x{n}", trust=TrustLevel.DOUBTFUL))
    ]
    few, burst = new[:10], new[10:]
    assert contain(few, OPEN_DOUBTFUL - 10, NOW) == tuple(few)
    held = contain(few, OPEN_DOUBTFUL - 9, NOW)
    assert kinds(held) == ["alert", "review"]
    assert {a.payload["why"] for a in held} == {"doubtful"}
    assert contain(burst, 0, NOW) == held
    tomorrow = contain(burst, 0, NOW + timedelta(days=1))
    assert {a.key for a in tomorrow}.isdisjoint(a.key for a in held)


def test_a_flood_of_forgeries_does_not_hide_what_is_trusted():
    unknown = called_for(bounce("u", Category.UNKNOWN))
    assert contain(unknown, OPEN_REVIEWS - 1, NOW) == unknown
    assert kinds(contain(unknown, OPEN_REVIEWS, NOW)) == ["alert", "review"]


def test_a_flood_holds_back_reviews_only():
    hard = called_for(bounce("b"))
    assert contain(hard, OPEN_REVIEWS, NOW) == hard


EVENTS = st.lists(
    st.builds(
        bounce,
        st.sampled_from([f"e{n}" for n in range(8)]),
        st.sampled_from(list(Category)),
        st.sampled_from(list(TrustLevel)),
        status=st.sampled_from([None, "5.0.0", "4.0.0"]),
    )
    | st.builds(
        act,
        st.sampled_from(list(Act)),
        st.integers(-1, 3),
        st.sampled_from([None, "e0", "e1", "e2", "e3"]),
    ),
    max_size=14,
    unique_by=lambda event: event.id,
)


@given(EVENTS, st.sampled_from([(), (LEAD,)]), st.integers(0, 900), st.randoms())
def test_the_same_state_calls_for_the_same_whenever_and_however_it_is_asked(
    events, leads, days, random
):
    first = called_for(*events, leads=leads)
    shuffled = random.sample(events, len(events))
    again = called_for(*shuffled, leads=leads, now=NOW + timedelta(days=days))
    assert [a.key for a in again] == [a.key for a in first]
    assert [replace(a, created_at=NOW) for a in again] == list(first)
    assert len({a.key for a in first}) == len(first)
    for action in first:
        assert isinstance(action, Action)
        assert all(isinstance(value, str) for value in action.payload.values())
