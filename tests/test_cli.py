"""The commands, as a person runs them."""

import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from commands import Run
from mails import HARD, hard

from bouncesink.engine import utcnow
from bouncesink.intake.archive import Wanted
from bouncesink.intake.files import find, to_arrival
from bouncesink.ledger import open_ledger

SAMPLES = Path(__file__).parents[1] / "samples"


def test_parse_prints_what_each_file_said(run: Run) -> None:
    Path("a.eml").write_text(HARD)
    (line,) = run("parse", "--json", "a.eml").lines
    assert line == {
        "file": "a.eml",
        "kind": "failure",
        "recognizer": "rfc3464",
        "recipients": [
            {
                "address": "Lead@example.org",
                "original_recipient": None,
                "action": "failed",
                "status": "5.1.1",
                "reply_code": 550,
                "diagnostic": "550 5.1.1 <Lead@example.org>: User unknown",
                "remote_mta": None,
                "category": "user_unknown",
                "severity": "HARD",
                "fault": "address",
                "rule": line["recipients"][0]["rule"],
            }
        ],
        "original": {
            "message_id": line["original"]["message_id"],
            "from": "sales@example.com",
            "to": "Lead@example.org",
            "subject": "Hello",
            "campaign": {},
        },
        "damage": [],
    }
    assert "original-1@example.com" in line["original"]["message_id"]
    assert "HARD" in run("parse", "a.eml").out
    assert run("parse", "-", stdin=HARD).code == 0
    assert not Path("bouncesink.db").exists()


def test_parse_gives_a_line_also_for_what_is_no_mail(run: Run) -> None:
    Path("a.eml").write_text("")
    result = run("parse", "--json", "a.eml")
    assert result.code == 1
    assert result.lines[0]["kind"] == "unreadable"
    assert "a.eml is empty" in result.err


def test_replay_twice_changes_nothing(run: Run) -> None:
    Path("a.eml").write_text(hard())
    first = run("replay", "a.eml")
    assert first.code == 0
    assert "lead@example.org" in first.out
    assert "No mailboxes are configured" in first.out
    report = run("report-bounces").out
    again = run("replay", "a.eml")
    assert "1 mail already in the ledger" in again.out
    assert run("report-bounces").out == report


def test_replay_reads_what_another_process_has_put_there(run: Run) -> None:
    Path("a.eml").write_text(hard())
    (found,) = find(["a.eml"], Wanted(1_000_000))
    with closing(open_ledger(Path("bouncesink.db"))) as ledger:
        ledger.append([to_arrival(found, utcnow())])
    said = run("replay", "a.eml").out
    assert "1 mail read: 1 failure" in said
    assert "already in the ledger" not in said
    assert "another process" not in said


def test_the_same_bounce_by_two_ways_counts_once(run: Run) -> None:
    Path("a.eml").write_text(hard())
    Path("b.eml").write_text("Received: by another way\n" + hard())
    result = run("replay", "a.eml", "b.eml")
    assert "told what another had told: counted once" in result.out
    (address,) = json.loads(run("report-bounces").out)
    assert (address["bounce_count"], len(address["events"])) == (1, 1)


def test_the_whole_line_with_a_sheet(run: Run) -> None:
    Path("a.eml").write_text(hard())
    sheet = "LEAD ID,EMAIL,NOTE\n1,lead@EXAMPLE.org,mine\n2,other@example.org,\n"
    Path("leads.csv").write_text(sheet)
    result = run("replay", "a.eml", "--leads", "leads.csv")
    assert result.code == 0, result.err
    assert Path("leads.csv").read_text() == sheet
    header, first, second = Path("lead_details.csv").read_text().splitlines()
    assert header.startswith("LEAD ID,EMAIL,NOTE,EMAIL BOUNCE DATE,EMAIL BOUNCE TYPE")
    assert first.startswith("1,lead@EXAMPLE.org,mine,2026-03-02,HARD,1,FALSE,2026-03-02:")
    assert second == "2,other@example.org,,,,,,"
    queues = {a["kind"]: a["count"] for a in run("status", "--json").lines[0]["actions"]}
    assert queues == {
        "hubspot_proposal": 1,
        "smartlead_removal": 1,
        "postcard": 1,
        "advisory": 1,
    }
    run("replay", "a.eml", "--leads", "leads.csv")
    assert {a["kind"]: a["count"] for a in run("status", "--json").lines[0]["actions"]} == queues


def test_leads_that_come_after_the_bounce_start_their_actions(run: Run) -> None:
    Path("a.eml").write_text(hard())
    run("replay", "a.eml")
    assert run("status", "--json").lines[0]["actions"] == []
    Path("leads.csv").write_text("LEAD ID,EMAIL\n1,lead@example.org\n")
    run("replay", "a.eml", "--leads", "leads.csv")
    assert len(run("status", "--json").lines[0]["actions"]) == 4


