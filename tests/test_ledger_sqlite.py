"""What is particular to the ledger in SQLite: files, errors, processes, and SQL for people."""

import contextlib
import shlex
import sqlite3
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlite_utils.cli import cli as sqlite_utils_cli

from bouncesink.errors import LedgerBusy, LedgerError, LedgerFull, LedgerTooNew
from bouncesink.identity import arrival_id
from bouncesink.ledger import ArrivalState, Settlement, open_ledger, schema
from bouncesink.model import (
    OPEN,
    Act,
    Action,
    ActionKind,
    Arrival,
    Category,
    Contact,
    DsnAction,
    Event,
    Evidence,
    Kind,
    Lead,
    Reason,
    Report,
    Severity,
    Trust,
    TrustLevel,
    Verdict,
)

NOW = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)
ROOT = Path(__file__).parents[1]


def arrival(number: int, raw: bytes = b"") -> Arrival:
    raw = raw or b"Subject: %d\r\n\r\nbody\r\n" % number
    return Arrival(arrival_id(raw, "b@example.com"), "lmtp", "", "b@example.com", NOW, raw)


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path):
    ledger = open_ledger(path, busy_timeout=0.05)
    yield ledger
    ledger.close()


@contextlib.contextmanager
def raw(path: Path):
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()


PRELUDE = """
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from bouncesink.errors import LedgerError
from bouncesink.identity import arrival_id
from bouncesink.ledger import open_ledger
from bouncesink.model import Arrival

def arrival(word):
    raw = b"Subject: " + word.encode() + b"\\r\\n\\r\\n" + b"body" * 1000
    return Arrival(arrival_id(raw, "b@example.com"), "lmtp", "", "b@example.com",
                   datetime.now(UTC), raw)

path = Path(sys.argv[1])
"""


def process(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PRELUDE + code, *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT)


def output(each: subprocess.Popen[str]) -> str:
    out, _ = each.communicate(timeout=60)
    assert each.returncode == 0
    return out


AS_NOBODY = """
import os
import sqlite_utils
import bouncesink.ledger.sqlite
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
try:
    with closing(open_ledger(path, read_only=sys.argv[2] == "True")) as ledger:
        print(len(ledger.pending(10)))
        if not sys.argv[2] == "True":
            ledger.append([arrival("y")])
except LedgerError as error:
    print(f"{type(error).__name__}: {error}")
"""


def as_nobody(path: Path, *, read_only: bool) -> str:
    """Open it where permissions count, as they do not for root. Give what that printed."""
    return output(process(AS_NOBODY, path, read_only)).strip()


