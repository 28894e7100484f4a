"""A person is erased from everything, and is still not mailed."""

import base64
import csv
import json
import quopri
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from commands import Run
from hypothesis import given
from hypothesis import strategies as st
from mails import hard

from bouncesink.config import Config
from bouncesink.engine import Engine
from bouncesink.engine.forget import forget
from bouncesink.engine.mentions import Mentions
from bouncesink.engine.review import Decision
from bouncesink.identity import arrival_id
from bouncesink.ledger import open_ledger
from bouncesink.model import Arrival

WHO = "lead@example.org"
OTHER = "other@example.net"
FORGET = ("forget", WHO, "--reason", "asked by letter", "--actor", "ops")


def two(number: int) -> str:
    """Give a bounce of two recipients."""
    group = "Final-Recipient: rfc822; Lead@example.org\nAction: failed\nStatus: 5.1.1\n"
    both = f"{group}\n{group.replace('Lead@example.org', OTHER)}"
    return hard(number, number).replace(group, both)


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("told")


@pytest.fixture
def told(run: Run, tmp_path: Path, once: Path) -> Path:
    """Give a ledger in which WHO is in every table and OTHER in some; it is made only once."""
    if not any(once.iterdir()):
        _tell(run, tmp_path)
        shutil.copytree(tmp_path, once, dirs_exist_ok=True)
    else:
        shutil.copytree(once, tmp_path, dirs_exist_ok=True)
    return tmp_path / "bouncesink.db"


def _tell(run: Run, folder: Path) -> None:
    (folder / "one.eml").write_text(hard())
    (folder / "two.eml").write_text(two(2))
    (folder / "other.eml").write_text(hard(3, 3).replace("Lead@example.org", OTHER))
    (folder / "unread.eml").write_text("From: mailer-daemon@x.test\n\nabout LEAD@Example.ORG?\n")
    leads = f"LEAD ID,EMAIL\nL-0,{OTHER}\nL-1,Lead@example.org\nL-2,z@example.org\n"
    (folder / "leads.csv").write_text(leads)
    (folder / "sends.csv").write_text(f"message_id,recipient\noriginal-1@example.com,{WHO}\n")
    assert run("sends", "import", "sends.csv").code == 0
    mails = ("one.eml", "two.eml", "other.eml", "unread.eml")
    assert run("replay", *mails, "--leads", "leads.csv").code == 0
    assert run("suppress", "add", WHO, "--reason", f"{WHO} telephoned").code == 0
    with closing(open_ledger(folder / "bouncesink.db")) as ledger:
        ledger.put_trouble("sheet", f"row 2: {WHO} stands twice", datetime(2026, 3, 1, tzinfo=UTC))


def traces(path: Path) -> list[str]:
    """Name the files of a ledger that still have the address, in any case or encoding."""
    return [
        each.name
        for each in path.parent.glob(f"{path.name}*")
        if Mentions(WHO)(each.read_bytes()) or WHO.encode() in each.read_bytes().lower()
    ]


def test_it_is_there_before(told: Path) -> None:
    assert traces(told)


def test_no_file_of_the_ledger_has_the_address_any_more(run: Run, told: Path) -> None:
    result = run(*FORGET)
    assert result.code == 0, result.err
    assert WHO not in result.out
    assert "by hand: hubspot_proposal, smartlead_removal." in result.out
    assert traces(told) == []


def test_nor_where_pages_were_filled_and_split_before(run: Run, told: Path) -> None:
    with closing(sqlite3.connect(told)) as db:
        # As an older version did, which overwrote nothing.
        db.execute("PRAGMA secure_delete = OFF")
        for n in range(300):
            db.execute("INSERT INTO troubles VALUES (?, ?, '')", (f"p{n}", f"{WHO} {n} " * 20))
        db.execute("DELETE FROM troubles WHERE part LIKE 'p%'")
        db.commit()
    assert traces(told)
    assert run(*FORGET).code == 0
    assert traces(told) == []


def test_it_stays_suppressed_by_every_gate(run: Run, told: Path) -> None:
    run(*FORGET)
    checked = run("check", "LEAD@example.org", "--json")
    assert (checked.code, checked.lines[0]["reasons"]) == (1, ["forgotten"])
    assert WHO not in run("suppress", "export").out
    assert "must not be mailed (forgotten)" in run("explain", WHO).out
    assert "still blocked: forgotten" in run("suppress", "remove", WHO, "--reason", "r").out
    assert "0 addresses suppressed" in run("suppress", "add", WHO, "--reason", "again").out
    assert traces(told) == []


