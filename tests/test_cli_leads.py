"""`bouncesink flush` and `bouncesink leads`: whose addresses these are, and what the sheet says."""

from pathlib import Path

import pytest
from commands import Run
from queue_support import bounce

from bouncesink.config import load

SHEET = "LEAD ID,EMAIL,NOTE\n1,lead@EXAMPLE.org,mine\n2,other@example.org,\n"


def actions(run: Run) -> list[str]:
    return sorted(line["kind"] for line in run("queue", "list", "--json").lines)


def test_flush_shows_first_and_then_does(run: Run) -> None:
    bounce("lead@example.org")
    Path("lead_details.csv").write_text(SHEET)
    shown = run("flush", "--dry-run")
    assert shown.code == 0
    assert "EMAIL BOUNCE TYPE" in shown.out
    assert "(empty)" in shown.out
    assert "5 cells would be written, would be added: EMAIL BOUNCE DATE" in shown.out
    assert Path("lead_details.csv").read_text() == SHEET
    (line,) = run("flush", "--json", "--dry-run").lines
    assert (line["dry_run"], line["cells"], line["leads"]) == (True, 5, 2)
    assert {"row": 2, "column": "EMAIL VALID", "before": "", "after": False}.items() <= line[
        "changes"
    ][3].items()
    assert not run("leads", "list", "--json").lines, "a dry run brings no leads in"
    (done,) = run("flush", "--json").lines
    assert done | {"dry_run": True} == line
    assert ",HARD,1,FALSE," in Path("lead_details.csv").read_text()
    assert actions(run) == ["advisory", "hubspot_proposal", "postcard", "smartlead_removal"]
    assert "0 cells written." in run("flush").out


def test_flush_without_a_sheet_says_what_to_do(run: Run) -> None:
    bounce("lead@example.org")
    result = run("flush")
    assert (result.code, "there is no such sheet" in result.err) == (2, True)


def test_a_sheet_in_trouble_ends_in_one_line(run: Run) -> None:
    bounce("lead@example.org")
    Path("lead_details.csv").write_text("LEAD ID,EMAIL,EMAIL\n1,a@example.org,b@example.org\n")
    result = run("flush")
    assert (result.code, "heads several columns" in result.err) == (4, True)


def test_leads_without_a_sheet(run: Run) -> None:
    bounce("lead@example.org")
    assert actions(run) == []
    Path("crm.csv").write_text(SHEET)
    imported = run("leads", "import", "crm.csv")
    assert "2 leads; decided anew: 1 address" in imported.out
    assert Path("crm.csv").read_text() == SHEET
    assert len(actions(run)) == 4
    first, second = run("leads", "list", "--json").lines
    assert (first["id"], first["mailable"], first["bounce_type"]) == ("1", False, "HARD")
    assert (second["id"], second["mailable"], second["bounce_count"]) == ("2", True, 0)
    listed = run("leads", "list", "--limit", "1").out
    assert "closed: hard" in listed
    assert "2 leads, 1 shown." in listed


def test_another_address_of_a_lead_starts_fresh(run: Run) -> None:
    bounce("lead@example.org")
    Path("crm.csv").write_text(SHEET)
    run("leads", "import", "crm.csv")
    Path("crm.csv").write_text(SHEET.replace("lead@EXAMPLE.org", "new@example.org"))
    run("leads", "import", "crm.csv")
    assert actions(run) == [], "what is open about the old address is overtaken"
    assert run("leads", "list", "--json").lines[0]["mailable"]
    assert run("check", "lead@example.org").code == 1, "its history stays"


def test_a_lead_that_leaves_and_comes_back(run: Run) -> None:
    bounce("lead@example.org")
    Path("crm.csv").write_text(SHEET)
    run("leads", "import", "crm.csv")
    run("queue", "approve", "hubspot")
    Path("none.csv").write_text("LEAD ID,EMAIL\n2,other@example.org\n")
    run("leads", "import", "none.csv")
    assert actions(run) == []
    run("leads", "import", "crm.csv")
    states = {line["state"] for line in run("queue", "list", "--json").lines}
    assert (len(actions(run)), states) == (4, {"pending"})


def test_show_a_lead(run: Run) -> None:
    bounce("lead@example.org")
    Path("crm.csv").write_text(SHEET)
    run("leads", "import", "crm.csv")
    for name in ("1", "Lead@example.org"):
        shown = run("leads", "show", name)
        assert (shown.code, "closed: hard" in shown.out) == (0, True)
        assert "hubspot_proposal:lead@example.org:0 (pending)" in shown.out
    (line,) = run("leads", "show", "2", "--json").lines
    assert (line["id"], line["mailable"], line["actions"]) == ("2", True, [])
    assert run("leads", "show", "nobody").code == 1


@pytest.mark.parametrize(
    ("config", "where"),
    [("", "lead_details.csv"), ('[sheets]\nspreadsheet = "0123456789abcdef"\n', "Google Sheets")],
)
def test_leads_are_not_imported_beside_a_sheet(run: Run, config: str, where: str) -> None:
    Path("c.toml").write_text(config)
    Path("lead_details.csv").write_text(SHEET)
    Path("crm.csv").write_text(SHEET)
    result = run("leads", "import", "crm.csv", "--config", "c.toml")
    assert (result.code, f"come from {where}" in result.err) == (2, True)


def test_an_address_that_is_no_lead_starts_nothing_unless_configured(run: Run) -> None:
    bounce("lead@example.org")
    assert run("check", "lead@example.org").code == 1, "but its gate is closed"
    assert actions(run) == []
    Path("c.toml").write_text('[ledger]\npath = "y.db"\n[leads]\nact_on_unknown = true\n')
    bounce("lead@example.org", config=load(Path("c.toml")))
    lines = run("queue", "list", "--json", "--config", "c.toml").lines
    assert sorted(line["kind"] for line in lines) == ["hubspot_proposal", "smartlead_removal"]
    assert {line["lead_id"] for line in lines} == {None}
