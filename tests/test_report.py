"""`bouncesink report`: what changed, for a person, a program, and as a page."""

import json
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest

from bouncesink.config import Config, Policy
from bouncesink.engine.trends import trends
from bouncesink.ledger import open_ledger
from bouncesink.model import (
    Category,
    Contact,
    DsnAction,
    Event,
    Kind,
    Report,
    Send,
    Severity,
    Trust,
    TrustLevel,
    Verdict,
)

NOW = datetime.now(UTC).replace(microsecond=0)


def failure(number: int, days_ago: float, category: Category, **changes: str) -> Event:
    address = changes.get("address", f"lead-{number}@gmail.com")
    return Event(
        id=f"{category}-{number}-{days_ago}",
        kind=Kind.FAILURE,
        address=address,
        occurred_at=NOW - timedelta(days=days_ago),
        recorded_at=NOW,
        source="lmtp",
        report=Report(address, DsnAction.FAILED, "rfc3464", remote_mta=changes.get("remote_mta")),
        verdict=Verdict(category, changes.get("rule", f"says-{category}")),
        trust=Trust(TrustLevel.PROVEN),
        message_id=f"{category}-{number}-{days_ago}@example.com",
        sender="Sales <sales@example.com>",
        subject=changes.get("subject", "Hello"),
        campaign=changes.get("campaign", "spring"),
    )


@pytest.fixture
def ledger(tmp_path):
    ledger = open_ledger(tmp_path / "bouncesink.db")
    yield ledger
    ledger.close()


@pytest.fixture
def told(ledger):
    unknown, full, blocked = Category.USER_UNKNOWN, Category.MAILBOX_FULL, Category.BLOCKLISTED
    ledger.add_events([failure(n, 40, unknown) for n in range(10)])
    ledger.add_events([failure(n, 10, unknown) for n in range(12)])
    ledger.add_events([failure(n, 5, full) for n in range(3)])
    hosted = {"remote_mta": "x.mail.protection.outlook.com", "address": "lead@example.org"}
    ledger.add_events([failure(n, 2, blocked, campaign="autumn", **hosted) for n in range(20)])
    ledger.add_events([failure(1, 70, blocked)])
    sent_at = NOW - timedelta(days=11)
    ledger.put_sends(
        [Send(f"m{n}@example.com", f"l{n}@gmail.com", sent_at, "spring") for n in range(400)]
    )
    return ledger


def test_what_changed_most_comes_first(told):
    found = trends(told, Config(), NOW, 30)
    assert (dict(found.total.before), dict(found.total.now)) == (
        {"HARD": 10},
        {"HARD": 12, "SOFT": 3, "BLOCK": 20},
    )
    first = {title: changes[0].name for title, changes in found.changes.items()}
    assert first == {
        "category": "blocklisted",
        "rule": "says-blocklisted",
        "provider": "microsoft",
        "domain": "example.org",
        "campaign": "autumn",
        "mailbox": "sales@example.com",
        "subject": "Hello",
    }
    by_category = {change.name: change for change in found.changes["category"]}
    assert by_category["blocklisted"].deviations > 2 > by_category["user_unknown"].deviations
    rates = {(each.scope, each.name): (each.hard, each.sent) for each in found.rates}
    assert rates["campaign", "spring"] == (12, 400)


def test_every_day_is_there_also_a_quiet_one(told):
    found = trends(told, Config(), NOW, 30)
    assert len(found.days) == 31
    assert sum(sum(each.values()) for each in found.days.values()) == found.total.counts[1]


def test_those_whose_strikes_have_decayed_are_not_at_risk(ledger):
    def contact(name: str, days_ago: int, strikes: int) -> Contact:
        last = NOW - timedelta(days=days_ago)
        return Contact(f"{name}@example.org", Severity.SOFT, strikes, last, strikes, last)

    ledger.put_contacts([contact("a", 1, 1), contact("b", 2, 2), contact("c", 31, 2)])
    found = trends(ledger, Config(policy=Policy(decay_days=30)), NOW, 30)
    assert [each.address for each in found.at_risk] == ["b@example.org", "a@example.org"]


def test_a_person_reads_it(told, run):
    printed = run("report", "--days", "30")
    assert printed.code == 0
    (line,) = [line for line in printed.out.splitlines() if line.startswith("blocklisted")]
    assert line.split() == [
        "blocklisted",
        *["0", "->", "0", "0", "->", "0", "0", "->", "20", "more"],
    ]
    assert "12 of 400" in printed.out


def test_a_program_reads_it(told, run):
    (shape,) = run("report", "--days", "30", "--json").lines
    assert shape["total"] == {
        "before": {"HARD": 10},
        "now": {"HARD": 12, "SOFT": 3, "BLOCK": 20},
    }
    assert shape["changes"]["campaign"][0] == {
        "name": "autumn",
        "before": {},
        "now": {"BLOCK": 20},
        "deviations": 4.47,
    }


class Page(HTMLParser):
    """Gathers the tags and the text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.text += data


def test_the_page_is_whole_and_nothing_in_a_bounce_can_run_in_it(ledger, run):
    evil = "<script>alert(1)</script>\u202e<img src=x onerror=alert(2)>"
    changes = {"campaign": evil, "subject": evil, "rule": "a-rule"}
    ledger.add_events([failure(n, 1, Category.USER_UNKNOWN, **changes) for n in range(5)])
    page = Page(run("report", "--html").out)
    assert {"script", "img", "link"} & set(page.tags) == set()
    assert (
        page.text.count("<script>alert(1)</script> <img src=x onerror=alert(2)>") == 3
    )  # rate, campaign, subject
    assert page.tags.count("rect") == 31 * 3


def test_an_empty_ledger_has_nothing_to_report(ledger, run):
    assert json.loads(run("report", "--json").out)["at_risk"] == []
    assert run("report", "--html").code == 0
    assert run("report").code == 0


def test_html_and_json_are_two_things(ledger, run):
    assert run("report", "--html", "--json").code == 2
