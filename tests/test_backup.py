"""Copies of a ledger, while it is written and after it was damaged."""

import contextlib
import hashlib
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from commands import Run

from bouncesink.config import Config, LedgerConfig
from bouncesink.engine import Engine
from bouncesink.engine.verify import verify
from bouncesink.errors import LedgerError
from bouncesink.identity import arrival_id
from bouncesink.ledger import Ledger, copies, open_ledger
from bouncesink.model import (
    Act,
    Arrival,
    Category,
    DsnAction,
    Event,
    Kind,
    Lead,
    Report,
    Send,
    Verdict,
)
from bouncesink.service.claim import claim

NOW = datetime(2026, 3, 1, tzinfo=UTC)
CONFIG = Config()


def arrival(number: int, size: int = 100) -> Arrival:
    raw = b"Subject: %d\r\n\r\n" % number + b"x" * size
    return Arrival(arrival_id(raw, "b@example.com"), "lmtp", "", "b@example.com", NOW, raw)


def event(number: int, address: str = "") -> Event:
    who = address or f"p{number}@example.org"
    return Event(
        id=f"e{number}",
        kind=Kind.FAILURE,
        address=who,
        occurred_at=NOW,
        recorded_at=NOW,
        source="test",
        report=Report(who, DsnAction.FAILED, "rfc3464", status="5.1.1", diagnostic="no such user"),
        verdict=Verdict(Category.USER_UNKNOWN, "r"),
        message_id=f"<{number}@example.com>",
    )


def filled(path: Path) -> None:
    with closing(open_ledger(path)) as ledger:
        leads = [Lead(f"L-{n}", f"p{n}@example.org", f"p{n}@example.org") for n in range(5)]
        ledger.put_leads(leads)
        ledger.put_sends([Send(f"{n}@example.com", f"p{n}@example.org", NOW) for n in range(20)])
        ledger.append([arrival(n, 3000 * (n % 3)) for n in range(9)])
        engine = Engine(ledger, CONFIG)
        engine.record([event(n) for n in range(30)])
        engine.act(Act.SUPPRESS, "p1@example.org", "ops", "by telephone")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    filled(tmp_path / "bouncesink.db")
    return tmp_path / "bouncesink.db"


