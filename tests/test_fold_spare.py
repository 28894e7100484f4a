"""What nothing rests on can go, at any cut, whatever comes afterwards."""

from contextlib import closing
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st
from test_fold import (
    ADDRESS,
    CAREFUL,
    DAY0,
    HARD,
    POLICIES,
    REQUIRE,
    REQUIRED,
    SOFT,
    bounce,
    histories,
)

from bouncesink.fold import fold, waiting
from bouncesink.fold.spare import spare
from bouncesink.ledger import open_ledger
from bouncesink.model import Act, Category, Kind, Severity, TrustLevel

CUTS = st.integers(-200, 400).map(lambda day: DAY0 + timedelta(days=day))


@given(histories(), CUTS, POLICIES, REQUIRED)
def test_the_state_is_the_same_without_them_whatever_comes_later(events, cut, policy, require):
    known = [event for event in events if event.recorded_at < cut]
    gone, bare = spare(known, policy, require, cut)
    later = [e for e in events if e.recorded_at >= cut and e.target not in gone]
    left = [event for event in known if event.id not in gone]
    assert fold(ADDRESS, [*left, *later], policy, require) == fold(
        ADDRESS, [*known, *later], policy, require
    )
    assert not gone & bare


@given(histories(), CUTS, POLICIES, REQUIRED)
def test_what_waits_for_a_person_stays_whole_and_acts_stay(events, cut, policy, require):
    gone, bare = spare(events, policy, require, cut)
    before = waiting(events, policy, require)
    left = [event for event in events if event.id not in gone]
    assert waiting(left, policy, require) == before
    open_ = {event.id for some in before.values() for event in some}
    assert not open_ & (gone | bare)
    acts = [event for event in events if isinstance(event.kind, Act)]
    assert not gone & {event.id for event in acts}
    assert not gone & {event.target for event in acts}


@settings(max_examples=8, deadline=None)
@given(histories(), CUTS, POLICIES, REQUIRED)
def test_cut_in_the_ledger_they_fold_as_before(events, cut, policy, require):
    unique = list({event.id: event for event in events}.values())
    with (
        TemporaryDirectory() as folder,
        closing(open_ledger(Path(folder, "x.db"))) as ledger,
    ):
        ledger.add_events(unique)
        stored = ledger.events_of([ADDRESS]).get(ADDRESS, [])
        gone, bare = spare(stored, policy, require, cut)
        before = fold(ADDRESS, stored, policy, require)
        assert ledger.thin_out(gone, bare) == len(gone)
        after = ledger.events_of([ADDRESS]).get(ADDRESS, [])
        assert fold(ADDRESS, after, policy, require) == before
        assert {e.id for e in after} == {e.id for e in stored} - gone
        for event in after:
            if event.id in bare:
                assert not event.sender
                assert not event.subject
                assert event.report is None or event.report.diagnostic is None


def test_a_hard_address_keeps_its_bounce_and_loses_the_small_talk():
    events = [
        bounce(0, HARD, message="<a@example.org>", recorded=DAY0),
        bounce(1, Category.AUTO_REPLY, kind=Kind.AUTO_REPLY, recorded=DAY0 + timedelta(days=1)),
        bounce(2, Category.GREYLISTED, status="4.7.1", recorded=DAY0 + timedelta(days=2)),
    ]
    gone, bare = spare(events, CAREFUL, REQUIRE, DAY0 + timedelta(days=3))
    assert bare == {events[0].id}
    assert gone == {events[1].id, events[2].id}


def test_a_message_that_bounced_before_the_cut_strikes_no_second_time():
    old = [bounce(n, SOFT, message=f"m{n}", recorded=DAY0) for n in (-3, -2)]
    gone, _ = spare(old, CAREFUL, TrustLevel.PLAUSIBLE, DAY0 + timedelta(days=1))
    left = [event for event in old if event.id not in gone]
    again = [bounce(5, SOFT, message=f"m{n}", name=f"again{n}") for n in (-3, -2)]
    contact = fold(ADDRESS, [*left, *again], CAREFUL, REQUIRE)
    assert (contact.bounce_type, contact.bounce_count) == (Severity.SOFT, 2)