def test_the_sheet_says_false_and_brings_nothing_back(run: Run, told: Path) -> None:
    run(*FORGET)
    for _ in range(2):
        result = run("flush", "--json")
        assert result.code == 0
        rows = {
            row["LEAD ID"]: row
            for row in csv.DictReader(Path("lead_details.csv").read_text().splitlines())
        }
        assert rows["L-1"]["EMAIL"] == "Lead@example.org"  # it is theirs to clear
        assert rows["L-1"]["EMAIL VALID"] == "FALSE"
        assert rows["L-1"]["EMAIL BOUNCE TYPE"] == rows["L-1"]["BOUNCE EVIDENCE"] == ""
        assert rows["L-0"]["EMAIL BOUNCE TYPE"] == "HARD"
    assert result.lines[0]["cells"] == 0
    assert [lead["id"] for lead in run("leads", "list", "--json").lines] == ["L-0", "L-2"]
    assert traces(told) == []


def test_what_is_about_others_stays(run: Run, told: Path) -> None:
    before = run("explain", OTHER, "--json").lines[0]
    run(*FORGET)
    after = run("explain", OTHER, "--json").lines[0]
    assert after["bounce_count"] == before["bounce_count"] == 2
    assert [e["id"] for e in after["events"]] == [e["id"] for e in before["events"]]
    assert run("verify").code == 0
    assert run("rebuild").out == "Nothing changes.\n"


def test_new_mail_about_it_tells_nothing(run: Run, told: Path) -> None:
    run(*FORGET)
    Path("new.eml").write_text(two(9))
    assert run("replay", "new.eml").code == 0
    assert run("explain", WHO).code == 1
    assert run("explain", OTHER, "--json").lines[0]["bounce_count"] == 3
    assert traces(told) == []
    assert run("rebuild").out == "Nothing changes.\n"
    with closing(open_ledger(told)) as ledger:  # a redelivery is known
        raw = Path("new.eml").read_bytes()
        again = Arrival(arrival_id(raw, ""), "file", "", "", datetime.now(UTC), raw)
        assert ledger.append([again]) == [False]


def test_a_send_of_it_is_not_stored(run: Run, told: Path) -> None:
    run(*FORGET)
    assert "1 send taken, 0 new" in run("sends", "import", "sends.csv").out
    assert traces(told) == []


def test_the_audit_says_that_it_was_done_and_not_about_whom(run: Run, told: Path) -> None:
    run(*FORGET)
    lines = run("audit", "--json").lines
    assert [line["act"] for line in lines if line["act"] in {"forget", "suppress"}] == [
        "suppress",
        "forget",
    ]
    names = {line["subject"] for line in lines if line["act"] in {"forget", "suppress"}}
    assert len(names) == 1
    (name,) = names
    assert name.startswith("forgotten:")
    suppressed = next(line for line in lines if line["act"] == "suppress")
    assert suppressed["reason"] == f"{name} telephoned"


def test_twice_is_as_once(run: Run, told: Path) -> None:
    run(*FORGET)
    assert run(*FORGET).code == 0
    acts = [line["act"] for line in run("audit", "--json").lines]
    assert acts.count("forget") == 1


