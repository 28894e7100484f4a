"""`status`: what is wrong, since when, and what to do about it."""

import shutil
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from commands import Run
from mails import hard

from bouncesink.config import Config
from bouncesink.engine.problems import Facts, problems
from bouncesink.ledger import ArrivalState, Ledger, Totals, Trouble, open_ledger
from bouncesink.ledger.storage import Storage, measure
from bouncesink.model import Action, ActionKind, ActionState, Arrival

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)


def filled(ledger: Ledger) -> None:
    """Put in what is wrong of every sort that a ledger can tell of."""
    ledger.append([Arrival("1", "lmtp", "", "", NOW - HOUR, b"x")])
    ledger.put_trouble("sheet", "no column is called 'EMAIL'\x1b[2J", NOW - 2 * HOUR)
    ledger.put_trouble("hubspot", "the token cannot be read", NOW - HOUR)
    ledger.put_beat("service", NOW - 3 * HOUR)
    ledger.add_actions([Action("webhook:1", ActionKind.WEBHOOK, NOW - 5 * HOUR)])
    failed = (ActionState.PENDING,), ActionState.FAILED
    ledger.move_action("webhook:1", *failed, at=NOW - 4 * HOUR, error="gone")
    ledger.add_actions(
        [Action(f"review:{n}", ActionKind.REVIEW, NOW, payload={}) for n in range(101)]
    )


EXPECTED = [
    ("the service does not run", 3, "bouncesink serve"),
    ("1 arrival not read yet", 1, "`bouncesink serve` reads them"),
    ("hubspot: the token cannot be read", 1, "bouncesink doctor"),
    ("sheet: no column is called 'EMAIL'", 2, "bouncesink flush"),
    ("failed for good: 1 webhook", 4, "bouncesink queue retry --kind KIND --all"),
    ("101 items wait for review", None, "bouncesink review list"),
]


def test_each_problem_has_its_time_and_what_to_do(run: Run) -> None:
    with closing(open_ledger(Path("bouncesink.db"))) as ledger:
        filled(ledger)
    done = run("status", "--json")
    assert done.code == 0
    found = done.lines[0]["problems"]
    assert len(found) == len(EXPECTED)
    for problem, (what, hours, do) in zip(found, EXPECTED, strict=True):
        assert problem["what"].startswith(what)
        assert do in problem["do"]
        if hours is None:
            assert problem["since"] is None
        else:
            assert datetime.fromisoformat(problem["since"]) == NOW - hours * HOUR
    said = run("status").out
    assert "\x1b" not in said
    for problem in found:
        assert f"  {problem['do']}\n" in said
    assert said.count("TROUBLE") == len(EXPECTED)


def test_a_ledger_that_is_well_has_no_problems(run: Run) -> None:
    Path("a.eml").write_text(hard())
    run("replay", "a.eml")
    with closing(open_ledger(Path("bouncesink.db"))) as ledger:
        now = datetime.now(UTC)  # NOW is when the tests began, which may be minutes ago
        ledger.put_beat("service", now)
        ledger.put_beat("sheet", now)
    assert run("status", "--json").lines[0]["problems"] == []
    assert "TROUBLE" not in run("status").out


ROOM = Storage(ledger=10**6, wal=0, free=50 * 10**9, disk=100 * 10**9)
WELL = Facts(NOW, Totals(), (), (), (), {}, ROOM)
SILENCE = Action(
    "alert:silence:1:began",
    ActionKind.ALERT,
    NOW - HOUR,
    payload={
        "about": "silence",
        "subject": "nothing has arrived for 6 hours",
        "text": "a\n\nLook.",
    },
)


@pytest.mark.parametrize(
    ("facts", "what"),
    [
        (WELL, None),
        (replace(WELL, storage=replace(ROOM, free=10**6)), "nearly full: 1 MB"),
        (replace(WELL, storage=replace(ROOM, disk=10**9, free=499 * 10**6)), "nearly full"),
        (replace(WELL, storage=replace(ROOM, disk=10**9, free=501 * 10**6)), None),
        (replace(WELL, storage=replace(ROOM, disk=10**13, free=6 * 10**9)), None),
        (replace(WELL, storage=replace(ROOM, disk=10**13, free=4 * 10**9)), "nearly full"),
        (replace(WELL, storage=replace(ROOM, disk=0, free=0)), None),  # not known
        (replace(WELL, storage=replace(ROOM, wal=300 * 10**6)), "write-ahead log"),
        (replace(WELL, beats={"service": NOW - timedelta(minutes=2)}), None),
        (replace(WELL, beats={"service": NOW - timedelta(minutes=4)}), "does not run"),
        (replace(WELL, beats={"sheet": NOW - timedelta(minutes=14)}), None),
        (replace(WELL, beats={"sheet": NOW - timedelta(minutes=16)}), "has not been brought up"),
        (replace(WELL, alerts=(SILENCE,)), "nothing has arrived for 6 hours"),
        (
            replace(
                WELL,
                beats={"service": NOW},
                totals=Totals({ArrivalState.PENDING: 3}, oldest_pending_at=NOW - HOUR),
            ),
            "3 arrivals not read yet",
        ),
        (replace(WELL, troubles=(Trouble("unheard of", "it broke", NOW),)), "unheard of: it broke"),
    ],
)
def test_what_is_a_problem(facts: Facts, what: str | None) -> None:
    found = problems(facts, Config())
    assert [what in each.what for each in found if what] == ([True] if what else [])
    assert bool(found) == bool(what)
    assert all(each.do for each in found)


def test_the_disk_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with closing(open_ledger(path)) as ledger:
        ledger.put_beat("service", NOW)
        found = measure(path)
        assert found.wal == (tmp_path / "x.db-wal").stat().st_size > 0
    assert found.disk == shutil.disk_usage(tmp_path).total
    assert measure(path).ledger == path.stat().st_size
    assert measure(tmp_path / "no" / "x.db").free == 0


def test_a_flush_by_command_counts_as_one(run: Run) -> None:
    Path("lead_details.csv").write_text("LEAD ID,EMAIL\n1,lead@example.org\n")
    assert run("flush").code == 0
    with closing(open_ledger(Path("bouncesink.db"), read_only=True)) as ledger:
        assert NOW - ledger.beats()["sheet"] < HOUR
