"""A CSV of leads, reconciled with a real ledger: our cells, and not a byte of the others."""

import csv
import io
import os
import re
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bouncesink.config import Config, SheetConfig
from bouncesink.errors import PermanentSinkError, SinkError
from bouncesink.ledger import open_ledger
from bouncesink.model import Contact, Evidence, Reason, Severity
from bouncesink.outbox import flush, open_sheet, preview
from bouncesink.outbox.csvsheet import CsvSheet
from bouncesink.outbox.csvtable import read_table, unquote

WHEN = datetime(2026, 3, 31, 23, 30, tzinfo=UTC)
OURS = "EMAIL BOUNCE DATE,EMAIL BOUNCE TYPE,BOUNCE COUNT,EMAIL VALID,BOUNCE EVIDENCE"
HARD_CELLS = "2026-03-31,HARD,1,FALSE,2026-03-31:5.1.1:m1@example.com"


def hard(address, message="m1@example.com"):
    return Contact(
        address,
        bounce_type=Severity.HARD,
        bounce_count=1,
        last_bounce_at=WHEN,
        hard_since=WHEN,
        suppressed=frozenset({Reason.HARD}),
        evidence=(Evidence(WHEN, "5.1.1", message),),
    )


@pytest.fixture
def ledger(tmp_path):
    opened = open_ledger(tmp_path / "ledger.db")
    yield opened
    opened.close()


@pytest.fixture
def config(tmp_path):
    return Config(sheet=SheetConfig(path=tmp_path / "leads.csv"))


@pytest.fixture
def reconcile(config, ledger):
    """Write a file, flush, and give what stands there then."""

    def run(data, *contacts):
        config.sheet.path.write_bytes(data if isinstance(data, bytes) else data.encode())
        ledger.put_contacts(contacts)
        flush(CsvSheet(config.sheet), ledger, config)
        return config.sheet.path.read_bytes()

    return run


def test_columns_are_added_at_the_right_and_filled(reconcile):
    out = reconcile(
        "LEAD ID,EMAIL,Note\nL1,Dead@Example.com,x\nL2,fine@example.com,\n",
        hard("dead@example.com"),
    )
    assert out.decode() == (
        f"LEAD ID,EMAIL,Note,{OURS}\n"
        f"L1,Dead@Example.com,x,{HARD_CELLS}\n"
        "L2,fine@example.com,,,,,,\n"
    )


KEPT = {
    "crlf": f"LEAD ID,EMAIL,{OURS},Note\r\nL1,dead@example.com,,,,,,n\r\n",
    "cr": f"LEAD ID,EMAIL,{OURS},Note\rL1,dead@example.com,,,,,,n\r",
    "no end of line at the end": f"LEAD ID,EMAIL,{OURS},Note\nL1,dead@example.com,,,,,,n",
    "quotes without need": f'"LEAD ID",EMAIL,{OURS},"Note"\n"L1","dead@example.com",,,,,,"n"\n',
    "quotes inside, and lines": f'LEAD ID,EMAIL,{OURS},Note\nL1,dead@example.com,,,,,,"a ""b""\n\r\nc,d"\n',
    "a quote amid a field": f'LEAD ID,EMAIL,{OURS},Note\nL1,dead@example.com,,,,,,5" pipe "x"\n',
    "spaces": f" LEAD ID , Email ,{OURS}, Note \n L1 , dead@example.com ,,,,,,  n \n",
    "bom": f"\ufeffLEAD ID,EMAIL,{OURS},Note\nL1,dead@example.com,,,,,,ü\n",
    "blank and short rows": f"\n\nLEAD ID,EMAIL,{OURS},Note\n\n,,,\nL9\nL1,dead@example.com,,,,,,n\n\n",
    "vertical tab and line separator": f"LEAD ID,EMAIL,{OURS},Note\nL1,dead@example.com,,,,,,a\x0b\u2028\x85b\n",
    "display name": f"LEAD ID,EMAIL,{OURS},Note\nL1,A <DEAD@example.com>,,,,,,n\n",
    "a header twice that is not ours": f"LEAD ID,EMAIL,{OURS},Note,Note\nL1,dead@example.com,,,,,,n,n\n",
}


@pytest.mark.parametrize("text", KEPT.values(), ids=KEPT)
def test_every_other_byte_stays(reconcile, text):
    out = reconcile(text, hard("dead@example.com"))
    assert out == text.encode().replace(b",,,,,,", b"," + HARD_CELLS.encode() + b",")


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_the_delimiter_is_found(reconcile, delimiter):
    text = f"LEAD ID,EMAIL,Note,{OURS}\nL1,dead@example.com,\x00,,,,,\n".replace(",", delimiter)
    text = text.replace("\x00", "a, b" if delimiter != "|" else "a; b")
    filled = delimiter + HARD_CELLS.replace(",", delimiter) + "\n"
    out = reconcile(text, hard("dead@example.com"))
    assert out.decode() == text.replace(delimiter * 5 + "\n", filled)