def test_cut_off_anywhere_it_is_finished_by_the_next(told: Path) -> None:
    with closing(open_ledger(told)) as ledger:
        engine = Engine(ledger, Config())

        def cut_off(_octets: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            forget(engine, WHO, Decision("ops", "asked"), cut_off)
        # By now nothing new is stored, and nobody is told that it may be mailed.
        assert not ledger.contacts([WHO])[WHO].mailable
        assert traces(told)
        forget(engine, WHO, Decision("ops", "asked"))
    assert traces(told) == []


def test_without_its_key_nobody_is_told_that_it_may_be_mailed(run: Run, told: Path) -> None:
    run(*FORGET)
    key = Path(f"{told}.key")
    assert key.stat().st_mode & 0o077 == told.stat().st_mode & 0o060
    secret = key.read_text()
    for spoil in (key.unlink, lambda: key.write_text("ab" * 32), lambda: key.write_text("x")):
        spoil()
        result = run("check", WHO)
        assert result.code == 3
        assert "put back the file that was beside this ledger" in result.err
        assert "Traceback" not in result.err
        for words in (("status",), ("doctor",)):
            assert "put back the file that was beside this ledger" in run(*words).out
        assert run("doctor").code == 2
    key.write_text(secret)
    assert run("check", WHO).code == 1
    assert "put back" not in run("status").out


def test_a_restore_without_the_key_says_what_is_left_to_do(run: Run, told: Path) -> None:
    assert run("backup", "b.db").code == 0
    run(*FORGET)
    key = Path(f"{told}.key")
    key.rename("away")
    result = run("restore", "b.db", "--replace")
    assert (result.code, "was restored, but" in result.err) == (3, True), result.err
    Path("away").rename(key)
    assert run("restore", "b.db", "--replace").code == 0
    assert run("check", WHO).code == 1
    assert WHO.encode() not in told.read_bytes()


def test_an_address_of_our_own_is_not_erased(run: Run, told: Path) -> None:
    Path("c.toml").write_text('[lmtp]\nrecipients = ["Bounces@example.com"]\n')
    words = ("forget", "bounces@example.com", "--reason", "r", "--ledger", str(told))
    result = run(*words, "--config", "c.toml")
    assert (result.code, "is yours by the config" in result.err) == (2, True), result.err


def test_an_address_that_nobody_knew_can_be_forgotten(run: Run, told: Path) -> None:
    assert run("forget", "nobody@example.com", "--reason", "asked").code == 0
    assert run("check", "nobody@example.com").code == 1


def test_a_person_who_comes_back_is_let_in_by_an_act(run: Run, told: Path) -> None:
    run(*FORGET)
    assert run("forget", WHO, "--undo", "--reason", "wrote to us again").code == 0
    assert run("check", WHO).code == 0
    assert run("audit", "--json").lines[-1]["act"] == "remember"
    assert run("forget", WHO, "--undo", "--reason", "r").code == 2


def test_an_older_backup_does_not_bring_it_back(run: Run, told: Path) -> None:
    assert run("backup", "before.bak").code == 0
    run(*FORGET)
    result = run("restore", "before.bak", "--replace", "--json")
    assert (result.code, result.lines[0]["forgotten_again"]) == (0, 1)
    aside = Path(result.lines[0]["set_aside"])
    assert run("check", WHO, "--json").lines[0]["reasons"] == ["forgotten"]
    aside.unlink()
    assert traces(told) == []
    assert run("verify").code == 0


def test_all_that_is_held_is_handed_over(run: Run, told: Path) -> None:
    held = json.loads(run("export", WHO).out)
    assert held["contact"]["bounce_type"] == "HARD"
    assert {event["kind"] for event in held["events"]} == {"failure", "suppress"}
    assert held["leads"] == [{"id": "L-1", "email": "Lead@example.org"}]
    assert [send["message_id"] for send in held["sends"]] == ["original-1@example.com"]
    assert {action["kind"] for action in held["actions"]} >= {"hubspot_proposal", "postcard"}
    assert len(held["arrivals"]) == 3  # also the one that nobody could read
    assert "550 5.1.1 <Lead@example.org>" in held["arrivals"][0]["raw"]
    assert [line["act"] for line in held["audit"]] == ["suppress"]
    assert [row["table"] for row in held["elsewhere"]] == ["events", "troubles"]
    run(*FORGET)
    assert json.loads(run("export", WHO).out) == {"address": WHO, "forgotten": True}
    assert run("export", "nobody@example.com").code == 1


BEFORE = st.binary(max_size=200).map(lambda raw: raw + b"\r\n ")


@given(BEFORE, st.sampled_from([WHO, "Lead@Example.ORG", "LEAD@EXAMPLE.ORG"]), st.integers(0, 2))
def test_a_mention_is_found_however_it_is_encoded(before: bytes, spelt: str, pad: int) -> None:
    named = Mentions(WHO)
    text = b"x" * pad + b" <" + spelt.encode() + b"> asked"
    assert named(before + text)
    assert named(before + b"\r\n\r\n" + base64.encodebytes(text).replace(b"\n", b"\r\n"))
    assert named(quopri.encodestring(text, quotetabs=True))
    everything = b"".join(b"=%02X" % octet for octet in text)
    assert named(everything)
    assert named(b"Subject: =?utf-8?B?" + base64.b64encode(text) + b"?=")
    assert named(b"To: bounces+lead=example.org-4711@example.com")


@pytest.mark.parametrize(
    "raw",
    [
        b"mislead@example.org",
        b"mis.lead@example.org",
        b"lead@example.organic.test",
        b"lead@example.org.test",
        b"lead@example.com",
        b"",
    ],
)
def test_a_like_address_is_no_mention(raw: bytes) -> None:
    assert not Mentions(WHO)(raw)


def test_a_domain_of_other_letters_is_found_as_people_write_it() -> None:
    named = Mentions("lead@xn--bcher-kva.example")
    assert named("an lead@bücher.example".encode())
    assert named(b"lead@XN--bcher-kva.example.")