def contents(path: Path) -> list[str]:
    """Give all that a ledger holds, in any order, but for the audit of what looked at it."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        return sorted(line for line in db.iterdump() if '"audit"' not in line)


def test_a_backup_holds_what_the_ledger_held(run: Run, path: Path) -> None:
    result = run("backup", "b.db", "--json", "--actor", "ops")
    assert result.code == 0
    assert (result.lines[0]["arrivals"], result.lines[0]["events"]) == (9, 31)
    assert contents(Path("b.db")) == contents(path)
    assert Path("b.db").stat().st_mode & 0o077 == 0
    assert [p.name for p in Path().iterdir() if "part" in p.name] == []
    assert run("check", "p1@example.org", "--ledger", "b.db").code == 1
    last = run("audit", "--json").lines[-1]
    assert (last["act"], last["actor"], last["subject"]) == (
        "backup",
        "ops",
        str(Path("b.db").absolute()),
    )


def test_a_backup_is_not_written_over_unless_told(run: Run, path: Path) -> None:
    assert run("backup", "b.db").code == 0
    before = Path("b.db").stat().st_ino
    result = run("backup", "b.db")
    assert result.code == 2
    assert "--replace" in result.err
    assert Path("b.db").stat().st_ino == before
    assert run("backup", "b.db", "--replace").code == 0
    assert contents(Path("b.db")) == contents(path)


def test_only_a_backup_is_written_over(run: Run, path: Path) -> None:
    Path("bouncesink.toml").write_text("precious")
    result = run("backup", "bouncesink.toml", "--replace")
    assert (result.code, "is there already and no backup" in result.err) == (2, True), result.err
    assert Path("bouncesink.toml").read_text() == "precious"


@pytest.mark.parametrize(
    ("to", "words"),
    [
        (".", "is a folder"),
        ("nowhere/b.db", "there is no folder"),
        ("bouncesink.db", "is the ledger itself"),
        ("link.db", "is the ledger itself"),
        ("bouncesink.db-wal", "belongs to the ledger"),
        ("bouncesink.db-shm", "belongs to the ledger"),
        ("bouncesink.db.key", "belongs to the ledger"),
        ("link.db.key", "belongs to the ledger"),
        ("fifo", "is a device or a pipe"),
    ],
)
def test_a_backup_to_the_wrong_place_is_refused(run: Run, path: Path, to: str, words: str) -> None:
    Path("link.db").symlink_to(path)
    Path("link.db.key").symlink_to("bouncesink.db.key")
    os.mkfifo("fifo")
    result = run("backup", to, "--replace")
    assert (result.code, words in result.err) == (2, True), result.err
    assert run("verify").code == 0


def test_there_is_no_backup_of_nothing(run: Run) -> None:
    result = run("backup", "b.db")
    assert result.code == 3
    assert not Path("bouncesink.db").exists()
    assert not Path("b.db").exists()


@pytest.mark.parametrize(
    "words", [("verify",), ("maintain",), ("forget", "a@example.org", "--reason", "r")]
)
def test_a_mistyped_ledger_is_not_made(run: Run, words: tuple[str, ...]) -> None:
    result = run(*words, "--ledger", "nosuch.db")
    assert (result.code, "there is no such ledger" in result.err) == (3, True)
    assert list(Path().iterdir()) == []


def test_two_backups_to_one_file_do_not_mix(run: Run, path: Path) -> None:
    with copies._part(Path("b.db").absolute()):
        result = run("backup", "b.db")
    assert (result.code, "another process is writing it" in result.err) == (3, True)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[list[int]]:
    """Append and record in a thread all the while; give the numbers of what was committed."""
    done: list[int] = []
    stop = threading.Event()
    begun = threading.Event()

    def write() -> None:
        with closing(open_ledger(path)) as ledger:
            engine = Engine(ledger, CONFIG)
            number = 1000
            while not stop.is_set():
                with ledger.transaction():
                    ledger.append([arrival(number)])
                    engine.record([event(number, "" if number % 3 else "busy@example.org")])
                done.append(number)
                number += 1
                begun.set()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        assert begun.wait(60)
        yield done
    finally:
        stop.set()
        thread.join()


def test_a_backup_is_one_moment_while_mail_flows(path: Path, tmp_path: Path) -> None:
    with writing(path) as done:
        for number in range(3):
            before = len(done)
            copied = copies.back_up(path, tmp_path / f"{number}.db")
            # All that had been committed when it began, and each transaction whole.
            assert copied.arrivals >= 9 + before
            assert copied.events - 31 == copied.arrivals - 9
            with closing(open_ledger(tmp_path / f"{number}.db")) as ledger:
                assert verify(Engine(ledger, CONFIG)).findings == []
    with closing(open_ledger(path)) as ledger:
        assert ledger.totals().events == 31 + len(done)


KILLED = """
import sys
from pathlib import Path
from bouncesink.ledger import copies
print("begun", flush=True)
while True:
    copies.back_up(Path(sys.argv[1]), Path(sys.argv[2]), replace=True)
    print("done", flush=True)
