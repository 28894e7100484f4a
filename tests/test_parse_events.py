"""events.json, and the entries of it that are refused."""

import json
from datetime import UTC, datetime

import pytest
from parse_support import arrival

from bouncesink.model import Kind, Notice
from bouncesink.parse import parse
from bouncesink.parse.events import split_events

ENTRY = {
    "email": "lead@example.com",
    "date": "2026-11-20",
    "code": "5.1.1",
    "message_id": "<m-1@example.org>",
    "campaign": "autumn",
    "more": {"kept": 1},
}


def notice_of(entry: object) -> Notice:
    raw = json.dumps(entry).encode()
    return parse(arrival(raw, media_type="application/json"))


def test_an_entry_becomes_a_notice() -> None:
    notice = notice_of(ENTRY)
    (report,) = notice.reports
    assert notice.kind is Kind.FAILURE
    assert (report.recipient, report.status) == ("lead@example.com", "5.1.1")
    assert report.last_attempt == notice.sent_at == datetime(2026, 11, 20, tzinfo=UTC)
    assert notice.original.message_id == "m-1@example.org"
    assert notice.original.campaign == {"campaign": "autumn"}


@pytest.mark.parametrize(
    ("more", "status", "reply_code"),
    [
        ({"code": "5.1.1"}, "5.1.1", None),
        ({"code": 550}, None, 550),
        ({"code": "550"}, None, 550),
        ({"status": "5.2.2", "code": "552"}, "5.2.2", 552),
        ({"reply": "550 5.1.1 no such user"}, "5.1.1", 550),
        ({"diagnostic": "552 5.2.2 full"}, "5.2.2", 552),
        ({"type": "hard_bounce"}, "5.0.0", None),
        ({"type": "Soft"}, "4.0.0", None),
    ],
)
def test_codes_are_taken_as_they_come(
    more: dict[str, object], status: str | None, reply_code: int | None
) -> None:
    (report,) = notice_of({"email": "a@example.com", "date": 1790000000} | more).reports
    assert (report.status, report.reply_code) == (status, reply_code)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("complaint", Kind.FEEDBACK),
        ("delayed", Kind.DELAYED),
        ("unsubscribe", Kind.UNSUBSCRIBE),
        ("whatever", Kind.FAILURE),
    ],
)
def test_types(kind: str, expected: Kind) -> None:
    assert notice_of(ENTRY | {"type": kind}).kind is expected


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (7, "object"),
        ({}, "`email`"),
        (ENTRY | {"email": "nobody"}, "`email`"),
        ({"email": "a@example.com", "code": "5.1.1"}, "`date`"),
        (ENTRY | {"date": "yesterday"}, "`date`"),
        (ENTRY | {"date": 1e300}, "`date`"),
        ({"email": "a@example.com", "date": "2026-01-01"}, "one of them"),
    ],
)
def test_a_bad_entry_says_what_is_wrong(entry: object, problem: str) -> None:
    notice = notice_of(entry)
    assert notice.kind is Kind.UNREADABLE
    assert problem in notice.damage[0]
    (bad, good) = split_events(json.dumps([entry, ENTRY]).encode())
    assert (bad.index, bad.raw) == (0, b"")
    assert problem in bad.problem
    assert (good.index, good.problem) == (1, "")


def test_arrays_and_lines_give_the_same_entries() -> None:
    turned = dict(reversed(ENTRY.items()))
    array = list(split_events(json.dumps([ENTRY, turned]).encode()))
    lines = list(split_events(f"{json.dumps(ENTRY)}\n\n{json.dumps(turned)}\n".encode()))
    assert array == lines
    assert array[0].raw == array[1].raw
    assert json.loads(array[0].raw) == ENTRY


@pytest.mark.parametrize(
    "data", [b"[", b"\xff", b"[" * 100_000, b"[" + b"9" * 10_000 + b"]", b'{"email": ']
)
def test_broken_files_are_refused_in_words(data: bytes) -> None:
    entries = list(split_events(data))
    assert entries
    assert all(entry.problem and not entry.raw for entry in entries)


def test_a_broken_line_does_not_stop_the_others() -> None:
    entries = list(split_events(b"{oops\n" + json.dumps(ENTRY).encode()))
    assert [bool(entry.problem) for entry in entries] == [True, False]
