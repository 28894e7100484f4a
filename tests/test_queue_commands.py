"""`bouncesink queue`: several people at once, and what they may do."""

import csv
import io
import json
from pathlib import Path
from threading import Barrier, Thread

import pytest
from commands import Run
from queue_support import bounce

from bouncesink.engine import utcnow
from bouncesink.ledger import open_ledger
from bouncesink.model import OPEN, Action, ActionKind, ActionState
from bouncesink.outbox.queues import By, claim

HUBSPOT = "hubspot_proposal:lead@example.org:0"
REMOVAL = "smartlead_removal:lead@example.org:0"
ONE = ("--actor", "one")
TWO = ("--actor", "two")


@pytest.fixture
def started(run: Run) -> Run:
    """One HARD lead, with all that follows."""
    bounce("lead@example.org", leads={"7": "lead@example.org"})
    return run


def states(run: Run, kind: str) -> list[str]:
    args = [arg for state in ActionState for arg in ("--state", state.value)]
    return [line["state"] for line in run("queue", "list", "--kind", kind, "--json", *args).lines]


def many(count: int, kind: ActionKind = ActionKind.SMARTLEAD_REMOVAL) -> None:
    ledger = open_ledger(Path("bouncesink.db"))
    ledger.add_actions(
        [Action(f"{kind}:{n:03}@example.org:0", kind, utcnow()) for n in range(count)]
    )
    ledger.close()


def test_list_and_show(started: Run) -> None:
    listed = started("queue", "list")
    assert HUBSPOT in listed.out
    assert "4 actions." in listed.out
    assert "4 actions, 1 shown." in started("queue", "list", "--limit", "1").out
    shown = started("queue", "show", HUBSPOT).out
    assert "|BOUNCE:HARD:2026-03-02" in shown
    assert "lead     7" in shown
    (line,) = started("queue", "show", "hubspot", "--json").lines
    assert (line["key"], line["lead_id"], line["attempts"]) == (HUBSPOT, "7", 0)
    assert len(started("queue", "show", "LEAD@example.org", "--json").lines) == 4


def test_approve_and_reject_once(started: Run) -> None:
    assert started("queue", "approve", HUBSPOT, *ONE).code == 0
    again = started("queue", "approve", HUBSPOT, *TWO)
    assert again.code == 1
    assert "is approved (approved by one)" in again.err
    assert started("queue", "reject", HUBSPOT, *TWO, "--reason", "not ours").code == 0
    assert states(started, "hubspot_proposal") == ["cancelled"]
    bounce("lead@example.org", leads={"7": "lead@example.org"})
    assert states(started, "hubspot_proposal") == ["cancelled"], "what a person closed stays"
    assert "rejected by two: not ours" in started("queue", "show", HUBSPOT).out


def test_a_claim_holds_the_others_off(started: Run) -> None:
    assert "Claimed by one: 1 action." in started("queue", "claim", REMOVAL, *ONE).out
    for args in (("claim", REMOVAL), ("done", REMOVAL)):
        refused = started("queue", *args, *TWO)
        assert (refused.code, "claimed by one" in refused.err) == (1, True)
    assert started("queue", "done", "--all", "--kind", "smartlead_removal", *TWO).code == 0
    assert states(started, "smartlead_removal") == ["claimed"]
    assert started("queue", "done", "--all", "--kind", "smartlead_removal", *ONE).code == 0
    assert states(started, "smartlead_removal") == ["done"]


def test_a_proposal_is_claimed_only_when_it_is_approved(started: Run) -> None:
    refused = started("queue", "claim", HUBSPOT)
    assert (refused.code, "has to be approved first" in refused.err) == (1, True)
    by_kind = ("queue", "claim", "--kind", "hubspot_proposal", "--count", "5")
    assert "0 actions" in started(*by_kind).out
    started("queue", "approve", HUBSPOT)
    assert "1 action" in started(*by_kind).out


def test_a_claim_can_be_given_back(started: Run) -> None:
    started("queue", "claim", REMOVAL, *ONE)
    assert "given back" in started("queue", "retry", REMOVAL, *TWO).out
    assert started("queue", "claim", REMOVAL, *TWO).code == 0


def test_all_of_a_kind(run: Run) -> None:
    many(1200)
    kind = ("--all", "--kind", "smartlead_removal")
    assert "1,200 actions approved." in run("queue", "approve", *kind).out
    assert "0 actions approved." in run("queue", "approve", *kind).out
    taken = run("queue", "claim", "--kind", "smartlead_removal", "--count", "3", "--json", *ONE)
    assert [line["key"][18:21] for line in taken.lines] == ["000", "001", "002"]
    assert "3 actions done." in run("queue", "done", *kind, *ONE).out