@pytest.fixture
def shared():
    """A folder that anyone may enter and only we may write."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
        Path(folder).chmod(0o755)


# --- opening


def test_commits_are_durable_and_the_wal_is_bounded(ledger):
    wanted = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    found = {name: ledger._db.all(f"PRAGMA {name}")[0][0] for name in wanted}
    assert found == wanted
    assert ledger._db.all("PRAGMA journal_size_limit")[0][0] > 0


def test_opening_again_changes_nothing_and_does_not_wait_for_a_writer(path, ledger):
    with raw(path) as other:
        before = other.execute("PRAGMA schema_version").fetchone()
        other.execute("BEGIN IMMEDIATE")
        open_ledger(path, busy_timeout=0).close()
        assert other.execute("PRAGMA schema_version").fetchone() == before


def test_an_up_to_date_ledger_opens_without_loading_sqlite_utils(path, ledger):
    code = "open_ledger(path).close(); print('sqlite_utils' in sys.modules)"
    assert output(process(code, path)) == "False\n"


def test_an_empty_file_becomes_a_ledger(path):
    path.touch()
    open_ledger(path).close()
    open_ledger(path, read_only=True).close()


def test_a_path_may_have_any_characters(tmp_path):
    path = tmp_path / "bounces? 100%25 #1 Größe.db"
    open_ledger(path).close()
    assert path.exists()
    open_ledger(path, read_only=True).close()


def not_sqlite(path: Path) -> None:
    path.write_bytes(b"From: someone\r\n" * 1000)


def of_another_program(path: Path) -> None:
    with raw(path) as connection:
        connection.execute("CREATE TABLE songs (title)")


def damaged(path: Path) -> None:
    open_ledger(path).close()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (path.stat().st_size - 4096))


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (not_sqlite, "not a bouncesink ledger"),
        (of_another_program, "not a ledger of bouncesink"),
        (damaged, "is damaged; `bouncesink verify`"),
        (Path.mkdir, "is a folder"),
    ],
)
def test_what_is_no_ledger_is_refused_and_left_alone(path, spoil, words, read_only):
    spoil(path)
    before = path.is_file() and path.read_bytes()
    with pytest.raises(LedgerError, match=words) as caught:
        open_ledger(path, read_only=read_only)
    assert str(caught.value).startswith(f"{path}: ")
    assert (path.is_file() and path.read_bytes()) == before
    assert [each for each in path.parent.iterdir() if each.name != path.name] == []


def test_a_missing_ledger_or_folder_is_named(path):
    with pytest.raises(LedgerError, match="there is no such ledger yet"):
        open_ledger(path, read_only=True)
    assert not path.exists()
    with pytest.raises(LedgerError, match=f"there is no folder {path.parent / 'deep'}"):
        open_ledger(path.parent / "deep" / "ledger.db")


@pytest.mark.parametrize("read_only", [False, True])
def test_a_ledger_from_a_newer_version_is_refused(path, ledger, read_only):
    with raw(path) as connection:
        connection.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at)"
            " VALUES ('bouncesink', '9999_later', '')"
        )
    with pytest.raises(LedgerTooNew, match=r"newer version of bouncesink \(9999_later\)"):
        open_ledger(path, read_only=read_only)


def test_a_row_with_words_of_a_newer_version_is_an_error_with_words(path, ledger):
    ledger.append([arrival(1)])
    with raw(path) as connection:
        connection.execute("UPDATE arrivals SET state = 'resting'")
    with pytest.raises(LedgerError, match=r"cannot read .*'resting'.*a newer version"):
        ledger.totals()


def test_an_older_ledger_is_not_brought_up_to_date_by_a_reader(path, ledger, monkeypatch):
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, "0002_next"))
    with pytest.raises(LedgerError, match="older version of bouncesink; run `bouncesink serve`"):
        open_ledger(path, read_only=True)


def test_no_statement_of_a_migration_is_lost():
    for name in schema.MIGRATIONS:
        text = Path(schema.__file__).with_name(f"{name}.sql").read_text()
        assert " ".join(schema.statements(name)).split() == text.split()


# --- reading only


def test_reading_only_leaves_the_folder_as_it_was(path, ledger):
    ledger.append([arrival(1)])
    ledger.close()
    reader = open_ledger(path, read_only=True)
    assert reader.totals().arrivals == {ArrivalState.PENDING: 1}
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    reader.close()


def test_reading_only_sees_a_writer_that_starts_later(path, ledger):
    ledger.close()
    reader = open_ledger(path, read_only=True)
    assert reader.pending(10) == []
    writer = open_ledger(path)
    writer.append([arrival(1)])
    assert reader.pending(10) == [arrival(1)]
    reader.close()
    writer.close()


def test_reading_only_through_a_link_sees_the_wal_of_the_file(path, ledger, tmp_path):
    ledger.append([arrival(1)])
    link = tmp_path / "link.db"
    link.symlink_to(path)
    reader = open_ledger(link, read_only=True)
    assert reader.pending(10) == [arrival(1)]
    reader.close()


HOLD = """
ledger = open_ledger(path)
ledger.append([arrival("x")])
print("ok", flush=True)
sys.stdin.read()
ledger.close()
"""


@pytest.fixture
def writer(shared):
    writer = process(HOLD, shared / "ledger.db")
    assert writer.stdout.readline() == "ok\n"
    shared.chmod(0o555)
    yield writer
    if writer.poll() is None:
        writer.communicate(timeout=60)


def read_where_nothing_may_be_written(folder: Path) -> None:
    before = {each.name: each.read_bytes() for each in folder.iterdir()}
    assert as_nobody(folder / "ledger.db", read_only=True) == "1"
    assert {each.name: each.read_bytes() for each in folder.iterdir()} == before


def test_reading_only_writes_nothing_beside_a_writer(shared, writer):
    assert (shared / "ledger.db-wal").exists()
    read_where_nothing_may_be_written(shared)


def test_reading_only_writes_nothing_after_a_writer(shared, writer):
    shared.chmod(0o755)
    output(writer)
    shared.chmod(0o555)
    assert [each.name for each in shared.iterdir()] == ["ledger.db"]
    read_where_nothing_may_be_written(shared)


def test_reading_only_writes_nothing_after_a_writer_was_killed(shared, writer):
    writer.kill()
    writer.communicate()
    assert (shared / "ledger.db-wal").exists()
    read_where_nothing_may_be_written(shared)


def test_a_folder_that_may_not_be_written_is_named(shared):
    path = shared / "ledger.db"
    shared.chmod(0o555)
    said = as_nobody(path, read_only=False)
    assert said == f"LedgerError: {path}: cannot be created: the folder {shared} may not be written"


def test_a_ledger_in_a_folder_that_may_not_be_written_is_not_opened_for_writing(shared):
    path = shared / "ledger.db"
    open_ledger(path).close()
    path.chmod(0o666)
    shared.chmod(0o555)
    said = as_nobody(path, read_only=False)
    assert said.startswith(f"LedgerError: {path}: cannot be written; check who owns the file")


def test_a_file_that_may_not_be_written_is_named(shared):
    path = shared / "ledger.db"
    open_ledger(path).close()
    path.chmod(0o444)
    said = as_nobody(path, read_only=False)
    assert said.startswith(f"LedgerError: {path}: cannot be written; check who owns the file")
    assert as_nobody(path, read_only=True) == "0"
    path.chmod(0)
    said = as_nobody(path, read_only=True)
    assert said == f"LedgerError: {path}: cannot be opened; check who owns the file and its folder"


# --- trouble while it is open


def test_a_full_disk_is_told_apart_and_passes(ledger):
    ledger.append([arrival(1)])
    pages = ledger._db.all("PRAGMA page_count")[0][0]
    ledger._db.all(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(LedgerFull, match="the disk is full; make room"):
        ledger.append([arrival(2), arrival(3, b"x" * 1_000_000)])

    def go_on_regardless() -> None:
        with ledger.transaction():
            with pytest.raises(LedgerFull):
                ledger.append([arrival(3, b"x" * 1_000_000)])
            ledger.append([arrival(2)])

    with pytest.raises(LedgerError, match="given up"):
        go_on_regardless()
    assert ledger.pending(10) == [arrival(1)]
    ledger._db.all("PRAGMA max_page_count = 1000000")
    assert ledger.append([arrival(1), arrival(2)]) == [False, True]


def test_a_lock_is_told_apart_and_passes(path, ledger):
    with raw(path) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerBusy, match="another process holds the ledger"):
            ledger.append([arrival(1)])
        with pytest.raises(LedgerBusy), ledger.transaction():
            pass
        assert ledger.pending(10) == []
        other.execute("ROLLBACK")
    assert ledger.append([arrival(1)]) == [True]


def test_threads_of_one_process_take_turns(path, ledger):
    def write(first: int) -> list[bool]:
        with contextlib.closing(open_ledger(path)) as mine:
            return [mine.append([arrival(first + each)])[0] for each in range(40)]

    with ThreadPoolExecutor(4) as threads, ledger.transaction():
        results = threads.map(write, range(0, 400, 100))
        assert ledger.append([arrival(1000)]) == [True]
    assert [result == [True] * 40 for result in results] == [True] * 4
    assert len(ledger.pending(1000)) == 161
    assert ledger.pending(1) == [arrival(1000)]


def test_a_thread_that_holds_the_ledger_is_told_apart(path, ledger):
    other = open_ledger(path, busy_timeout=0.05)
    with ledger.transaction(), pytest.raises(LedgerBusy, match="another thread holds"):
        other.append([arrival(1)])
    assert other.append([arrival(1)]) == [True]
    other.close()


def test_what_a_hand_deletes_is_not_counted(path, ledger):
    ledger.append([arrival(1), arrival(2)])
    ledger.settle([Settlement(arrival(1).id, ArrivalState.DONE, Kind.HUMAN, "r", "i")])
    with raw(path) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("DELETE FROM arrivals WHERE id = ?", (arrival(1).id,))
    assert ledger.totals().arrivals == {ArrivalState.PENDING: 1}
    assert ledger.totals().kinds == {}
    assert list(ledger.all_arrivals(10)) == [[arrival(2)]]


# --- processes


def test_two_processes_may_open_a_new_ledger_at_once(path):
    both = [process("sys.stdin.readline(); open_ledger(path).close()", path) for _ in range(4)]
    for each in both:
        each.stdin.write("go\n")
        each.stdin.flush()
    for each in both:
        output(each)
    open_ledger(path, read_only=True).close()


APPEND = """
ledger = open_ledger(path)
for number in range(60):
    group = [arrival(f"{sys.argv[2]}-{number}-{each}") for each in range(5)]
    assert ledger.append([*group, arrival(f"shared-{number}")])[:5] == [True] * 5