def test_check_and_explain(run: Run) -> None:
    Path("a.eml").write_text(hard())
    run("replay", "a.eml")
    blocked = run("check", "LEAD@example.org", "free@example.org", "--json")
    assert blocked.code == 1
    one, other = blocked.lines
    assert (one["address"], one["mailable"], one["reasons"]) == (
        "lead@example.org",
        False,
        ["hard"],
    )
    assert one["since"] == "2026-03-02T10:00:00.000Z"
    assert [each["code"] for each in one["evidence"]] == ["5.1.1"]
    assert (other["mailable"], other["reasons"], other["since"]) == (True, [], None)
    assert run("check", "free@example.org").code == 0
    story = run("explain", "lead@example.org")
    for words in ("550 5.1.1", "HARD user_unknown", "rule", "trust", "must not be mailed (hard)"):
        assert words in story.out
    assert run("explain", "lead@example.org", "--json").lines[0]["events"][0]["then"]
    assert run("explain", "free@example.org").code == 1


def test_explain_advises_when_to_try_again(run: Run) -> None:
    full = hard().replace("5.1.1", "5.2.2").replace("550", "552").replace("User unknown", "full")
    Path("a.eml").write_text(full)
    run("replay", "a.eml")
    assert "Advice: do not try again before 2026-03-0" in run("explain", "lead@example.org").out
    advice = run("explain", "lead@example.org", "--json").lines[0]["advice"]
    assert advice["not_before"].startswith("2026-03-0")
    Path("b.eml").write_text(hard(2, 2))
    run("replay", "b.eml")
    assert "Advice" not in run("explain", "lead@example.org").out


def test_explain_tells_what_check_tells_of_a_domain_that_is_not_there(run: Run) -> None:
    Path("b.toml").write_text("[policy]\nsuppress_domains = true\n")
    mail = HARD.replace("5.1.1", "5.1.2").replace("User unknown", "Host or domain name not found")
    Path("a.eml").write_text(mail)
    config = ("--config", "b.toml")
    run("replay", "a.eml", *config)
    assert "blocked: domain" in run("check", "other@example.org", *config).out
    story = run("explain", "other@example.org", *config).out
    assert "it must not be mailed (domain)" in story


def test_explain_is_quick_also_of_an_address_with_many_events(run: Run) -> None:
    entries = [
        {
            "email": "a@example.org",
            "date": 1767225600 + 60 * n,
            "code": "452",
            "message_id": f"m{n}",
        }
        for n in range(1000)
    ]
    run("ingest", "--events", "-", stdin=json.dumps(entries))
    story = run("explain", "a@example.org", "--json").lines[0]
    states = [event["then"] for event in story["events"]]
    assert states[0] is None
    assert states[-1]["bounce_count"] == story["bounce_count"] == 1000
    known = [state["bounce_count"] for state in states if state]
    assert known == list(range(1001 - len(known), 1001))
    assert sum(known) < 400_000


def test_nothing_in_a_bounce_reaches_the_terminal(run: Run) -> None:
    evil = HARD.replace("User unknown", "User \x1b]0;owned\x07\u202eunknown").replace(
        "Subject: Hello", "Subject: \x1b[2J\x9b31m"
    )
    Path("a.eml").write_text(evil)
    for args in (["parse", "a.eml"], ["replay", "a.eml"], ["explain", "lead@example.org"]):
        out = run(*args).out
        assert not set(out) & set("\x1b\x07\x9b\u202e"), args


def test_ingest_takes_what_is_right_and_names_the_rest(run: Run) -> None:
    Path("events.json").write_text(
        json.dumps(
            [
                {"email": "a@example.org", "date": "2026-03-01", "code": "550 5.1.1"},
                {"email": "nobody", "date": "2026-03-01", "code": "550"},
                {"email": "b@example.org", "date": "2026-03-01", "status": "4.2.2"},
            ]
        )
    )
    result = run("ingest", "--events", "events.json")
    assert result.code == 1
    assert "entry 1: `email` is missing or is no e-mail address" in result.err
    assert "2 events taken, 2 new, 1 refused" in result.out
    assert "0 new" in run("ingest", "--events", "events.json").out
    assert run("check", "a@example.org").code == 1
    Path("broken.json").write_text('[{"email"')
    broken = run("ingest", "--events", "broken.json")
    assert broken.code == 1
    assert "not valid JSON" in broken.err


def test_rebuild_shows_first_and_applies_when_told(run: Run) -> None:
    Path("a.eml").write_text(
        hard().replace("User unknown", "wurble frobnicated").replace("5.1.1", "5.0.0")
    )
    run("replay", "a.eml")
    assert run("check", "lead@example.org").code == 0
    Path("rules.toml").write_text(
        '[[rule]]\nid = "ours"\ncategory = "user_unknown"\nsource = "we asked them"\n'
        'text = ["wurble frobnicated"]\n[[rule.examples]]\ntext = "550 wurble frobnicated"\n'
    )
    Path("c.toml").write_text('[classify]\nrules = "rules.toml"\n')
    config = ("--config", "c.toml")
    assert run("rules", "check", "rules.toml").code == 0
    shown = run("rebuild", *config)
    assert "1 address changes" in shown.out
    assert run("check", "lead@example.org", *config).code == 0
    assert "done" in run("rebuild", "--apply", *config).out
    assert run("check", "lead@example.org", *config).code == 1
    assert "Nothing changes" in run("rebuild", *config).out