def test_workers_at_once_share_the_queue(run: Run) -> None:
    many(60)
    taken: dict[str, list[str]] = {}
    start = Barrier(4)

    def work(name: str) -> None:
        ledger = open_ledger(Path("bouncesink.db"))
        start.wait()
        mine = taken.setdefault(name, [])
        while some := claim(ledger, ActionKind.SMARTLEAD_REMOVAL, 4, By(name, utcnow())):
            mine += [action.key for action in some]
        ledger.close()

    workers = [Thread(target=work, args=(f"w{n}",)) for n in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    everything = [key for mine in taken.values() for key in mine]
    assert (len(everything), len(set(everything))) == (60, 60)


def test_what_failed_is_shown_and_can_be_retried(run: Run) -> None:
    many(2)
    ledger = open_ledger(Path("bouncesink.db"))
    for action in ledger.list_actions():
        ledger.move_action(action.key, OPEN, ActionState.FAILED, at=utcnow(), error="gone")
    ledger.close()
    assert run("queue", "list").out.count("gone") == 2
    assert "2 failed for good" in run("status").out
    assert "to be tried again" in run("queue", "retry", "smartlead_removal:000").out
    assert states(run, "smartlead_removal") == ["approved", "failed"]
    assert run("queue", "retry", "--all", "--kind", "smartlead_removal").code == 0
    assert states(run, "smartlead_removal") == ["approved", "approved"]
    assert run("queue", "retry", "smartlead_removal:000").code == 0, "it may be tried now"
    run("queue", "done", "smartlead_removal:000")
    assert run("queue", "retry", "smartlead_removal:000").code == 1


def test_a_reinstatement_cancels_what_is_open_with_the_reason(started: Run) -> None:
    started("queue", "approve", HUBSPOT)
    started("queue", "done", REMOVAL)
    started("review", "reinstate", "lead@example.org", "--reason", "they called")
    assert states(started, "hubspot_proposal") == ["cancelled"]
    assert states(started, "smartlead_removal") == ["done"]
    assert "overtaken" in started("queue", "show", HUBSPOT).out


def test_export_of_proposals_holds_only_approved_ones(started: Run) -> None:
    header, *none = started("queue", "export", "--kind", "hubspot_proposal").out.splitlines()
    assert not none
    started("queue", "approve", HUBSPOT)
    (row,) = csv.DictReader(
        io.StringIO(started("queue", "export", "--kind", "hubspot_proposal").out)
    )
    assert ",".join(row) == header
    assert row["email"] == "lead@example.org"
    assert row["lead_source_notes_append"] == "|BOUNCE:HARD:2026-03-02"
    assert row["email_bounced"] == "true"


def test_export_of_advisories_is_json_too(started: Run) -> None:
    written = started(
        "queue", "export", "--kind", "advisory", "--format", "json", "--out", "kg.json"
    )
    assert "kg.json: 1 action." in written.out
    (row,) = json.loads(Path("kg.json").read_text())
    assert (row["email"], row["advisory"], row["lead_id"]) == (
        "lead@example.org",
        "kg_pending",
        "7",
    )
    started("review", "reinstate", "lead@example.org", "--reason", "they called")
    assert started("queue", "export", "--kind", "advisory", "--format", "json").out == "[]\n"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_an_export_holds_no_formulas(run: Run, start: str) -> None:
    evil = f'{start}HYPERLINK("http://x.test")'
    ledger = open_ledger(Path("bouncesink.db"))
    kind = ActionKind.SMARTLEAD_REMOVAL
    ledger.add_actions([Action("smartlead_removal:a", kind, utcnow(), payload={"campaign": evil})])
    ledger.close()
    run("queue", "export", "--kind", "smartlead_removal", "--out", "x.csv")
    with Path("x.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["campaign"] == "'" + evil


def test_nothing_in_an_export_reaches_the_terminal(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = open_ledger(Path("bouncesink.db"))
    kind = ActionKind.SMARTLEAD_REMOVAL
    payload = {"campaign": "\x1b]0;owned\x07spring"}
    ledger.add_actions([Action("smartlead_removal:a", kind, utcnow(), payload=payload)])
    ledger.close()
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    out = run("queue", "export", "--kind", "smartlead_removal").out
    assert "spring" in out
    assert not set(out) & set("\x1b\x07")


def test_a_removal_of_a_numbered_campaign_has_a_link(run: Run) -> None:
    ledger = open_ledger(Path("bouncesink.db"))
    kind = ActionKind.SMARTLEAD_REMOVAL
    for number, campaign in enumerate(("4711", "spring", "1/../x")):
        payload = {"campaign": campaign}
        ledger.add_actions([Action(f"removal:{number}", kind, utcnow(), payload=payload)])
    ledger.close()
    out = run("queue", "export", "--kind", "smartlead_removal", "--format", "json").out
    links = [row["link"] for row in json.loads(out)]
    assert links == ["https://app.smartlead.ai/app/email-campaign/4711/analytics", "", ""]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["approve"], "which? give KEYs"),
        (["approve", "--all"], "--all goes with --kind"),
        (["approve", "x", "--all", "--kind", "advisory"], "without KEYs"),
        (["approve", "nothing"], "no action is meant by 'nothing'"),
        (["approve", "smartlead_removal:"], "several actions begin with"),
        (["claim", "--count", "3"], "--count N --kind KIND"),
        (["show", "review:x"], "`bouncesink review`"),
        (["export", "--kind", "advisory", "--out", "none/x"], "none/x: cannot be written"),
    ],
)
def test_mistakes_end_in_one_clear_line(run: Run, args: list[str], message: str) -> None:
    many(2)
    result = run("queue", *args)
    assert (result.code, message in result.err) == (2, True), result.err


def test_doctor_looks_for_the_secrets(run: Run) -> None:
    Path("c.toml").write_text(
        '[lmtp]\nrecipients = ["bounces@example.com"]\nlisten = "unix:s"\n'
        '[hubspot]\ntoken_file = "token"\n[smartlead]\nkey_file = "key"\n'
        '[webhooks]\nurls = ["https://hooks.example.com/"]\nsecret_file = "secret"\n'
    )
    Path("key").write_text("a-key\n")
    Path("secret").write_text("short")
    lines = run("doctor", "--config", "c.toml", "--json").lines
    found = {line["what"]: (line["state"], line["message"]) for line in lines}
    assert found["hubspot"][0] == "fail"
    assert "token: the secret cannot be read" in found["hubspot"][1]
    assert found["smartlead"] == (
        "ok",
        "what it needs is there (dry_run: only shows what it would do)",
    )
    assert found["webhook"][0] == "fail"
