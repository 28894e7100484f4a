"""What a flush makes of the leads and of their cells: a real ledger, a real CSV."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bouncesink.config import Config, Policy, SheetConfig
from bouncesink.fold import fold
from bouncesink.ledger import open_ledger
from bouncesink.model import (
    Act,
    Category,
    DsnAction,
    Event,
    Kind,
    Lead,
    Report,
    Trust,
    TrustLevel,
    Verdict,
)
from bouncesink.outbox import COLUMNS, flush
from bouncesink.outbox.csvsheet import CsvSheet
from bouncesink.outbox.lead_details import lead_address

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HEADER = "LEAD ID,EMAIL," + ",".join(COLUMNS)


def bounce(address, name="b1", category=Category.USER_UNKNOWN, at=NOON):
    return Event(
        id=name,
        kind=Kind.FEEDBACK if category is Category.COMPLAINT else Kind.FAILURE,
        address=address,
        occurred_at=at,
        recorded_at=at,
        source="test",
        report=Report(address, DsnAction.FAILED, "test", status="5.1.1"),
        verdict=Verdict(category, "test-rule"),
        trust=Trust(TrustLevel.PROVEN),
        message_id=f"<{name}@example.org>",
    )


def act(kind, address, target=None):
    at = NOON + timedelta(days=1)
    return Event(f"{kind}-{target}", kind, address, at, at, "operator", actor="me", target=target)


class House:
    """One ledger and one sheet."""

    def __init__(self, folder, time_zone="UTC"):
        self.config = Config(sheet=SheetConfig(path=folder / "leads.csv", time_zone=time_zone))
        self.ledger = open_ledger(folder / "ledger.db")
        self.last = None

    def write(self, *rows):
        self.config.sheet.path.write_text("\n".join([HEADER, *rows, ""]))

    def rows(self):
        return self.config.sheet.path.read_text().splitlines()[1:]

    def edit(self, old, new):
        text = self.config.sheet.path.read_text()
        assert old in text
        self.config.sheet.path.write_text(text.replace(old, new))

    def record(self, *events):
        self.ledger.add_events(events)
        for address, all_of_it in self.ledger.events_of({e.address for e in events}).items():
            self.ledger.put_contacts([fold(address, all_of_it, Policy(), TrustLevel.DOUBTFUL)])

    def flush(self, **arguments):
        self.last = flush(
            CsvSheet(self.config.sheet), self.ledger, self.config, last=self.last, **arguments
        )
        return self.last


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path)
    yield made
    made.ledger.close()


DEAD = "2026-03-01,HARD,1,FALSE,2026-03-01:5.1.1:b1@example.org"


def test_a_lead_gets_its_five_cells_in_every_row_of_it(house):
    house.record(bounce("dead@example.com"))
    house.write("L1,dead@example.com,,,,,", "L2,fine@example.com,,,,,", "L1,Dead@Example.COM,,,,,")
    result = house.flush()
    assert house.rows() == [
        f"L1,dead@example.com,{DEAD}",
        "L2,fine@example.com,,,,,",
        f"L1,Dead@Example.COM,{DEAD}",
    ]
    assert (result.rows, result.leads, result.cells, result.put_back) == (3, 2, 10, ())


def test_the_date_is_in_the_time_zone_of_the_team(tmp_path):
    house = House(tmp_path, "Pacific/Auckland")
    house.record(bounce("dead@example.com"))
    house.write("L1,dead@example.com,,,,,")
    house.flush()
    assert house.rows() == [f"L1,dead@example.com,{DEAD}".replace("2026-03-01", "2026-03-02")]
    house.ledger.close()


@pytest.mark.parametrize(
    ("old", "new", "column"),
    [
        ("HARD", "SOFT", "EMAIL BOUNCE TYPE"),
        ("FALSE", "TRUE", "EMAIL VALID"),
        ("FALSE", "false", "EMAIL VALID"),
        (",1,", ",1.0,", "BOUNCE COUNT"),
        (",1,", ",,", "BOUNCE COUNT"),
    ],
)
def test_what_a_person_types_over_our_cells_is_put_back_and_noted(house, old, new, column):
    house.record(bounce("dead@example.com"))
    house.write("L1,dead@example.com,,,,,")
    house.flush()
    house.edit(old, new)
    result = house.flush()
    assert [(c.key, c.column) for c in result.put_back] == [("L1", column)]
    assert house.rows() == [f"L1,dead@example.com,{DEAD}"]
    assert house.flush().cells == 0


def test_a_second_bounce_is_no_edit(house):
    house.record(bounce("dead@example.com"))
    house.write("L1,dead@example.com,,,,,")
    house.flush()
    house.record(bounce("dead@example.com", "b2", at=NOON + timedelta(days=1)))
    result = house.flush()
    assert {c.column for c in result.changes} == {
        "EMAIL BOUNCE DATE",
        "BOUNCE COUNT",
        "BOUNCE EVIDENCE",
    }
    assert result.put_back == ()


LEFT = {
    "empty": ",,,,",
    "the word of another tool": ",,,FALSE,",
    "notes of somebody": "last spring,hard?,2,FALSE,see the mail",
    "of another ledger": "2025-01-01,HARD,1,FALSE,2025-01-01:5.1.1:unknown@example.org",
    "a closed gate of another ledger": ",,0,FALSE,",
}


@pytest.mark.parametrize("cells", LEFT.values(), ids=LEFT)
def test_the_cells_of_an_address_without_bounces_are_left(house, cells):
    house.record(
        bounce("dead@example.com"),
        bounce("slow@example.com", "b3", Category.GREYLISTED),
    )
    house.write(f"L1,fine@example.com,{cells}", f"L2,not an address,{cells}", "L3,,,,,,")
    before = house.rows()
    assert house.flush().cells == 0
    assert house.rows() == before


def test_a_block_writes_nothing(house):
    house.record(bounce("slow@example.com", category=Category.GREYLISTED))
    house.write("L1,slow@example.com,,,,FALSE,")
    assert house.flush().cells == 0


def test_a_new_address_starts_fresh_and_the_old_one_keeps_its_history(house):
    house.record(bounce("dead@example.com"))
    house.write("L1,dead@example.com,,,,,")
    house.flush()
    house.edit("dead@example.com", "new@example.com")
    result = house.flush()
    assert house.rows() == ["L1,new@example.com,,,0,TRUE,"]
    assert result.addresses == {"dead@example.com"}
    assert house.ledger.contacts(["dead@example.com"])["dead@example.com"].bounce_count == 1
    assert house.flush().cells == 0


def test_a_new_address_after_a_complaint_starts_fresh(house):
    house.record(bounce("cross@example.com", category=Category.COMPLAINT))
    house.write("L1,cross@example.com,,,,,")
    house.flush()
    assert house.rows() == ["L1,cross@example.com,,,0,FALSE,"]
    house.edit("cross@example.com", "new@example.com")
    house.flush()
    assert house.rows() == ["L1,new@example.com,,,0,TRUE,"]


@pytest.mark.parametrize("category", [Category.USER_UNKNOWN, Category.COMPLAINT])
def test_what_was_dismissed_goes_from_the_sheet(house, category):
    house.record(bounce("dead@example.com", category=category))
    house.write("L1,dead@example.com,,,,,")
    house.flush()
    house.record(act(Act.DISMISS, "dead@example.com", target="b1"))
    house.flush()
    assert house.rows() == ["L1,dead@example.com,,,0,TRUE,"]


def test_a_reinstated_address_keeps_its_count_and_opens_the_gate(house):
    house.record(bounce("dead@example.com"), act(Act.REINSTATE, "dead@example.com"))
    house.write("L1,dead@example.com,,,,,")
    house.flush()
    assert house.rows() == [f"L1,dead@example.com,{DEAD}".replace("HARD,1,FALSE", ",1,TRUE")]


def test_the_ledger_follows_the_leads_of_the_sheet(house):
    house.record(bounce("dead@example.com"), bounce("gone@example.com", "b2"))
    house.write("L1,dead@example.com,,,,,", "L2,gone@example.com,,,,,", "L3,fine@example.com,,,,,")
    decided = []
    house.flush(redecide=decided.append)
    assert decided == [["dead@example.com", "gone@example.com"]]
    assert list(house.ledger.all_leads()) == [
        Lead("L1", "dead@example.com", "dead@example.com"),
        Lead("L2", "gone@example.com", "gone@example.com"),
        Lead("L3", "fine@example.com", "fine@example.com"),
    ]
    house.flush(redecide=decided.append)
    house.write("L1,dead@example.com,,,,,", "L4,other@example.com,,,,,")
    house.flush(redecide=decided.append)
    assert decided[1:] == [["gone@example.com"]]


def test_leads_do_not_change_unless_their_actions_do_too(house):
    house.record(bounce("dead@example.com"))
    house.write("L1,dead@example.com,,,,,")

    def fails(_):
        raise RuntimeError

    with pytest.raises(RuntimeError):
        house.flush(redecide=fails)
    assert list(house.ledger.all_leads()) == []
    assert house.flush().addresses == {"dead@example.com"}


def test_a_sheet_without_leads_takes_none_away(house):
    house.write("L1,dead@example.com,,,,,")
    house.flush()
    house.write()
    assert any("no leads" in problem for problem in house.flush().problems)
    assert len(list(house.ledger.all_leads())) == 1


def test_rows_that_are_no_leads_are_noted(house):
    house.write(
        *[f"L{n},two@example.com; three@example.com,,,,," for n in range(7)],
        "L9,one@example.com,,,,,",
        "L9,another@example.com,,,,,",
        ",keyless@example.com,,,,,",
    )
    problems = " ".join(house.flush().problems)
    assert "row 6 ('two@example.com; three@example.com') and 2 more" in problems
    assert "a key with several addresses: 'L9'" in problems
    assert Lead(*["keyless@example.com"] * 3) in list(house.ledger.all_leads())


@pytest.mark.parametrize(
    ("cell", "address"),
    [
        ("a@example.com", "a@example.com"),
        (" A+tag@EXAMPLE.com\t", "a+tag@example.com"),
        ("Name of Lead <a@example.com>", "a@example.com"),
        ('"Lead, the" <A@example.com> ', "a@example.com"),
        ("mailto:a@example.com", "a@example.com"),
        ("a@bücher.example", "a@xn--bcher-kva.example"),
        ("", None),
        ("n/a", None),
        ("a@example.com, b@example.com", None),
        ("a@example.com b@example.com", None),
        ("a@example.com;", None),
        ("a@b@example.com", None),
        ("a@example.com <b@example.com> <c@example.com>", None),
        ("@example.com", None),
    ],
)
def test_an_email_cell_names_one_address_or_none(cell, address):
    assert lead_address(cell) == address


def test_evidence_that_begins_like_a_formula_stays_text(house):
    event = bounce("dead@example.com", "x")
    house.record(replace(event, message_id="=cmd|' /C calc'!A0"))
    house.write("=1+1,dead@example.com,,,,,")
    house.flush()
    key, *_, evidence = house.rows()[0].split(",")
    assert key == "=1+1"
    assert evidence.startswith("2026-03-01:5.1.1:")