"""


def test_kill_9_leaves_the_last_backup_or_the_next_never_half_of_one(run: Run, path: Path) -> None:
    to = path.with_name("b.db")
    command = [sys.executable, "-c", KILLED, str(path), str(to)]
    for lines in (1, 2, 3):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            for _ in range(lines):
                process.stdout.readline()
            process.send_signal(signal.SIGKILL)
        if to.exists():
            assert contents(to) == contents(path)
    assert to.exists()
    assert run("backup", "c.db").code == 0
    assert run("backup", "b.db", "--replace").code == 0
    assert not path.with_name("b.db.part").exists()


def test_a_restored_ledger_is_as_it_was_and_the_other_is_kept(run: Run, path: Path) -> None:
    assert run("backup", "b.db").code == 0
    then = contents(path)
    with closing(open_ledger(path)) as ledger:
        Engine(ledger, CONFIG).record([event(99)])
        result = run("restore", "b.db")
        assert (result.code, "--replace" in result.err) == (2, True)
    now = contents(path)
    result = run("restore", "b.db", "--replace", "--json", "--actor", "ops")
    assert result.code == 0, result.err
    assert list(Path().glob("b.db?*")) == []  # it stays as it is, and alone
    assert contents(path) == then
    assert contents(Path(result.lines[0]["set_aside"])) == now
    assert run("verify").code == 0
    assert [line["act"] for line in run("audit", "--json").lines][-2:] == ["restore", "verify"]
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_what_is_only_in_the_log_is_set_aside_with_the_ledger(run: Run, path: Path) -> None:
    assert run("backup", "b.db").code == 0
    # A killed service leaves its log: it must neither be lost nor be read into the restored one.
    code = (
        "import os, sys; from pathlib import Path; sys.path.insert(0, sys.argv[2])\n"
        "from test_backup import *\n"
        "ledger = open_ledger(Path(sys.argv[1])); Engine(ledger, CONFIG).record([event(99)])\n"
        "os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(path), str(Path(__file__).parent)], check=False)
    assert Path(f"{path}-wal").stat().st_size
    log = Path(f"{path}-wal").read_bytes()
    path.write_bytes(b"\0" * 4096 + path.read_bytes()[4096:])  # nor can it be opened any more
    result = run("restore", "b.db", "--replace", "--json")
    assert result.code == 0, result.err
    aside = Path(result.lines[0]["set_aside"])
    assert Path(f"{aside}-wal").read_bytes() == log
    assert run("check", "p99@example.org").code == 0
    assert run("verify").code == 0


def test_a_restore_to_nothing_makes_the_ledger(run: Run, path: Path) -> None:
    assert run("backup", "b.db").code == 0
    then = contents(path)
    for each in path.parent.glob("bouncesink.db*"):
        each.unlink()
    result = run("restore", "b.db", "--json")
    assert (result.code, result.lines[0]["set_aside"]) == (0, None)
    assert contents(path) == then


def test_a_served_ledger_is_not_replaced(run: Run, path: Path) -> None:
    assert run("backup", "b.db").code == 0
    then = contents(path)
    with claim(path):
        result = run("restore", "b.db", "--replace")
        assert (result.code, "Nothing was restored" in result.err) == (3, True)
        assert run("backup", "c.db").code == 0
    assert contents(path) == then


@pytest.mark.parametrize("size", [0, 100, 4096, 20_000])
def test_a_backup_that_is_cut_short_is_not_restored(run: Run, path: Path, size: int) -> None:
    assert run("backup", "b.db").code == 0
    with Path("b.db").open("r+b") as file:
        file.truncate(size)
    then = contents(path)
    result = run("restore", "b.db", "--replace")
    assert result.code == 3
    assert "Traceback" not in result.err
    assert contents(path) == then


def test_a_backup_of_an_older_version_is_brought_up_to_date(
    run: Run, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bouncesink.ledger import schema

    old = schema.MIGRATIONS[:1]
    path.unlink()
    with monkeypatch.context() as patched:
        patched.setattr(schema, "MIGRATIONS", old)
        db = sqlite3.connect("old.db", isolation_level=None)
        with closing(db):
            db.execute("BEGIN")
            schema.migrate(db)
            db.execute("COMMIT")
    result = run("restore", "old.db", "--replace")
    assert result.code == 0, result.err
    assert run("verify").code == 0


def test_a_pipe_is_no_backup(run: Run) -> None:
    os.mkfifo("fifo")
    result = run("restore", "fifo")
    assert (result.code, "is a device or a pipe" in result.err) == (3, True), result.err


def test_another_programs_database_is_no_backup(run: Run, path: Path) -> None:
    with closing(sqlite3.connect("other.db")) as db:
        db.execute("CREATE TABLE x (y)")
    result = run("restore", "other.db", "--replace")
    assert (result.code, "not a ledger of bouncesink" in result.err) == (3, True)


# What verify finds.


def test_a_whole_ledger_is_said_to_be_whole(run: Run, path: Path) -> None:
    result = run("verify")
    assert (result.code, result.out) == (
        0,
        "bouncesink.db: is whole: 9 mails, 31 events, 30 addresses.\n",
    )
    assert run("verify", "--json").lines[0]["whole"] is True


def test_a_ledger_is_whole_at_every_moment_of_its_use(path: Path) -> None:
    with writing(path) as done, closing(open_ledger(path)) as ledger:
        for _ in range(3):
            before = len(done)
            found = verify(Engine(ledger, CONFIG))
            assert found.findings == []
            assert found.events >= 31 + before


@pytest.mark.parametrize(
    ("spoil", "what", "mend"),
    [
        ("UPDATE counters SET value = 7 WHERE name = 'events'", "miscounted", "repair"),
        (
            "UPDATE contacts SET bounce_count = 9 WHERE address = 'p2@example.org'",
            "the state of",
            "repair",
        ),
        (
            "UPDATE contacts SET mailable = 1 WHERE address = 'p2@example.org'",
            "the state of",
            "repair",
        ),
        ("DELETE FROM contacts WHERE address = 'p3@example.org'", "no state", "repair"),
        ("UPDATE arrivals SET state = 'lost' WHERE number = 3", "no state that we know", "restore"),
        ("DELETE FROM arrival_bytes WHERE number = 3", "its mail is lost", "restore"),
        ("UPDATE arrival_bytes SET raw = x'00' WHERE number = 3", "bytes of a mail", "restore"),
        ("UPDATE actions SET payload = '{' WHERE number = 1", "no JSON", "restore"),
        ("UPDATE actions SET state = 'odd' WHERE number = 1", "no state that we know", "restore"),
        (
            "UPDATE events SET severity = 'HARD', category = 'odd' WHERE number = 3",
            "cannot",
            "restore",
        ),
        ("UPDATE events SET domain = 'x.test' WHERE number = 3", "another domain", "restore"),
        (
            "UPDATE events SET diagnostic = 'a' || char(0) WHERE number = 3",
            "text is damaged",
            "restore",
        ),
        ("DELETE FROM leads WHERE position = 2", "not numbered through", "restore"),
    ],
)
def test_what_does_not_add_up_is_found_and_named(
    run: Run, path: Path, spoil: str, what: str, mend: str
) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute(spoil)
        db.commit()
    result = run("verify", "--json")
    assert result.code == 3
    findings = result.lines[0]["findings"]
    assert any(what in f["what"] and f["mend"] == mend for f in findings), findings
    told = run("verify")
    assert {"restore": "bouncesink restore", "repair": "verify --repair"}[mend] in told.out
    repaired = run("verify", "--repair", "--json")
    assert (repaired.code == 0) is (mend == "repair")


def answers(ledger: Ledger) -> list[Any]:
    """Give what a person or a program may ask."""
    contacts = [c for some in ledger.all_contacts(100) for c in some]
    return [
        contacts,
        list(ledger.all_events()),
        list(ledger.all_leads()),
        list(ledger.all_actions()),
        list(ledger.all_sends()),
        [replace(a, received_at=NOW) for some in ledger.all_arrivals(100) for a in some],
        ledger.contacts([f"p{n}@example.org" for n in range(40)]),
        ledger.leads_of([f"p{n}@example.org" for n in range(5)]),
        ledger.events_of([f"p{n}@example.org" for n in range(40)]),
        ledger.sends_of([f"{n}@example.com" for n in range(20)]),
        ledger.totals(),
    ]


def damages(page: bytes) -> Iterator[bytes]:
    noise = hashlib.shake_256(page).digest(len(page))
    yield bytes(len(page))
    yield page[: len(page) // 2] + noise[len(page) // 2 :]


def test_a_damaged_page_is_reported_or_changes_no_answer(tmp_path: Path) -> None:
    whole = tmp_path / "whole.db"
    filled(whole)
    with closing(sqlite3.connect(whole)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (size,) = db.execute("PRAGMA page_size").fetchone()
    config = replace(CONFIG, ledger=LedgerConfig(whole))
    with closing(open_ledger(whole)) as ledger:
        right = answers(ledger)
    octets = whole.read_bytes()
    broken = tmp_path / "broken.db"
    reported = 0
    told: list[str] = []
    for start in range(0, len(octets), size):
        for damage in damages(octets[start : start + size]):
            for side in ("", "-wal", "-shm"):
                Path(f"{broken}{side}").unlink(missing_ok=True)
            broken.write_bytes(octets[:start] + damage + octets[start + size :])
            try:
                with closing(open_ledger(broken)) as ledger:
                    found = verify(Engine(ledger, config)).findings
            except LedgerError as error:
                found = [error]
                told.append(str(error))
            reported += bool(found)
            if not found:
                with closing(open_ledger(broken)) as ledger:
                    assert answers(ledger) == right, start // size
    assert all("is damaged" in text or "is not a bouncesink ledger" in text for text in told), told
    assert reported > len(octets) // size * 3 // 2


def test_every_command_says_in_words_that_the_ledger_is_damaged(run: Run, path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        pages = db.execute(
            "SELECT rootpage FROM sqlite_master WHERE name IN ('contacts', 'events', 'arrivals', "
            "'sqlite_autoindex_contacts_1', 'events_address')"
        ).fetchall()
    octets = bytearray(path.read_bytes())
    for (page,) in pages:
        octets[(page - 1) * 4096 : page * 4096] = b"\xee" * 4096
    path.write_bytes(octets)
    for command in (
        ("check", "p1@example.org"),
        ("report-bounces",),
        ("suppress", "list"),
        ("backup", "b.db"),
    ):
        result = run(*command)
        assert result.code == 3, command
        assert "`bouncesink verify` says where" in result.err
        assert "bouncesink restore" in result.err
    assert not Path("b.db").exists()
    result = run("verify", "--json")
    assert result.code == 3
    assert result.lines[0]["whole"] is False


@contextlib.contextmanager
def no_room_after(octets: int) -> Iterator[None]:
    """Let no file grow beyond so many octets: a full disk, nearly."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (octets, before[1]))
    # Python itself would leave halves of compiled modules, and fail at them from then on.
    sys.dont_write_bytecode, writes = True, sys.dont_write_bytecode
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        sys.dont_write_bytecode = writes


