"""The suppression list as a file that other programs read while it is brought up to date."""

import csv
import json
from datetime import UTC, datetime

import pytest

from bouncesink.errors import PermanentSinkError
from bouncesink.ledger import open_ledger
from bouncesink.model import Contact, Reason, Severity
from bouncesink.outbox.suppression import COLUMNS, write

AT = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


def blocked(name: str) -> Contact:
    reasons = frozenset({Reason.HARD})
    return Contact(name, Severity.HARD, 1, AT, hard_since=AT, suppressed=reasons)


@pytest.fixture
def ledger(tmp_path):
    ledger = open_ledger(tmp_path / "ledger.db")
    ledger.put_contacts(
        [*(blocked(f"a{n:04}@example.org") for n in range(1200)), Contact("b@c.test")]
    )
    yield ledger
    ledger.close()


def test_a_csv_has_each_that_is_blocked_and_nobody_else(ledger, tmp_path):
    path = tmp_path / "blocked.csv"
    assert write(ledger, path)
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    assert tuple(header) == COLUMNS
    assert [row[0] for row in rows] == [f"a{n:04}@example.org" for n in range(1200)]
    assert rows[0] == ["a0000@example.org", "hard", "HARD", "1", *["2026-03-02T10:00:00.000Z"] * 2]


@pytest.mark.parametrize("name", ["blocked.json", "blocked.jsonl"])
def test_json_is_an_object_a_line(ledger, tmp_path, name):
    write(ledger, tmp_path / name)
    lines = [json.loads(line) for line in (tmp_path / name).read_text().splitlines()]
    assert len(lines) == 1200
    assert lines[0]["reasons"] == ["hard"]


def test_what_has_not_changed_is_not_touched(ledger, tmp_path):
    path = tmp_path / "blocked.csv"
    write(ledger, path)
    before = path.stat()
    assert not write(ledger, path)
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    ledger.put_contacts([blocked("=cmd@example.org")])
    assert write(ledger, path)
    assert "'=cmd@example.org" in path.read_text()
    assert [each.name for each in tmp_path.glob(".*")] == []


def test_where_it_cannot_be_written_it_says_where_and_leaves_what_was_there(ledger, tmp_path):
    with pytest.raises(PermanentSinkError, match=r"gone/blocked\.csv: the suppression list"):
        write(ledger, tmp_path / "gone" / "blocked.csv")
