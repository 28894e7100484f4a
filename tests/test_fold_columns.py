"""The five columns, and the advice on when to try again."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bouncesink.config import Policy
from bouncesink.fold import Columns, advise, columns, fold
from bouncesink.fold.cells import CELL_LIMIT
from bouncesink.fold.retry import JITTER
from bouncesink.model import (
    CATEGORIES,
    Category,
    Contact,
    DsnAction,
    Event,
    Evidence,
    Kind,
    Reason,
    Report,
    Severity,
    Verdict,
)

UTC_ZONE = ZoneInfo("UTC")
LATE = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)
HARD = Contact(
    "lead@example.com",
    bounce_type=Severity.HARD,
    bounce_count=2,
    last_bounce_at=LATE,
    suppressed=frozenset({Reason.HARD}),
    evidence=(
        Evidence(LATE - timedelta(days=1), "4.2.2", "a@example.org"),
        Evidence(LATE, "5.1.1", "b@example.org"),
    ),
)


def test_the_columns_of_an_address_that_never_bounced_are_empty_but_valid():
    assert columns(Contact("lead@example.com"), UTC_ZONE) == Columns("", "", 0, True, "")


def test_the_columns_of_a_hard_address():
    assert columns(HARD, UTC_ZONE) == Columns(
        "2026-03-01",
        "HARD",
        2,
        False,
        "2026-02-28:4.2.2:a@example.org | 2026-03-01:5.1.1:b@example.org",
    )


def test_days_are_those_of_the_time_zone():
    there = columns(HARD, ZoneInfo("Europe/Berlin"))
    assert there.date == "2026-03-02"
    assert there.evidence.endswith("2026-03-02:5.1.1:b@example.org")


def test_a_complaint_only_touches_the_gate():
    complained = Contact("lead@example.com", suppressed=frozenset({Reason.COMPLAINT}))
    assert columns(complained, UTC_ZONE) == Columns("", "", 0, False, "")


def test_the_oldest_evidence_becomes_a_count_at_the_limit_and_not_before():
    whole = columns(HARD, UTC_ZONE).evidence
    assert columns(HARD, UTC_ZONE, len(whole)).evidence == whole
    shorter = columns(HARD, UTC_ZONE, len(whole) - 1).evidence
    assert shorter == "(+1 earlier) | 2026-03-01:5.1.1:b@example.org"
    assert columns(HARD, UTC_ZONE, 20).evidence == "(+2 earlier)"


def test_what_was_left_out_of_the_contact_is_counted_too():
    contact = replace(HARD, bounce_count=12)
    assert columns(contact, UTC_ZONE).evidence.startswith("(+10 earlier) | 2026-02-28:")
    assert columns(contact, UTC_ZONE, 60).evidence.startswith("(+11 earlier) | 2026-03-01:")


def bounce(name, text, at=LATE):
    return Event(
        id=name,
        kind=Kind.FAILURE,
        address=HARD.address,
        occurred_at=at,
        recorded_at=at,
        source="test",
        report=Report(HARD.address, DsnAction.FAILED, "rfc3464", status=text),
        verdict=Verdict(Category.MAILBOX_FULL, "test-rule"),
        message_id=text,
    )


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "a | b\n=c", "\ud800"])
def test_evidence_is_never_a_formula_and_never_ends_an_entry(text):
    contact = fold(HARD.address, [bounce("e", text)], Policy(), None)
    (entry,) = columns(contact, UTC_ZONE).evidence.split(" | ")
    assert entry.startswith("2026-03-01:")
    assert entry.isprintable()
    entry.encode()


HOSTILE = st.text(max_size=40)
TIMES = st.datetimes(datetime(1980, 1, 2), datetime(9998, 1, 1), timezones=st.just(UTC))


@given(
    st.lists(st.builds(bounce, HOSTILE, HOSTILE, TIMES), max_size=30),
    st.integers(1, 1500) | st.just(CELL_LIMIT),
)
def test_every_cell_is_harmless_and_keeps_its_limit(events, limit):
    contact = fold(HARD.address, events, Policy(), None)
    cells = columns(contact, UTC_ZONE, limit)
    for text in (cells.date, cells.type, cells.evidence):
        assert not text.startswith(("=", "+", "-", "@", "\t", "\r"))
        assert text.isprintable()
    assert len(cells.evidence) <= limit
    if limit > 20 and events:
        shown = [e for e in cells.evidence.split(" | ") if not e.startswith("(+")]
        earlier = int(cells.evidence[2:].split()[0]) if cells.evidence.startswith("(+") else 0
        assert len(shown) + earlier == cells.count


def test_retries_back_off_and_end():
    waits = []
    while (advice := advise(Category.MAILBOX_FULL, len(waits) + 1, "lead@example.com")).wait:
        waits.append(advice.wait)
    assert advice.persistent
    assert waits == sorted(waits)
    assert timedelta(days=1) * (1 - JITTER) <= waits[0] <= timedelta(days=1) * (1 + JITTER)


def test_jitter_is_the_seeds_own():
    first, other = (advise(Category.SYSTEM_ERROR, 1, seed).wait for seed in ("a", "b"))
    assert first == advise(Category.SYSTEM_ERROR, 1, "a").wait
    assert first != other


@given(st.sampled_from(list(Category)), st.integers(-5, 10**9), st.text())
def test_advice_is_total_and_never_tries_a_dead_address_again(category, attempt, seed):
    advice = advise(category, attempt, seed)
    if CATEGORIES[category][0] is Severity.HARD:
        assert (advice.wait, advice.persistent) == (None, True)
    if CATEGORIES[category][0] is Severity.NONE:
        assert (advice.wait, advice.persistent) == (None, False)
    assert advice.wait is None or timedelta() < advice.wait < timedelta(days=30)