def test_a_backup_that_finds_the_disk_full_leaves_nothing(run: Run, path: Path) -> None:
    with no_room_after(50_000):
        result = run("backup", "b.db")
    assert result.code == 3
    assert "Traceback" not in result.err
    assert list(Path().glob("b.db*")) == []
    assert run("verify").code == 0


def test_a_full_disk_is_no_trouble_of_the_claim(path: Path) -> None:
    with no_room_after(0), claim(path):
        pass


def test_a_full_disk_leaves_no_half_of_a_config(run: Run) -> None:
    with no_room_after(100):
        result = run("init", "new.toml")
    assert (result.code, "cannot be written" in result.err) == (2, True), result.err
    assert not Path("new.toml").exists()


def test_the_audit_is_only_added_to(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        for sql in (
            "DELETE FROM audit",
            "UPDATE audit SET actor = 'x'",
            "UPDATE audit SET at = ''",
        ):
            with pytest.raises(sqlite3.IntegrityError, match="only added"):
                db.execute(sql)
        ((act, subject, before),) = db.execute("SELECT act, subject, before FROM audit").fetchall()
        assert (act, subject, before) == ("suppress", "p1@example.org", "hard")


def test_each_act_of_an_operator_is_one_line(run: Run, path: Path) -> None:
    who = "p2@example.org"
    for words in (
        ("suppress", "add", who),
        ("suppress", "remove", who),
        ("review", "reinstate", who),
    ):
        assert run(*words, "--actor", "ops", "--reason", "because").code <= 1
    proposals = run("queue", "list", "--json").lines
    (key,) = [each["key"] for each in proposals if each["key"].startswith("hubspot_proposal:p3@")]
    assert run("queue", "approve", key, "--actor", "boss").code == 0
    lines = run("audit", "--json").lines[1:]
    assert [(line["act"], line["actor"], line["subject"]) for line in lines] == [
        ("suppress", "ops", who),
        ("unsuppress", "ops", who),
        ("reinstate", "ops", who),
        ("hubspot_proposal.approved", "boss", key),
    ]
    assert [line["before"] for line in lines] == ["hard", "hard, manual", "hard", "pending"]
    assert lines[3]["after"] == "approved"
    assert "5 acts" in run("audit").out
    assert run("audit", "--since", "2200-01-01").out == "0 acts.\n"
