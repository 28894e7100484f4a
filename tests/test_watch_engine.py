"""What the watch sees in a ledger."""

from datetime import UTC, date, datetime, timedelta

import pytest

from bouncesink.config import WatchConfig
from bouncesink.engine.watch import look
from bouncesink.ledger import SendCount, open_ledger
from bouncesink.model import (
    Category,
    DsnAction,
    Event,
    Kind,
    Report,
    Send,
    Trust,
    TrustLevel,
    Verdict,
)
from bouncesink.watch import Level, Scope

NOW = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path):
    ledger = open_ledger(tmp_path / "ledger.db")
    yield ledger
    ledger.close()


def sends(count: int, campaign: str, mailbox: str = "sales@example.com", days_ago: float = 1.0):
    at = NOW - timedelta(days=days_ago)
    return [
        Send(f"{campaign}-{n}@example.com", f"lead-{n}@gmail.com", at, campaign, mailbox)
        for n in range(count)
    ]


def bounce(
    number: int,
    campaign: str = "spring",
    category: Category = Category.USER_UNKNOWN,
    days_ago: float = 0.5,
    trust: TrustLevel = TrustLevel.PROVEN,
    notice: str = "a",
) -> Event:
    address = f"lead-{number}@gmail.com"
    return Event(
        id=f"{campaign}-{number}-{notice}-{days_ago}",
        kind=Kind.FAILURE,
        address=address,
        occurred_at=NOW - timedelta(days=days_ago),
        recorded_at=NOW,
        source="lmtp",
        report=Report(address, DsnAction.FAILED, "rfc3464", diagnostic=f"said {category}"),
        verdict=Verdict(category, "a-rule"),
        trust=Trust(trust),
        message_id=f"{campaign}-{number}@example.com",
        sender="Sales <Sales@example.com>",
        campaign=campaign,
    )


def alarms(ledger, **config):
    return {
        (alarm.rate.scope, alarm.rate.name): (alarm.level, alarm.rate.hard, alarm.rate.sent)
        for alarm in look(ledger, WatchConfig(**config), NOW).alarms
    }


def test_a_burning_campaign_is_seen_with_its_mailbox_its_domain_and_the_provider(ledger):
    ledger.put_sends(sends(100, "spring"))
    ledger.add_events([bounce(n) for n in range(8)])
    assert alarms(ledger) == {
        (Scope.CAMPAIGN, "spring"): (Level.ACT, 8, 100),
        (Scope.MAILBOX, "sales@example.com"): (Level.ACT, 8, 100),
        (Scope.SENDING_DOMAIN, "example.com"): (Level.ACT, 8, 100),
        (Scope.PROVIDER, "google"): (Level.ACT, 8, 100),
    }


def test_another_campaign_thins_what_the_mailbox_does_but_not_what_the_campaign_does(ledger):
    ledger.put_sends(sends(100, "spring"))
    ledger.put_sends(sends(900, "autumn"))
    ledger.add_events([bounce(n) for n in range(8)])
    assert alarms(ledger) == {(Scope.CAMPAIGN, "spring"): (Level.ACT, 8, 100)}


def test_one_bounce_of_five_is_no_alarm(ledger):
    ledger.put_sends(sends(5, "spring"))
    ledger.add_events([bounce(1)])
    assert alarms(ledger) == {}


def test_a_message_counts_once_however_many_notifications_tell_of_it(ledger):
    ledger.put_sends(sends(100, "spring"))
    ledger.add_events([bounce(1, notice=name) for name in "abcdefgh"])
    assert alarms(ledger) == {}


@pytest.mark.parametrize(
    "changes",
    [
        {"days_ago": 7.5},
        {"category": Category.MAILBOX_FULL},
        {"category": Category.BLOCKLISTED},
        {"trust": TrustLevel.DOUBTFUL},
        {"trust": TrustLevel.CONTRADICTED},
    ],
)
def test_what_is_old_soft_blocked_or_doubtful_is_no_hard_bounce(ledger, changes):
    ledger.put_sends(sends(100, "spring"))
    ledger.add_events([bounce(n, **changes) for n in range(8)])
    assert alarms(ledger) == {}


def test_sends_may_be_known_by_their_number_alone(ledger):
    yesterday = NOW.date() - timedelta(days=1)
    count = SendCount(yesterday, "spring", "sales@example.com", "", 90)
    ledger.put_send_counts([count])
    ledger.put_send_counts([SendCount(yesterday, "spring", "sales@example.com", "", 100)])
    ledger.put_send_counts([SendCount(date(2026, 1, 1), "spring", "", "", 10_000)])
    ledger.add_events([bounce(n) for n in range(8)])
    assert alarms(ledger)[Scope.CAMPAIGN, "spring"] == (Level.ACT, 8, 100)


def test_a_day_of_blocks_by_one_provider_is_a_spike_with_the_sentence_that_most_got(ledger):
    usual = [bounce(n, category=Category.POLICY, days_ago=n % 14 + 1.5) for n in range(14)]
    today = [bounce(n, category=Category.RATE_LIMITED) for n in range(20, 35)]
    other = [bounce(n, category=Category.POLICY) for n in range(40, 43)]
    ledger.add_events([*usual, *today, *other])
    (spike,) = look(ledger, WatchConfig(), NOW).spikes
    assert (spike.provider, spike.today, sum(spike.before)) == ("google", 18, 14)
    assert spike.said == "said rate_limited"


def test_the_usual_blocks_are_no_spike(ledger):
    usual = [bounce(n, category=Category.POLICY, days_ago=n % 15 + 0.5) for n in range(15 * 12)]
    ledger.add_events(usual)
    assert look(ledger, WatchConfig(), NOW).spikes == ()