def test_latin_1_comes_out_as_it_came_in(reconcile, config, ledger):
    data = b"LEAD ID,EMAIL,Ort\nL1,dead@example.com,K\xf6ln \x81\n"
    out = reconcile(data, hard("dead@example.com", "m\N{SNOWMAN}@example.com"))
    assert flush(CsvSheet(config.sheet), ledger, config).cells == 0
    assert b",K\xf6ln \x81,2026-03-31,HARD,1,FALSE,2026-03-31:5.1.1:m?@example.com\n" in out


def test_a_quoted_file_gets_quoted_cells(reconcile):
    out = reconcile('"LEAD ID","EMAIL"\n"L1","dead@example.com"\n', hard("dead@example.com"))
    assert out.decode().splitlines()[1] == ",".join(
        f'"{field}"' for field in ["L1", "dead@example.com", *HARD_CELLS.split(",")]
    )


def test_a_flush_with_nothing_to_change_does_not_touch_the_file(reconcile, config, ledger):
    reconcile("LEAD ID,EMAIL\nL1,dead@example.com\n", hard("dead@example.com"))
    before = config.sheet.path.stat()
    result = flush(CsvSheet(config.sheet), ledger, config)
    after = config.sheet.path.stat()
    assert (result.rows, result.leads, result.cells) == (1, 1, 0)
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_an_unquoted_delimiter_leaves_its_row_alone_and_is_noted(reconcile, config, ledger):
    row = f"L2,Smith, Ltd,dead@example.com,{HARD_CELLS}\n".replace("HARD", "SOFT")
    out = reconcile(f"LEAD ID,Name,EMAIL,{OURS}\n{row}", hard("dead@example.com"))
    assert row in out.decode()
    assert "more fields than the header" in " ".join(
        flush(CsvSheet(config.sheet), ledger, config).problems
    )


def test_empty_fields_beyond_the_header_give_way_to_new_columns(reconcile):
    out = reconcile("LEAD ID,EMAIL\nL1,dead@example.com,,,\n", hard("dead@example.com"))
    assert out.decode().splitlines()[1] == f"L1,dead@example.com,{HARD_CELLS}"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\rx"])
def test_no_cell_that_we_write_begins_a_formula(text):
    table = read_table(b"EMAIL\n", "EMAIL", "x")
    spelt = table.quote(text, always=False)
    assert not unquote(spelt).startswith("'")
    assert spelt.lstrip('"').startswith("'")
    assert unquote(spelt) == text


REFUSED = {
    "no e-mail column": (b"LEAD ID,Mail\nL1,x\n", "'EMAIL'.*LEAD ID, Mail"),
    "e-mail column twice": (b"EMAIL,x,EMAIL\n", r"'EMAIL' heads several columns \(1 and 3\)"),
    "our column twice": (b"EMAIL,BOUNCE COUNT,bounce count,Bounce  Count\n", None),
    "our column twice, unlike": (b"EMAIL,bounce count,Bounce  Count\n", "several columns"),
    "empty": (b"", "is empty"),
    "only blank": (b"\n , ,\n", "is empty"),
    "utf-16": ("EMAIL\n".encode("utf-16"), "UTF-16"),
    "an open quote": (b'EMAIL,x\na@example.com,1\nb@example.com,"2\n', "row 3 opens a quote"),
}


