"""What was sent, from a mail server's log, by the day, and by what providers tell."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bouncesink.intake import postfix_log
from bouncesink.intake.postfix_log import sends
from bouncesink.ledger import open_ledger
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

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
LOG = """\
Mar  2 09:00:00 mx postfix/pickup[900]: 4TJ3K81Fz7z1: uid=0 from=<sales>
Mar  2 09:00:00 mx postfix/cleanup[901]: 4TJ3K81Fz7z1: message-id=<m1@example.com>
Mar  2 09:00:00 mx postfix/qmgr[902]: 4TJ3K81Fz7z1: from=<Sales@example.com>, size=512, nrcpt=3 (queue active)
Mar  2 09:00:01 mx postfix/smtp[903]: 4TJ3K81Fz7z1: to=<a@example.org>, relay=mx.example.org[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 ok)
Mar  2 09:00:02 mx postfix/smtp[903]: 4TJ3K81Fz7z1: to=<B@example.net>, orig_to=<alias@example.com>, relay=none, delay=1, dsn=4.4.1, status=deferred (timed out)
Mar  2 09:00:03 mx postfix/relay/smtp[903]: 4TJ3K81Fz7z1: to=<c@example.net>, relay=x[192.0.2.2]:25, dsn=5.1.1, status=bounced (said: 550 5.1.1 status=sent)
Mar  2 09:00:03 mx postfix/local[904]: 4TJ3K81Fz7z1: to=<root@example.com>, relay=local, dsn=2.0.0, status=sent (delivered)
Mar  2 09:10:02 mx postfix/smtp[903]: 4TJ3K81Fz7z1: to=<B@example.net>, relay=x[192.0.2.2]:25, dsn=2.0.0, status=sent (250 ok)
Mar  2 09:10:02 mx postfix/qmgr[902]: 4TJ3K81Fz7z1: removed
Mar  2 09:20:00 mx postfix/cleanup[901]: ABCDEF0123: message-id=<notice@mx.example.com>
Mar  2 09:20:00 mx postfix/qmgr[902]: ABCDEF0123: from=<>, size=512, nrcpt=1 (queue active)
Mar  2 09:20:01 mx postfix/smtp[903]: ABCDEF0123: to=<sales@example.com>, relay=x[192.0.2.2]:25, dsn=2.0.0, status=sent (250 ok)
Mar  2 09:30:00 mx sshd[1]: nothing of ours
"""


def test_each_recipient_of_each_message_is_a_send_and_notifications_are_none():
    at = datetime(2026, 3, 2, 9, 0, 1).astimezone(UTC)
    found = list(sends(LOG.splitlines(), at + timedelta(hours=2)))
    assert found[0] == Send("m1@example.com", "a@example.org", at, None, "sales@example.com")
    assert [each.recipient for each in found] == [
        "a@example.org",
        "b@example.net",
        "c@example.net",
        "b@example.net",
    ]


@pytest.mark.parametrize(
    ("time", "wanted"),
    [
        ("2026-03-02T10:00:00.123456+01:00", datetime(2026, 3, 2, 9, 0, 0, 123456, tzinfo=UTC)),
        ("2026-03-02T09:00:00Z", datetime(2026, 3, 2, 9, 0, tzinfo=UTC)),
        ("Dec 31 23:00:00", datetime(2025, 12, 31, 23, 0).astimezone(UTC)),
    ],
)
def test_a_time_has_its_year_or_is_of_the_last_twelve_months(time, wanted):
    log = LOG.replace("Mar  2 09:00:01", time)
    assert next(sends(log.splitlines(), NOW + timedelta(days=1))).sent_at == wanted


def test_no_more_messages_are_remembered_than_a_queue_holds(monkeypatch):
    monkeypatch.setattr(postfix_log, "MOST_OPEN", 2)
    lines = LOG.splitlines()
    others = [lines[1].replace("4TJ3K81Fz7z1", f"OTHER{n:05}") for n in range(5)]
    assert list(sends([*lines[:3], *others, *lines[3:]], NOW)) == []


@given(st.lists(st.text() | st.sampled_from(LOG.splitlines())))
def test_whatever_is_in_a_log_nothing_breaks(lines):
    assert all("@" in each.recipient for each in sends(lines, NOW))


def test_a_log_is_taken_in_once(run, tmp_path):
    Path("mail.log").write_text(LOG)
    assert run("sends", "import-log", "mail.log").out == "4 sends found, 3 new.\n"
    assert run("sends", "import-log", "-", "--json", stdin=LOG).lines == [{"taken": 4, "new": 0}]


def test_counts_by_day_make_a_rate(run, tmp_path):
    today = datetime.now(UTC).date().isoformat()
    Path("counts.csv").write_text(
        f"day,sent,campaign,mailbox\n{today},100,spring,Sales@example.com\n"
        f"{today},900,spring,Sales@example.com\n{today},x,,\nnever,1,,\n{today},1,,nobody\n"
    )
    taken = run("sends", "count", "counts.csv")
    assert (taken.code, taken.out) == (1, "2 counts taken, 3 refused.\n")
    assert "line 4: `sent` is no number" in taken.err
    (shape,) = run("report", "--json").lines
    rates = {(each["scope"], each["name"]): each["sent"] for each in shape["rates"]}
    assert rates["campaign", "spring"] == 900
    assert rates["mailbox", "sales@example.com"] == 900


def told(number: int, kind: Kind, source: str) -> Event:
    address = f"lead-{number}@example.org"
    failed = kind is Kind.FAILURE
    return Event(
        id=f"{source}-{number}",
        kind=kind,
        address=address,
        occurred_at=NOW,
        recorded_at=NOW,
        source=source,
        report=Report(address, DsnAction.FAILED if failed else DsnAction.DELIVERED, "x"),
        verdict=Verdict(Category.USER_UNKNOWN if failed else Category.DELIVERED, "a-rule"),
        trust=Trust(TrustLevel.PROVEN),
        message_id=f"m{number}@example.com",
        campaign="spring",
    )


def test_what_a_provider_tells_of_each_message_counts_as_sent_once(tmp_path):
    ledger = open_ledger(tmp_path / "ledger.db")
    delivered = [told(n, Kind.DELIVERED, "webhook:ses") for n in range(90)]
    failed = [told(n, Kind.FAILURE, "webhook:ses") for n in range(90, 100)]
    by_mail = [told(n, Kind.FAILURE, "lmtp") for n in range(100, 105)]
    ledger.add_events([*delivered, *failed, *by_mail])
    ledger.put_sends(
        [Send(f"m{n}@example.com", f"lead-{n}@example.org", NOW, "spring") for n in range(5)]
    )
    found = ledger.sent_by("campaign", NOW - timedelta(days=1), NOW + timedelta(days=1))
    ledger.close()
    assert found == {"spring": 100}