def test_init_and_doctor(run: Run) -> None:
    assert run("init", "b.toml").code == 0
    again = run("init", "b.toml")
    assert (again.code, "exists already" in again.err) == (2, True)
    healthy = run("doctor", "--config", "b.toml")
    assert healthy.code == 0, healthy.out
    Path("b.toml").write_text('[ledger]\npath = "none/x.db"\n')
    sick = run("doctor", "--config", "b.toml", "--json")
    assert sick.code == 2
    failed = {line["what"] for line in sick.lines if line["state"] == "fail"}
    assert failed == {"ledger", "recipients"}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("[lmtp]\nlisten = []\nrecipients = ['b@example.com']\n", "lmtp.listen is empty"),
        ("[lmtp]\nrecipients = ['b@example.com']\n[classify]\nrules = 'none.toml'\n", "none.toml"),
    ],
)
def test_serve_does_not_start_with_what_cannot_work(run: Run, config: str, message: str) -> None:
    Path("b.toml").write_text(config)
    result = run("serve", "--config", "b.toml")
    assert result.code == 2
    assert message in result.err


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["replay", "none.eml"], 2, "none.eml: no such file or folder"),
        (["replay", "folder"], 2, "there is no file in this folder"),
        (["replay", "png"], 1, "png is not a mail"),
        (["replay", "empty"], 1, "empty is empty"),
        (["replay", "big"], 1, "over the size limit"),
        (["check", "nobody"], 2, "'nobody' is not an e-mail address"),
        (["check", "a@example.org"], 3, "bouncesink.db"),
        (["status"], 3, "bouncesink.db"),
        (["status", "--ledger", "png"], 3, "png"),
        (["status", "--config", "none.toml"], 2, "bouncesink init"),
        (["status", "--config", "bad.toml"], 2, "did you mean listen?"),
        (["serve"], 2, "no recipient is configured"),
        (["rules", "check", "bad.toml"], 2, "bad.toml"),
        (["nothing"], 2, "No such command"),
        (["replay", "a.eml", "--leads", "none.csv"], 2, "none.csv"),
        (["replay", "a.eml", "--leads", "noemail.csv"], 4, "no column is called 'EMAIL'"),
        (["replay", "a.eml", "--leads", "noemail.csv", "--out", "."], 2, "is a folder"),
        (
            ["replay", "a.eml", "--leads", "noemail.csv", "--out", "empty", "--ledger", "empty"],
            2,
            "is the ledger",
        ),
        (["replay", "a.eml", "--ledger", "none/x.db"], 3, "none"),
        (["parse", "x" * 300], 2, "File name too long"),
        (["status", "--ledger", "x" * 300], 3, "File name too long"),
        (["check", "\udcff@example.org"], 2, "is not an e-mail address"),
        (["review", "list", "--limit", str(10**20)], 2, "is not in the range"),
    ],
)
def test_mistakes_end_in_one_clear_line(run: Run, args: list[str], code: int, message: str) -> None:
    Path("folder").mkdir()
    Path("png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(2000))
    Path("empty").touch()
    Path("a.eml").write_text(HARD)
    with Path("big").open("wb") as big:
        big.write(HARD.encode())
        big.truncate(100_000_000)
    Path("bad.toml").write_text("[lmtp]\nlisen = 1\n")
    Path("noemail.csv").write_text("LEAD ID,NAME\n1,x\n")
    result = run(*args)
    assert result.code == code
    assert message in result.err
    assert "Traceback" not in result.err


def test_a_locale_without_a_letter_is_no_error(tmp_path: Path) -> None:
    file = tmp_path / "a…b.eml"
    file.write_text(HARD)
    told = subprocess.run(
        [sys.executable, "-m", "bouncesink", "parse", file],
        env=os.environ | {"PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        check=True,
    )
    assert b"\\u2026" in told.stdout


def test_an_interrupted_pipe_is_quiet(tmp_path: Path) -> None:
    (tmp_path / "a.eml").write_text(HARD)
    command = f"{sys.executable} -m bouncesink parse --json a.eml a.eml a.eml | true"
    done = subprocess.run(
        command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""


def test_help_is_quick_and_names_every_command(run: Run) -> None:
    text = run("--help").out
    for command in ("replay", "serve", "parse", "status", "explain", "check", "rebuild"):
        assert command in text
    loaded = subprocess.run(
        [sys.executable, "-c", "import bouncesink.cli, sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert not {"flanker", "sqlite_utils", "aiosmtpd", "structlog", "re2"} & set(loaded)


def test_output_that_nobody_reads_any_more_is_a_code_of_its_own() -> None:
    read, write = os.pipe()
    os.close(read)
    told = subprocess.run(
        [sys.executable, "-m", "bouncesink", "rules", "list"],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write)
    assert (told.returncode, told.stderr) == (141, "")
