"""The rules at the top of `bouncesink.fold`, one by one, and what must hold whatever happens."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bouncesink.config import Policy
from bouncesink.fold import counts, effective, fold, rulings, strikes_at
from bouncesink.model import (
    Act,
    Category,
    DsnAction,
    Event,
    Kind,
    Reason,
    Report,
    Severity,
    Trust,
    TrustLevel,
    Verdict,
)

ADDRESS = "lead@example.com"
DAY0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
RECORDED = DAY0 + timedelta(days=1000)
CAREFUL = Policy()
TO_THE_LETTER = Policy(profile="rfc5321")
REQUIRE = TrustLevel.PLAUSIBLE
HARD, SOFT = Category.USER_UNKNOWN, Category.MAILBOX_FULL


def bounce(
    day: float,
    category: Category = SOFT,
    *,
    message: str | None = None,
    name: str | None = None,
    trust: TrustLevel | None = TrustLevel.PLAUSIBLE,
    kind: Kind = Kind.FAILURE,
    status: str | None = "5.1.1",
    reply: int | None = None,
    action: DsnAction = DsnAction.FAILED,
    recorded: datetime = RECORDED,
) -> Event:
    return Event(
        id=name or f"{category}-{day}-{message}",
        kind=kind,
        address=ADDRESS,
        occurred_at=DAY0 + timedelta(days=day),
        recorded_at=recorded,
        source="test",
        report=Report(ADDRESS, action, "rfc3464", status=status, reply_code=reply),
        verdict=Verdict(category, "test-rule"),
        trust=Trust(trust) if trust else None,
        message_id=message,
    )


def act(kind: Act, day: float, target: Event | None = None, name: str = "") -> Event:
    moment = DAY0 + timedelta(days=day)
    return Event(
        id=f"{kind}-{day}-{target.id if target else ''}{name}",
        kind=kind,
        address=ADDRESS,
        occurred_at=moment,
        recorded_at=moment,
        source="operator",
        actor="operator",
        reason="as told on the telephone",
        target=target.id if target else None,
    )


def folded(*events: Event, policy: Policy = CAREFUL, require: TrustLevel | None = REQUIRE):
    return fold(ADDRESS, events, policy, require)


def test_nothing_happened_to_a_new_address():
    contact = folded()
    assert contact.mailable
    assert (contact.bounce_type, contact.bounce_count, contact.last_bounce_at) == (None, 0, None)


def test_one_hard_bounce_closes_the_gate_and_says_why():
    event = bounce(0, HARD, message="<m@example.org>")
    contact = folded(event)
    assert contact.bounce_type is Severity.HARD
    assert contact.suppressed == {Reason.HARD}
    assert not contact.mailable
    assert (contact.hard_since, contact.hard_event) == (DAY0, event.id)
    assert [(e.occurred_at, e.code, e.message_id) for e in contact.evidence] == [
        (DAY0, "5.1.1", "m@example.org")
    ]


def test_the_third_strike_is_hard_and_the_second_is_not():
    strikes = [bounce(day, message=f"<{day}@example.org>") for day in (0, 10, 20)]
    two, three = folded(*strikes[:2]), folded(*strikes)
    assert (two.bounce_type, two.strikes, two.mailable) == (Severity.SOFT, 2, True)
    assert (three.bounce_type, three.suppressed) == (Severity.HARD, {Reason.STRIKES})
    assert three.hard_event == strikes[2].id
    assert three.bounce_count == 3


def test_the_number_of_strikes_is_the_policys():
    events = [bounce(0, message="a"), bounce(1, message="b")]
    assert folded(*events, policy=Policy(strikes=2)).bounce_type is Severity.HARD
    assert folded(*events, policy=Policy(strikes=5)).mailable


def test_both_reasons_are_kept_when_both_hold():
    events = [bounce(day, message=str(day)) for day in range(3)]
    assert folded(*events, bounce(9, HARD)).suppressed == {Reason.HARD, Reason.STRIKES}


@pytest.mark.parametrize("spelling", ["<m@example.org>", "m@example.org", " <m@example.org>\n"])
def test_one_message_is_one_strike_however_many_notices(spelling):
    events = [bounce(0, message="<m@example.org>")]
    events += [bounce(day, message=spelling, name=f"again-{day}") for day in range(1, 9)]
    contact = folded(*events)
    assert (contact.bounce_count, contact.strikes, contact.mailable) == (1, 1, True)
    assert len(contact.evidence) == 1


def test_without_a_message_id_each_event_is_its_own():
    assert folded(*[bounce(day) for day in range(3)]).bounce_type is Severity.HARD


def test_the_worst_verdict_on_a_message_wins_in_either_order():
    soft_first = folded(bounce(0, SOFT, message="m"), bounce(1, HARD, message="m"))
    hard_first = folded(bounce(1, SOFT, message="m"), bounce(0, HARD, message="m"))
    for contact in (soft_first, hard_first):
        assert (contact.bounce_type, contact.bounce_count) == (Severity.HARD, 1)
    assert [e.occurred_at for e in soft_first.evidence] == [DAY0 + timedelta(days=1)]


def test_thirty_days_without_a_bounce_forgive_the_strikes_but_keep_the_history():
    events = [bounce(0, message="a"), bounce(1, message="b"), bounce(31.5, message="c")]
    contact = folded(*events)
    assert (contact.strikes, contact.mailable) == (1, True)
    assert (contact.bounce_count, len(contact.evidence)) == (3, 3)
    assert contact.bounce_type is Severity.SOFT


def test_a_gap_of_exactly_the_decay_does_not_forgive():
    events = [bounce(day, message=str(day)) for day in (0, 30, 60)]
    assert folded(*events).bounce_type is Severity.HARD


def test_strikes_decay_with_the_clock():
    contact = folded(bounce(0, message="a"), bounce(2, message="b"))
    at = DAY0 + timedelta(days=2)
    assert strikes_at(contact, at + timedelta(days=30), CAREFUL) == 2
    assert strikes_at(contact, at + timedelta(days=30, seconds=1), CAREFUL) == 0
    assert strikes_at(contact, at + timedelta(days=40), Policy(decay_days=60)) == 2
    assert strikes_at(folded(), at, CAREFUL) == 0


@pytest.mark.parametrize(
    "category",
    [
        Category.GREYLISTED,
        Category.REPUTATION,
        Category.TOO_BIG,
        Category.UNKNOWN,
        Category.AUTO_REPLY,
        Category.DELAYED,
        Category.BOUNCE_OF_BOUNCE,
    ],
)
def test_what_is_no_bounce_of_the_address_leaves_no_mark(category):
    assert folded(*[bounce(day, category, name=str(day)) for day in range(9)]) == folded()


@pytest.mark.parametrize(
    ("category", "reason"),
    [
        (Category.COMPLAINT, Reason.COMPLAINT),
        (Category.UNSUBSCRIBE, Reason.UNSUBSCRIBE),
    ],
)
def test_complaints_and_unsubscribes_only_close_the_gate(category, reason):
    event = bounce(0, category, kind=Kind.FEEDBACK)
    contact = folded(event)
    assert contact.suppressed == {reason}
    assert (contact.bounce_type, contact.bounce_count, contact.evidence) == (None, 0, ())
    assert not folded(event, act(Act.REINSTATE, 5)).mailable
    assert folded(event, act(Act.DISMISS, 5, event)).mailable


def test_suppress_and_unsuppress_only_move_the_gate():
    shut, opened = act(Act.SUPPRESS, 1), act(Act.UNSUPPRESS, 2)
    assert folded(shut).suppressed == {Reason.MANUAL}
    assert folded(opened, shut).mailable
    assert not folded(shut, opened, act(Act.SUPPRESS, 3)).mailable
    assert folded(bounce(0, HARD), shut, opened).suppressed == {Reason.HARD}


def test_reinstating_clears_hard_and_keeps_the_history():
    contact = folded(bounce(0, HARD, message="a"), act(Act.REINSTATE, 5))
    assert contact.mailable
    assert (contact.bounce_type, contact.hard_since, contact.hard_event) == (None, None, None)
    assert (contact.bounce_count, len(contact.evidence), contact.reinstated) == (1, 1, 1)
    assert contact.last_bounce_at == DAY0


def test_reinstating_clears_the_strikes():
    events = [bounce(day, message=str(day)) for day in range(3)]
    contact = folded(*events, act(Act.REINSTATE, 5), bounce(6, message="later"))
    assert (contact.mailable, contact.strikes, contact.bounce_count) == (True, 1, 4)
    assert contact.bounce_type is Severity.SOFT


def test_an_old_bounce_that_arrives_late_does_not_undo_a_reinstatement():
    contact = folded(bounce(0, HARD), act(Act.REINSTATE, 5), bounce(4, HARD, message="late"))
    assert (contact.mailable, contact.bounce_count) == (True, 2)


def test_a_second_notice_of_the_same_message_does_not_undo_a_reinstatement():
    repeat = bounce(6, HARD, message="m", name="by another way")
    assert folded(bounce(0, HARD, message="m"), act(Act.REINSTATE, 5), repeat).mailable
    assert not folded(bounce(0, SOFT, message="m"), act(Act.REINSTATE, 5), repeat).mailable


def test_a_new_hard_bounce_after_a_reinstatement_counts_anew():
    again = bounce(6, HARD, message="new")
    contact = folded(bounce(0, HARD, message="m"), act(Act.REINSTATE, 5), again)
    assert (contact.bounce_type, contact.hard_event) == (Severity.HARD, again.id)
    assert folded(*[again, act(Act.REINSTATE, 7), act(Act.REINSTATE, 5)]).reinstated == 2


@pytest.mark.parametrize("category", [Category.REPUTATION, Category.UNKNOWN, SOFT, HARD])
@pytest.mark.parametrize("trust", list(TrustLevel))
def test_confirming_makes_any_bounce_hard_and_dismissing_makes_it_nothing(category, trust):
    event = bounce(0, category, trust=trust)
    confirm, dismiss = act(Act.CONFIRM, 1, event), act(Act.DISMISS, 2, event)
    assert folded(event, confirm).bounce_type is Severity.HARD
    assert folded(event, confirm).bounce_count == 1
    assert folded(event, confirm, dismiss) == folded()
    assert not folded(event, dismiss, act(Act.CONFIRM, 3, event)).mailable


def test_a_confirmed_complaint_is_a_complaint():
    event = bounce(0, Category.UNKNOWN, kind=Kind.FEEDBACK, trust=TrustLevel.DOUBTFUL)
    assert folded(event).mailable
    assert folded(event, act(Act.CONFIRM, 1, event)).suppressed == {Reason.COMPLAINT}


def test_confirming_after_a_reinstatement_makes_hard_again():
    event = bounce(0, Category.UNKNOWN)
    back, confirm = act(Act.REINSTATE, 5), act(Act.CONFIRM, 6, event)
    assert not folded(event, back, confirm).mailable
    assert folded(event, act(Act.CONFIRM, 4, event), back).mailable


@pytest.mark.parametrize(
    ("level", "require", "expected"),
    [
        (TrustLevel.PROVEN, TrustLevel.PROVEN, True),
        (TrustLevel.PLAUSIBLE, TrustLevel.PROVEN, False),
        (TrustLevel.PLAUSIBLE, TrustLevel.PLAUSIBLE, True),
        (TrustLevel.DOUBTFUL, TrustLevel.PLAUSIBLE, False),
        (TrustLevel.DOUBTFUL, TrustLevel.DOUBTFUL, True),
        (TrustLevel.DOUBTFUL, None, True),
        (TrustLevel.UNCHECKED, TrustLevel.PROVEN, True),
        (None, TrustLevel.PROVEN, True),
        (TrustLevel.CONTRADICTED, TrustLevel.DOUBTFUL, False),
        (TrustLevel.CONTRADICTED, None, False),
    ],
)
def test_what_is_not_trusted_enough_changes_nothing(level, require, expected):
    for category in (HARD, Category.COMPLAINT):
        event = bounce(0, category, trust=level)
        assert folded(event, require=require).mailable is not expected
    assert counts(bounce(0, HARD, trust=level), CAREFUL, require) is expected


def test_counts_knows_what_was_dismissed():
    event = bounce(0, HARD)
    ruled = rulings([event, act(Act.DISMISS, 1, event)])
    assert not counts(event, CAREFUL, REQUIRE, ruled)


@pytest.mark.parametrize(
    ("category", "status", "reply", "action", "expected"),
    [
        (Category.POLICY, "5.7.1", None, DsnAction.FAILED, Severity.HARD),
        (Category.MAILBOX_FULL, "5.2.2", None, DsnAction.FAILED, Severity.HARD),
        (Category.GREYLISTED, "4.7.1", None, DsnAction.FAILED, Severity.SOFT),
        (Category.USER_UNKNOWN, "4.1.1", None, DsnAction.FAILED, Severity.SOFT),
        (Category.RATE_LIMITED, None, 550, DsnAction.FAILED, Severity.HARD),
        (Category.RATE_LIMITED, None, 421, DsnAction.FAILED, Severity.SOFT),
        (Category.RATE_LIMITED, "4.7.0", 550, DsnAction.FAILED, Severity.SOFT),
        (Category.UNKNOWN, "5.0.0", None, DsnAction.FAILED, Severity.HARD),
        (Category.UNKNOWN, "2.0.0", 554, DsnAction.FAILED, Severity.HARD),
        (Category.UNKNOWN, None, None, DsnAction.FAILED, Severity.UNKNOWN),
        (Category.UNKNOWN, "nonsense", 999, DsnAction.FAILED, Severity.UNKNOWN),
        (Category.USER_UNKNOWN, None, None, DsnAction.FAILED, Severity.HARD),
        (Category.DELAYED, "4.4.1", None, DsnAction.DELAYED, Severity.NONE),
        (Category.BOUNCE_OF_BOUNCE, "5.1.1", None, DsnAction.FAILED, Severity.NONE),
        (Category.COMPLAINT, "5.0.0", None, DsnAction.FAILED, Severity.NONE),
    ],
)
def test_the_profile_to_the_letter(category, status, reply, action, expected):
    event = bounce(0, category, status=status, reply=reply, action=action)
    assert effective(event, TO_THE_LETTER) is expected
    assert effective(event, CAREFUL) is Verdict(category, "").severity


def test_an_event_without_a_verdict_is_unknown_only_where_a_failure_was_told():
    event = bounce(0)
    kinds = {Kind.FAILURE: Severity.UNKNOWN, Kind.UNREADABLE: Severity.UNKNOWN}
    for kind in Kind:
        bare = Event(event.id, kind, ADDRESS, DAY0, DAY0, "test")
        assert effective(bare, CAREFUL) is kinds.get(kind, Severity.NONE)
    assert effective(act(Act.CONFIRM, 0), TO_THE_LETTER) is Severity.NONE


def test_an_event_that_says_next_to_nothing_folds_too():
    bare = [
        Event(str(n), kind, ADDRESS, moment, moment, "test")
        for n, kind in enumerate((*Kind, *Act))
        for moment in (DAY0, DAY0.replace(tzinfo=None))
    ]
    for policy in (CAREFUL, TO_THE_LETTER):
        assert folded(*bare, policy=policy, require=None).bounce_count == 0


@pytest.mark.parametrize(
    "claimed",
    [datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC), datetime(1970, 1, 1)],
)
def test_an_absurd_date_is_the_date_of_recording(claimed):
    odd = Event(
        "odd",
        Kind.FAILURE,
        ADDRESS,
        claimed,
        DAY0,
        "test",
        verdict=Verdict(SOFT, "r"),
    )
    contact = folded(odd)
    assert contact.last_bounce_at == DAY0
    later = bounce(20, message="a"), bounce(40, message="b")
    assert folded(odd, *later).bounce_type is Severity.HARD


def test_the_evidence_is_bounded_and_the_count_is_not():
    events = [bounce(i / 100, message=f"{i}.{'x' * 990}@example.org") for i in range(1000)]
    contact = folded(*events)
    assert contact.bounce_count == 1000
    assert 0 < len(contact.evidence) < 1000
    assert sum(len(e.message_id) for e in contact.evidence) < 50_000
    assert contact.evidence[-1].message_id.startswith("999.")


def test_ten_thousand_events_of_one_address_fold_quickly():
    events = [
        bounce(i % 700, SOFT if i % 3 else HARD, message=f"m{i}", name=str(i))
        for i in range(10_000)
    ]
    began = time.process_time()
    contact = folded(*events)
    # A quadratic fold takes minutes here; this one some tens of milliseconds.
    assert time.process_time() - began < 5
    assert contact.bounce_count == 10_000


# What must hold whatever happens.

DAYS = st.integers(0, 120) | st.floats(-40_000, 40_000, allow_nan=False)


@st.composite
def some_bounces(draw, categories=tuple(Category), kinds=tuple(Kind)):
    day = draw(DAYS)
    recorded = DAY0 + timedelta(days=draw(st.integers(0, 150)))
    return bounce(
        day,
        draw(st.sampled_from(categories)),
        message=draw(st.sampled_from([None, "<a@example.org>", "b", "c", "d", "\ud800|= "])),
        name=f"e{draw(st.integers(0, 40))}-{day}-{recorded}",
        trust=draw(st.sampled_from([None, *TrustLevel])),
        kind=draw(st.sampled_from(kinds)),
        status=draw(st.sampled_from([None, "5.1.1", "4.2.2", "2.0.0", "", "="])),
        reply=draw(st.sampled_from([None, 550, 421, 0, -1])),
        action=draw(st.sampled_from(list(DsnAction))),
        recorded=recorded,
    )


@st.composite
def histories(draw, max_acts=5):
    bounces = draw(st.lists(some_bounces(), max_size=12, unique_by=lambda event: event.id))
    acts = [
        act(kind, day, target, name=str(i))
        for i, (kind, day, target) in enumerate(
            draw(
                st.lists(
                    st.tuples(
                        st.sampled_from(list(Act)),
                        st.integers(0, 150),
                        st.sampled_from([None, *bounces]),
                    ),
                    max_size=max_acts,
                )
            )
        )
    ]
    return [*bounces, *acts]


POLICIES = st.builds(
    Policy,
    profile=st.sampled_from(["careful", "rfc5321"]),
    strikes=st.integers(1, 4),
    decay_days=st.integers(1, 60),
)
REQUIRED = st.sampled_from([None, *TrustLevel])


@given(histories(), POLICIES, REQUIRED, st.randoms())
def test_any_order_gives_the_same_contact(events, policy, require, random):
    shuffled = random.sample(events, len(events))
    assert fold(ADDRESS, shuffled, policy, require) == fold(ADDRESS, events, policy, require)


@given(histories(), POLICIES, REQUIRED)
def test_an_event_that_comes_twice_counts_once(events, policy, require):
    twice = [*events, *reversed(events)]
    assert fold(ADDRESS, twice, policy, require) == fold(ADDRESS, events, policy, require)


@given(histories(max_acts=0), some_bounces(), POLICIES, REQUIRED)
def test_without_an_act_hard_stays_and_counts_only_rise(events, late, policy, require):
    assume(late.id not in {event.id for event in events})
    before = fold(ADDRESS, events, policy, require)
    after = fold(ADDRESS, [*events, late], policy, require)
    if before.bounce_type is Severity.HARD:
        assert after.bounce_type is Severity.HARD
    assert after.bounce_count >= before.bounce_count
    assert after.suppressed >= before.suppressed
    if before.last_bounce_at is not None:
        assert after.last_bounce_at >= before.last_bounce_at


@given(histories(), some_bounces(), POLICIES, REQUIRED)
def test_the_count_and_the_evidence_never_shrink_by_a_bounce(events, late, policy, require):
    assume(late.id not in {event.id for event in events})
    before = fold(ADDRESS, events, policy, require)
    after = fold(ADDRESS, [*events, late], policy, require)
    # A late event may be the target of a dismissal or a confirmation, but never of another.
    assert after.bounce_count >= before.bounce_count
    assert len(after.evidence) == after.bounce_count


@given(histories(), POLICIES, REQUIRED)
def test_one_message_is_at_most_one_strike_and_one_count(events, policy, require):
    contact = fold(ADDRESS, events, policy, require)
    messages = {e.message_id or e.id for e in events if isinstance(e.kind, Kind)}
    assert contact.bounce_count <= len(messages)
    assert contact.strikes <= len(messages)
    ids = [e.message_id for e in contact.evidence]
    assert len(ids) == len(set(ids))


@given(histories(), POLICIES, REQUIRED)
def test_a_reinstatement_of_today_always_opens_what_bounces_closed(events, policy, require):
    assume(not any(e.kind is Act.SUPPRESS for e in events))
    contact = fold(ADDRESS, [*events, act(Act.REINSTATE, 999)], policy, require)
    assert contact.suppressed <= {Reason.COMPLAINT, Reason.UNSUBSCRIBE}


@given(histories(), POLICIES, REQUIRED)
def test_the_gate_is_shut_by_hard_and_hard_says_since_when(events, policy, require):
    contact = fold(ADDRESS, events, policy, require)
    hard = contact.bounce_type is Severity.HARD
    assert hard == bool(contact.suppressed & {Reason.HARD, Reason.STRIKES})
    assert hard == (contact.hard_since is not None) == (contact.hard_event is not None)
    assert not (hard and contact.mailable)
