"""`bouncesink suppress`, and the scope of a domain that does not exist."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from commands import Run
from mails import hard

from bouncesink.engine.acts import operator_act
from bouncesink.ledger import open_ledger
from bouncesink.model import Act

LEAD = "lead@example.org"
BY = ("--actor", "one", "--reason", "asked by phone")


def reasons(run: Run, address: str, *options: str) -> list[str]:
    return run("check", address, "--json", *options).lines[0]["reasons"]


def exported(run: Run, *options: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(run("suppress", "export", *options).out)))


def test_add_and_remove_are_recorded_acts(run: Run) -> None:
    added = run("suppress", "add", "Lead@EXAMPLE.org", "other@example.org", *BY)
    assert "2 addresses suppressed" in added.out
    assert "1 already" in run("suppress", "add", LEAD, "new@example.org", *BY).out
    assert reasons(run, LEAD) == ["manual"]
    removed = run("suppress", "remove", LEAD, *BY)
    assert (removed.code, f"{LEAD}: may be mailed" in removed.out) == (0, True)
    assert reasons(run, LEAD) == []
    story = run("explain", LEAD).out
    assert story.count("one: asked by phone") == 2


def test_reasons_are_kept_apart(run: Run) -> None:
    Path("a.eml").write_text(hard())
    run("replay", "a.eml")
    run("suppress", "add", LEAD, "other@example.org", *BY)
    assert reasons(run, LEAD) == ["hard", "manual"]
    listed = run("suppress", "list", "--json").lines
    assert [(each["address"], each["reasons"]) for each in listed] == [
        (LEAD, ["hard", "manual"]),
        ("other@example.org", ["manual"]),
    ]
    (only,) = run("suppress", "list", "--reason-kind", "hard", "--json").lines
    assert only["address"] == LEAD
    assert "2 addresses must not be mailed" in run("suppress", "list").out
    left = run("suppress", "remove", LEAD, *BY)
    assert (left.code, "still blocked: hard" in left.out) == (1, True)
    run("suppress", "add", LEAD, *BY)
    still = run("review", "reinstate", LEAD, *BY)
    assert "still must not be mailed (manual)" in still.out
    assert reasons(run, LEAD) == ["manual"]


def test_what_is_exported_can_be_imported_elsewhere(run: Run) -> None:
    run(
        "suppress", "add", *BY, "--", "=cmd|x@example.org", "-a@example.org", "'b@example.org", LEAD
    )
    for form in ("csv", "json"):
        Path("out").write_text(run("suppress", "export", "--format", form).out)
        elsewhere = ("--ledger", f"{form}.db")
        first = run("suppress", "import", "out", *BY, *elsewhere)
        assert (first.code, "4 addresses taken, 4 new, 0 refused" in first.out) == (0, True)
        assert "4 taken, 0 new" in run("suppress", "import", "out", *BY, *elsewhere).out.replace(
            " addresses", ""
        )
        assert [row[0] for row in exported(run, *elsewhere)] == [row[0] for row in exported(run)]


def test_no_cell_of_an_export_begins_a_formula(run: Run) -> None:
    evil = ["=1+1@example.org", "+1@example.org", "-1@example.org", "@x@example.org", "a@b.test"]
    run("suppress", "add", *BY, "--", *evil)
    header, *rows = exported(run)
    assert header[:2] == ["address", "reasons"]
    assert sorted(row[0] for row in rows) == sorted(
        address if address == "a@b.test" else f"'{address}" for address in evil
    )
    assert not any(cell.startswith(tuple("=+-@\t\r")) for row in rows for cell in row)


def test_a_bad_row_is_refused_by_its_line_and_the_rest_goes_in(run: Run) -> None:
    Path("in.csv").write_text("address,reason\na@example.org,left\nnobody,\n,x\nb@example.org,\n")
    result = run("suppress", "import", "in.csv", *BY)
    assert result.code == 1
    assert "2 addresses taken, 2 new, 2 refused" in result.out
    assert "line 3: `address` is none: 'nobody'" in result.err
    assert "line 4: `address` is missing" in result.err
    assert "one: left" in run("explain", "a@example.org").out
    assert "one: asked by phone" in run("explain", "b@example.org").out


@pytest.mark.parametrize(
    "args", [["add", "nobody"], ["remove", "nobody"], ["import", "none.csv"], ["import", "x.csv"]]
)
def test_mistakes_end_in_one_clear_line(run: Run, args: list[str]) -> None:
    Path("x.csv").write_text("name\nx\n")
    result = run("suppress", *args, *BY)
    assert result.code == 2
    assert len(result.err.splitlines()) == 1


def test_a_domain_that_does_not_exist_blocks_all_of_it_if_configured(run: Run) -> None:
    gone = hard().replace("550 5.1.1 <Lead@example.org>: User unknown", "550 5.1.2 Host not found")
    Path("a.eml").write_text(gone.replace("Status: 5.1.1", "Status: 5.1.2"))
    Path("b.eml").write_text(hard(2, 2).replace("Lead@example.org", "who@example.net"))
    run("replay", "a.eml", "b.eml")
    Path("c.toml").write_text("[policy]\nsuppress_domains = true\n")
    config = ("--config", "c.toml")
    assert reasons(run, LEAD) == ["hard"]
    assert reasons(run, "another@example.org") == []
    assert reasons(run, LEAD, *config) == ["domain", "hard"]
    assert reasons(run, "another@example.org", *config) == ["domain"]
    # An unknown user says nothing of the domain.
    assert reasons(run, "another@example.net", *config) == []
    run("review", "reinstate", LEAD, *BY)
    assert reasons(run, "another@example.org", *config) == []


def test_who_was_suppressed_by_hand_is_let_go_after_some_days_but_for_other_reasons(
    run: Run,
) -> None:
    Path("c.toml").write_text("[policy]\nrequalify_days = 30\n")
    Path("a.eml").write_text(hard())
    run("replay", "a.eml")
    long_ago = datetime.now(UTC) - timedelta(days=31)
    ledger = open_ledger(Path("bouncesink.db"))
    ledger.add_events(
        [operator_act(Act.SUPPRESS, each, "one", "x", long_ago) for each in (LEAD, "old@x.test")]
    )
    ledger.close()
    Path("e.json").write_text(
        json.dumps(
            [{"email": e, "date": "2026-01-01", "status": "4.2.2"} for e in (LEAD, "old@x.test")]
        )
    )
    run("ingest", "--events", "e.json")  # folds both anew
    assert reasons(run, "old@x.test") == ["manual"]
    assert run("suppress", "requalify", "--dry-run", "--config", "c.toml").out == "old@x.test\n"
    assert reasons(run, "old@x.test") == ["manual"]
    assert run("suppress", "requalify", "--config", "c.toml").out == "old@x.test\n"
    assert reasons(run, "old@x.test") == []
    assert reasons(run, LEAD) == ["hard", "manual"]
    assert "policy: after 30 days" in run("explain", "old@x.test").out
    run("suppress", "add", "old@x.test", *BY)
    assert run("suppress", "requalify", "--config", "c.toml").out == ""
    assert run("suppress", "requalify").code == 2
