"""When a rate is an alarm: not by chance, not by few, and never missed when it is plain."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bouncesink.watch import Blocks, Level, Limits, Rate, Scope, alarms, is_spike, rates, wilson

COUNTS = st.integers(1, 100_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def level(hard: int, sent: int) -> Level | None:
    found = alarms([Rate(Scope.CAMPAIGN, "spring", sent, hard)], Limits())
    return found[0].level if found else None


@pytest.mark.parametrize(
    ("hard", "sent", "wanted"),
    [
        (1, 5, None),
        (2, 10, None),
        (0, 1000, None),
        (3, 100, Level.WARN),
        (4, 200, None),
        (8, 300, Level.WARN),
        (9, 300, Level.ACT),
        (300, 10_000, Level.ACT),
        (210, 10_000, Level.WARN),
        (190, 10_000, None),
        (50, 50, Level.ACT),
    ],
)
def test_what_is_an_alarm(hard, sent, wanted):
    assert level(hard, sent) is wanted


@pytest.mark.parametrize(("hard", "sent"), [(50, 0), (50, 3)])
def test_where_less_was_sent_than_bounced_there_is_no_rate(hard, sent):
    assert level(hard, sent) is None
    assert not Rate(Scope.MAILBOX, "a@example.com", sent, hard).known


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    # Brown, Cai and DasGupta (2001) give the formula; these are its values to four places.
    [(0, 10, 0.0, 0.2775), (1, 10, 0.0179, 0.4042), (50, 100, 0.4038, 0.5962)],
)
def test_the_interval_is_that_of_wilson(hits, trials, low, high):
    assert wilson(hits, trials) == pytest.approx((low, high), abs=1e-4)


@given(COUNTS)
def test_the_share_is_within_its_interval(counts):
    hits, trials = counts
    low, high = wilson(hits, trials)
    assert 0.0 <= low <= hits / trials + 1e-12
    assert hits / trials - 1e-12 <= high <= 1.0


@given(COUNTS)
def test_one_more_bounce_never_ends_an_alarm(counts):
    hard, sent = counts
    ranks = {None: 0, Level.WARN: 1, Level.ACT: 2}
    assert ranks[level(min(hard + 1, sent), sent)] >= ranks[level(hard, sent)]


def test_rates_come_highest_first_and_without_the_nameless():
    campaign = Scope.CAMPAIGN
    found = rates(
        {(campaign, "a"): 100, (campaign, "b"): 100, (campaign, ""): 7},
        {(campaign, "b"): 5, (campaign, "c"): 2, (campaign, ""): 7},
    )
    assert [(each.name, each.known, each.rate) for each in found] == [
        ("b", True, 0.05),
        ("c", False, 0.0),
        ("a", True, 0.0),
    ]


@pytest.mark.parametrize(
    ("today", "before", "wanted"),
    [
        (9, [0] * 14, False),
        (10, [0] * 14, True),
        (30, [25, 30, 28, 31], False),
        (80, [25, 30, 28, 31], True),
        (12, [], True),
    ],
)
def test_what_is_a_spike(today, before, wanted):
    assert is_spike(Blocks("google", today, before, "4.7.28 unusual rate"), Limits()) is wanted