@pytest.mark.parametrize(("data", "words"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_told_is_refused_and_left(reconcile, config, data, words):
    if words is None:  # one is spelt exactly, so it is the one
        assert reconcile(data)
        return
    with pytest.raises(PermanentSinkError, match=words):
        reconcile(data)
    assert config.sheet.path.read_bytes() == data


def test_a_missing_file_is_no_sheet_and_says_so(config):
    assert open_sheet(config) is None
    with pytest.raises(PermanentSinkError, match="no such file"):
        CsvSheet(config.sheet).read()


def test_a_folder_is_refused(config):
    config.sheet.path.mkdir()
    with pytest.raises(SinkError, match=r"leads\.csv"):
        CsvSheet(config.sheet).read()


def test_links_mode_and_neighbours_stay(config, ledger, tmp_path):
    real = tmp_path / "elsewhere" / "real.csv"
    real.parent.mkdir()
    real.write_text("LEAD ID,EMAIL\nL1,dead@example.com\n")
    real.chmod(0o640)
    config.sheet.path.symlink_to(real)
    abandoned = real.parent / ".real.csv.abc.new"
    abandoned.touch()
    os.utime(abandoned, (0, 0))
    ledger.put_contacts([hard("dead@example.com")])
    flush(CsvSheet(config.sheet), ledger, config)
    assert config.sheet.path.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert HARD_CELLS in real.read_text()
    assert [path.name for path in real.parent.iterdir()] == ["real.csv"]


class Saved(CsvSheet):
    """A sheet that somebody saves between our read and our write."""

    saves: list[str]

    def write(self, changes):
        if self.saves:
            Path(self.name).write_text(self.saves.pop())
        return super().write(changes)


def test_what_somebody_saved_meanwhile_is_kept(config, ledger):
    config.sheet.path.write_text(f"LEAD ID,EMAIL,{OURS}\nL1,dead@example.com,,,,,\n")
    ledger.put_contacts([hard("dead@example.com")])
    sheet = Saved(config.sheet)
    typed = "L2,fine@example.com,,,,FALSE,\n"  # a value that we are about to write elsewhere
    sheet.saves = [f"LEAD ID,EMAIL,{OURS}\n{typed}L1,dead@example.com,,,,,\n"]
    result = flush(sheet, ledger, config)
    assert result.leads == 2
    assert config.sheet.path.read_text() == (
        f"LEAD ID,EMAIL,{OURS}\n{typed}L1,dead@example.com,{HARD_CELLS}\n"
    )


def test_a_preview_changes_nothing(config, ledger):
    config.sheet.path.write_text("LEAD ID,EMAIL\nL1,dead@example.com\n")
    before = config.sheet.path.read_bytes()
    ledger.put_contacts([hard("dead@example.com")])
    result = preview(CsvSheet(config.sheet), ledger, config)
    assert [(c.key, c.column, c.after) for c in result.changes][:2] == [
        ("L1", "EMAIL BOUNCE DATE", "2026-03-31"),
        ("L1", "EMAIL BOUNCE TYPE", "HARD"),
    ]
    assert len(result.added) == 5
    assert config.sheet.path.read_bytes() == before
    assert not list(ledger.all_leads())


FIELD = st.text(alphabet=" a\"\n\r,;é\t'=", max_size=6)


@given(
    rows=st.lists(st.lists(FIELD, min_size=3, max_size=3), max_size=8),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_any_fields_survive(tmp_path_factory, rows, end):
    folder = tmp_path_factory.getbasetemp() / "survive"
    folder.mkdir(exist_ok=True)
    sheet = CsvSheet(SheetConfig(path=folder / "leads.csv"))

    def spelt(fields):
        return ",".join('"' + field.replace('"', '""') + '"' for field in fields) + end

    body = "".join(spelt([f"L{n}", "dead@example.com", *fields]) for n, fields in enumerate(rows))
    data = (f"LEAD ID,EMAIL,a,b,c,{OURS}{end}" + body).encode()
    Path(sheet.name).write_bytes(data)
    reading = sheet.read()
    assert [row.key for row in reading.rows] == [f"L{n}" for n in range(len(rows))]
    sheet.write({row.number: ("2026-03-31", "HARD", 1, False, "x") for row in reading.rows})
    after = Path(sheet.name).read_bytes().decode()
    assert after.startswith(f"LEAD ID,EMAIL,a,b,c,{OURS}{end}")
    for n, fields in enumerate(rows):
        assert (
            spelt([f"L{n}", "dead@example.com", *fields]).removesuffix(end)
            + (",2026-03-31,HARD,1,FALSE,x")
            in after
        )
    assert [row.cells for row in sheet.read().rows] == [
        ("2026-03-31", "HARD", 1, False, "x") for _ in rows
    ]


@given(body=st.text(alphabet='ab,"\n\r ', max_size=40), end=st.sampled_from(["\n", "\r\n"]))
def test_fields_are_what_the_standard_library_reads(body, end):
    text = f"EMAIL,b{end}{body}"
    # A quote that opens as the very last character is read in another way by older Pythons.
    assume(not re.search(r'(^|[,\r\n])"\Z', text))
    try:
        table = read_table(text.encode(), "EMAIL", "x")
    except PermanentSinkError as error:
        assert "opens a quote that nothing closes" in str(error)  # noqa: PT017 - either way is right
        assert body.count('"')
        return
    ours = [[unquote(field) for field in table.fields(n)] for n in range(len(table.records))]
    theirs = list(csv.reader(io.StringIO(text, newline="")))
    assert ours == [row or [""] for row in theirs]
    assert "".join(table.records) == text