ledger.close()
"""


def test_processes_write_side_by_side(path):
    for each in [process(APPEND, path, name) for name in ("one", "two", "three")]:
        output(each)
    ledger = open_ledger(path)
    assert ledger.totals().arrivals == {ArrivalState.PENDING: 3 * 60 * 5 + 60}
    assert len(ledger.pending(10_000)) == 960
    ledger.close()


def test_what_was_acknowledged_survives_kill_9(path):
    code = """
ledger = open_ledger(path)
for number in range(100_000):
    group = [arrival(f"{sys.argv[2]}-{number}-{each}") for each in range(3)]
    ledger.append(group)
    print(*[each.id for each in group], flush=True)
"""
    acknowledged: set[str] = set()
    for round_ in range(3):
        writer = process(code, path, round_)
        for _ in range(20):
            acknowledged |= set(writer.stdout.readline().split())
        writer.kill()
        acknowledged |= {word for word in writer.communicate()[0].split() if len(word) == 64}
    ledger = open_ledger(path)
    stored = {each.id for batch in ledger.all_arrivals(100) for each in batch}
    assert acknowledged <= stored
    assert ledger.totals().arrivals == {ArrivalState.PENDING: len(stored)}
    assert ledger._db.all("PRAGMA integrity_check") == [("ok",)]
    ledger.close()


def test_readers_never_block_the_writer(path, ledger):
    ledger.append([arrival(number) for number in range(10)])
    reader = open_ledger(path, read_only=True)
    reading = reader.all_arrivals(3)
    next(reading)
    with raw(path) as slow:
        slow.execute("BEGIN")
        seen = slow.execute("SELECT count(*) FROM arrivals").fetchone()
        assert ledger.append([arrival(11)]) == [True]
        assert slow.execute("SELECT count(*) FROM arrivals").fetchone() == seen
        slow.execute("COMMIT")
    assert sum(map(len, reading)) == 8
    reader.close()


def test_the_wal_stays_flat_while_somebody_reads_on_and_on(path, ledger):
    body = b"x" * 20_000
    ledger.append([arrival(number, b"%d" % number + body) for number in range(100)])
    reader = open_ledger(path, read_only=True)
    reading = reader.all_arrivals(2)
    sizes = []
    for start in range(100, 3000, 50):
        group = [arrival(number, b"%d" % number + body) for number in range(start, start + 50)]
        ledger.append(group)
        next(reading)
        sizes.append(path.with_name("ledger.db-wal").stat().st_size)
    assert path.stat().st_size > 40_000_000
    assert max(sizes) < 17_000_000
    reader.close()


# --- nothing is scanned

BIG = {"arrivals", "arrival_bytes", "events", "contacts", "leads", "actions", "sends"}


def test_questions_find_their_rows_by_an_index(ledger):
    asked: list[str] = []
    connection = ledger._db._sqlite
    connection.set_trace_callback(asked.append)
    ledger.totals()
    ledger.contacts(["a@b.test"])
    ledger.events_of(["a@b.test"])
    ledger.events_of_arrivals(["a"])
    ledger.leads_of(["a@b.test"])
    ledger.open_actions(["a@b.test"])
    ledger.list_actions(ActionKind.REVIEW)
    ledger.pending(10)
    ledger.arrivals(["a"])
    ledger.settlements(["a"])
    ledger.sends_of(["a"])
    ledger.find_actions("a", 10)
    ledger.unknown_domains(["a"])
    list(ledger.suppressed_contacts(10))
    ledger.list_actions(ActionKind.REVIEW, OPEN)
    ledger.confirmations(10)
    list(ledger.events_since(NOW))
    list(ledger.all_events())
    connection.set_trace_callback(None)
    assert len(asked) > 14
    for sql in asked:
        for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {sql}"):
            verb, what = step.split()[:2]
            # A walk along an index in the order that is wanted, with a LIMIT, is no scan.
            limited = "LIMIT" in sql and "USING" in step
            assert verb != "SCAN" or what not in BIG or limited, (step, sql)


# --- SQL for people


@pytest.fixture
def told(path, ledger) -> Path:
    """A ledger with something of everything in it."""
    ledger.append([arrival(1), arrival(2)])
    ledger.settle(
        [
            Settlement(arrival(1).id, ArrivalState.DONE, Kind.FAILURE, "rfc3464", "<n1@mx.test>"),
            Settlement(
                arrival(2).id,
                ArrivalState.REVIEW,
                Kind.HUMAN,
                "mime",
                "<n2@mx.test>",
                subject="About your mail",
                note="no rule knows this text",
            ),
        ]
    )
    report = Report(
        "gone@example.org",
        DsnAction.FAILED,
        "rfc3464",
        status="5.1.1",
        reply_code=550,
        diagnostic="smtp; 550 5.1.1 no such user here",
    )
    hard = Event(
        "hard",
        Kind.FAILURE,
        "gone@example.org",
        NOW,
        NOW,
        "lmtp",
        arrival(1).id,
        report,
        Verdict(Category.USER_UNKNOWN, "code.5.1.1", "5.1.1"),
        Trust(TrustLevel.PROVEN),
        message_id="<m1@example.com>",
        campaign="spring",
    )
    block = Event(
        "block",
        Kind.FAILURE,
        "shy@example.net",
        NOW,
        NOW,
        "lmtp",
        arrival(2).id,
        Report("shy@example.net", DsnAction.FAILED, "rfc3464", diagnostic="550 you are listed"),
        Verdict(Category.BLOCKLISTED, "text.listed", "listed"),
        Trust(TrustLevel.UNCHECKED),
    )
    act = Event(
        "act", Act.CONFIRM, "gone@example.org", NOW, NOW, "operator", actor="op", reason="r"
    )
    ledger.add_events([hard, block, act])
    ledger.put_contacts(
        [
            Contact(
                "gone@example.org",
                Severity.HARD,
                2,
                NOW,
                hard_since=NOW,
                hard_event="hard",
                suppressed=frozenset({Reason.HARD}),
                evidence=(
                    Evidence(NOW, "4.2.2", "<m0@example.com>"),
                    Evidence(NOW, "5.1.1", "<m1@example.com>"),
                ),
            ),
            Contact("shy@example.net"),
        ]
    )
    ledger.put_leads(
        [
            Lead("7", "Gone@Example.org", "gone@example.org"),
            Lead("8", "fine@example.org", "fine@example.org"),
        ]
    )
    ledger.add_actions(
        [
            Action(
                "review:block",
                ActionKind.REVIEW,
                NOW,
                "shy@example.net",
                event_id="block",
                arrival_id=arrival(2).id,
            ),
            Action("smartlead:gone", ActionKind.SMARTLEAD_REMOVAL, NOW, "gone@example.org", "7"),
        ]
    )
    return path


def rows(path: Path, sql: str) -> list[tuple]:
    with raw(path) as connection:
        return connection.execute(sql).fetchall()


def test_lead_details_has_the_five_columns(told):
    with raw(told) as connection:
        cursor = connection.execute("SELECT * FROM lead_details")
        assert [name for name, *_ in cursor.description] == [
            "LEAD ID",
            "EMAIL",
            "EMAIL BOUNCE DATE",
            "EMAIL BOUNCE TYPE",
            "BOUNCE COUNT",
            "EMAIL VALID",
            "BOUNCE EVIDENCE",
        ]
        evidence = "2026-03-01:4.2.2:<m0@example.com> | 2026-03-01:5.1.1:<m1@example.com>"
        assert cursor.fetchall() == [
            ("7", "Gone@Example.org", "2026-03-01", "HARD", 2, "FALSE", evidence),
            ("8", "fine@example.org", None, None, 0, "TRUE", None),
        ]


def test_hard_bounces_says_why(told):
    found = rows(told, "SELECT address, diagnostic, rule, lead_ids, mailable FROM hard_bounces")
    sentence = "smtp; 550 5.1.1 no such user here"
    assert found == [("gone@example.org", sentence, "code.5.1.1", "7", 0)]


def test_review_has_the_sentence_and_the_arrival(told, ledger):
    sql = "SELECT key, address, diagnostic, trust, subject, note FROM review"
    assert rows(told, sql) == [
        (
            "review:block",
            "shy@example.net",
            "550 you are listed",
            "unchecked",
            "About your mail",
            "no rule knows this text",
        )
    ]
    ledger.cancel_actions(["review:block"], "seen")
    assert rows(told, sql) == []


def test_daily_by_domain_and_by_campaign_count_events(told):
    assert rows(told, "SELECT day, events, hard, soft, block FROM daily") == [
        ("2026-03-01", 2, 1, 0, 1)
    ]
    assert rows(told, "SELECT domain, events, hard, block, addresses FROM by_domain") == [
        ("example.net", 1, 0, 1, 1),
        ("example.org", 1, 1, 0, 1),
    ]
    assert rows(told, "SELECT campaign, events, hard, block FROM by_campaign") == [
        ("", 1, 0, 1),
        ("spring", 1, 1, 0),
    ]


def test_tables_and_views_say_what_they_are(told):
    found = rows(told, "SELECT name, sql FROM sqlite_master WHERE type IN ('table', 'view')")
    ours = {name: sql for name, sql in found if not name.startswith(("_", "sqlite_"))}
    assert len(ours) >= 15
    assert [name for name, sql in ours.items() if "\n  -- " not in sql and "\n-- " not in sql] == []


# README.md shows these; each with what it must print, among other things, of the ledger `told`.
QUERIES = [
    (
        "rows bouncesink.db lead_details -t",
        "2026-03-01:5.1.1:<m1@example.com>",
    ),
    (
        "rows bouncesink.db hard_bounces -c address -c category -c diagnostic -t",
        "no such user",
    ),
    (
        'query bouncesink.db "select occurred_at, kind, category, rule, trust, diagnostic, actor from events where address = :address order by occurred_at" -p address gone@example.org -t',
        "code.5.1.1",
    ),
    (
        "rows bouncesink.db review -c address -c diagnostic -c note -t",
        "no rule knows this text",
    ),
    (
        "query bouncesink.db \"select raw from arrivals join arrival_bytes using (number) where state = 'review' limit 1\" --raw",
        "Subject: 2",
    ),
    (
        "query bouncesink.db \"select domain, category, count(*) as times, max(diagnostic) as said from events where severity = 'BLOCK' group by domain, category order by times desc\" -t",
        "blocklisted",
    ),
    (
        "rows bouncesink.db daily --limit 14 -t",
        "2026-03-01",
    ),
    (
        "rows bouncesink.db by_campaign -t",
        "spring",
    ),
    (
        "query bouncesink.db \"select lead_id, address from actions where kind = 'smartlead_removal' and state = 'pending'\" --csv",
        "lead_id,address\n7,gone@example.org",
    ),
    (
        'query bouncesink.db "select address from contacts where not mailable" --csv --no-headers',
        "gone@example.org",
    ),
]


@pytest.mark.parametrize(("query", "printed"), QUERIES, ids=range(len(QUERIES)))
def test_people_ask_with_sqlite_utils(told, query, printed):
    command = [str(told) if word == "bouncesink.db" else word for word in shlex.split(query)]
    result = CliRunner().invoke(sqlite_utils_cli, command)
    assert result.exit_code == 0, result.output
    assert printed in result.output.replace("\r\n", "\n")


def test_sends_are_fed_with_sqlite_utils(told, ledger, tmp_path):
    sends = tmp_path / "sends.csv"
    sends.write_text("message_id,recipient\nm1@example.com,gone@example.org\n", encoding="utf-8")
    command = ["insert", str(told), "sends", str(sends), "--csv", "--ignore"]
    for _ in range(2):
        result = CliRunner().invoke(sqlite_utils_cli, command)
        assert result.exit_code == 0, result.output
    assert set(ledger.sends_of(["m1@example.com", "m2@example.com"])) == {"m1@example.com"}
