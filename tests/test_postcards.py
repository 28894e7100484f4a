"""Postcard rounds: each HARD lead that meets the criteria, in one round only."""

import csv
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from commands import Run
from queue_support import bounce

from bouncesink.config import Config, PostcardsConfig
from bouncesink.engine import utcnow
from bouncesink.errors import InputError
from bouncesink.ledger import open_ledger
from bouncesink.model import ActionKind, ActionState
from bouncesink.outbox.postcards import LEASE, next_round, read_leads

CONFIG = '[postcards]\nrequired_columns = ["STREET", "city"]\n'
SHEET = """\
LEAD ID,EMAIL,NAME,STREET,CITY
1,a@example.org,=A,1 Road,Town
2,b@example.org,B,,Town
3,c@example.org,C,3 Road,Town
4,healthy@example.org,D,4 Road,Town
"""
ARGS = ("--config", "c.toml")


@pytest.fixture
def started(run: Run) -> Run:
    """Three HARD leads, one of them without a street."""
    Path("c.toml").write_text(CONFIG)
    Path("lead_details.csv").write_text(SHEET)
    hard = [f"{name}@example.org" for name in "abc"]
    bounce(*hard, leads={str(number): email for number, email in enumerate(hard, 1)})
    return run


def rounds() -> list[list[dict[str, str]]]:
    found = []
    for path in sorted(Path().glob("postcards-*.csv")):
        with path.open(newline="") as file:
            found.append(list(csv.DictReader(file)))
    return found


def test_a_round_holds_who_is_eligible_and_was_in_none(started: Run) -> None:
    (line,) = started("postcards", "next", "--json", *ARGS).lines
    assert (line["leads"], line["not_eligible"]) == (2, 1)
    ((a, c),) = rounds()
    assert a == {
        "ROUND": line["round"],
        "LEAD ID": "1",
        "EMAIL": "a@example.org",
        "NAME": "'=A",
        "STREET": "1 Road",
        "CITY": "Town",
    }
    assert c["LEAD ID"] == "3"
    again = started("postcards", "next", *ARGS)
    assert "Nobody is to be written to; 1 HARD lead not eligible yet." in again.out
    sheet = Path("lead_details.csv")
    sheet.write_text(sheet.read_text().replace("B,,Town", "B,2 Road,Town"))
    assert "second.csv: 1 lead" in started("postcards", "next", "--out", "second.csv", *ARGS).out
    assert Path("second.csv").read_text().count("\n") == 2
    assert len(rounds()) == 1


def test_a_reinstated_lead_gets_none(started: Run) -> None:
    started("review", "reinstate", "a@example.org", "--reason", "they called", *ARGS)
    started("postcards", "next", *ARGS)
    assert [row["LEAD ID"] for row in rounds()[0]] == ["3"]


def test_a_round_that_was_cut_off_is_the_same_round(
    started: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed right before the file is there, and right after it is there."""
    config = Config(postcards=PostcardsConfig(("STREET",)))
    leads = read_leads(config, Path("lead_details.csv"))
    ledger = open_ledger(Path("bouncesink.db"))
    now = utcnow()
    names = set()
    replace = Path.replace

    def killed_before(*_: object) -> None:
        raise KeyboardInterrupt

    def killed_after(part: Path, path: Path) -> None:
        replace(part, path)
        raise KeyboardInterrupt

    for killed in (killed_before, killed_after):
        with monkeypatch.context() as context:
            context.setattr(Path, "replace", killed)
            with pytest.raises(KeyboardInterrupt):
                next_round(ledger, leads, Path(), now)
        claimed = ledger.list_actions(ActionKind.POSTCARD, ActionState.CLAIMED)
        assert len(claimed) == 2
        names |= {action.reason for action in claimed}
        with pytest.raises(InputError, match="being written just now"):
            next_round(ledger, leads, Path(), now)
        now += LEASE + timedelta(seconds=1)
    made = next_round(ledger, leads, Path(), now)
    ledger.close()
    assert names == {made.name}
    assert [[row["LEAD ID"] for row in one] for one in rounds()] == [["1", "3"]]


def test_two_at_once_make_one_round(started: Run) -> None:
    config = Config(postcards=PostcardsConfig(("STREET",)))
    start = threading.Barrier(2)

    def make(number: int) -> None:
        ledger = open_ledger(Path("bouncesink.db"))
        leads = read_leads(config, Path("lead_details.csv"))
        start.wait()
        try:
            next_round(ledger, leads, Path(), utcnow(), Path(f"{number}.csv"))
        except InputError:
            pass  # told to come again in a minute
        finally:
            ledger.close()

    threads = [threading.Thread(target=make, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([path for path in ("0.csv", "1.csv") if Path(path).exists()]) == 1


def test_a_file_that_cannot_be_written_marks_nobody(started: Run) -> None:
    result = started("postcards", "next", "--out", "none/x.csv", *ARGS)
    assert (result.code, "none/x.csv: cannot be written" in result.err) == (2, True)
    assert '"leads": 2' in started("postcards", "next", "--json", *ARGS).out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--leads", "none.csv"], "none.csv: cannot be read"),
        (["--leads", "short.csv"], "no column is called 'STREET'"),
    ],
)
def test_mistakes_end_in_one_clear_line(started: Run, args: list[str], message: str) -> None:
    Path("short.csv").write_text("LEAD ID,EMAIL\n1,a@example.org\n")
    result = started("postcards", "next", *args, *ARGS)
    assert result.code in (2, 4)
    assert message in result.err


def test_a_google_sheet_has_to_be_downloaded(started: Run) -> None:
    Path("c.toml").write_text(CONFIG + '[sheets]\nspreadsheet = "0123456789abcdef"\n')
    assert "download the tab as CSV" in started("postcards", "next", *ARGS).err
    done = started("postcards", "next", "--leads", "lead_details.csv", "--json", *ARGS)
    assert '"leads": 2' in done.out
