"""Mining a mailbox over real IMAP: what is taken, what is left alone, and what may break."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from imap_support import GMAIL, PASSWORD, Box, ImapServer, imap_server
from mails import hard

from bouncesink.config import Config, MailboxConfig
from bouncesink.engine import Engine, utcnow
from bouncesink.errors import MailboxError
from bouncesink.intake.imap.folders import Folder, folders_to_mine
from bouncesink.intake.imap.mine import Mined, Miner
from bouncesink.ledger import ArrivalState, Ledger, open_ledger
from bouncesink.reader import ReaderPool

ADDRESS = "sales@example.com"

PRIVATE = """\
Return-Path: <friend@example.org>
From: A Friend <friend@example.org>
To: sales@example.com
Subject: Dinner on Friday
Message-ID: <dinner-{number}@example.org>

Only between us: {number}
"""


def private(number: int = 1) -> str:
    return PRIVATE.format(number=number)


class _Impatient(threading.Event):
    """Whoever waits for it waits no time at all."""

    def wait(self, timeout: float | None = None) -> bool:
        return self.is_set()


@pytest.fixture
def server() -> Iterator[ImapServer]:
    with imap_server() as server:
        yield server


@pytest.fixture
def gmail() -> Iterator[ImapServer]:
    with imap_server(GMAIL) as server:
        server.boxes = {
            "INBOX": Box(),
            "[Gmail]": Box("\\Noselect"),
            "[Gmail]/Alle Nachrichten": Box("\\All"),
            "[Gmail]/Entw&APw-rfe": Box("\\Drafts"),
            "[Gmail]/Papierkorb": Box("\\Trash"),
            "[Gmail]/Spam": Box("\\Junk"),
        }
        yield server


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(open_ledger(tmp_path / "x.db")) as ledger:
        yield ledger


@pytest.fixture(autouse=True)
def _password(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(PASSWORD + "\n")


def mailbox(server: ImapServer, tmp_path: Path, address: str = ADDRESS) -> MailboxConfig:
    return server.mailbox(address, password_file=tmp_path / "password")


def mine(
    server: ImapServer, ledger: Ledger, tmp_path: Path, days: int | None = None, **how: Any
) -> Mined:
    given = {"max_size": 1_000_000, "clock": utcnow} | how
    with closing(Miner(mailbox(server, tmp_path), ledger, **given)) as miner:
        return miner.mine(days)


def subjects(ledger: Ledger) -> list[str]:
    """The notices in the ledger, by the numbers in their Message-IDs."""
    ids = [each.raw.partition(b"Message-ID: <")[2].partition(b"@")[0] for each in stored(ledger)]
    return sorted(each.decode() for each in ids)


def stored(ledger: Ledger) -> list[Any]:
    return ledger.pending(1000)


def test_notifications_are_taken_and_the_rest_is_left_alone(
    server: ImapServer, ledger: Ledger, tmp_path: Path
) -> None:
    server.boxes["Junk"] = Box("\\Junk")
    server.boxes["INBOX"].add(hard(1))
    server.boxes["INBOX"].add(private())
    server.boxes["Junk"].add(hard(2))
    done = mine(server, ledger, tmp_path)
    assert (done.folders, done.looked_at, done.notifications, done.new) == (2, 3, 2, 2)
    assert done.problems == []
    assert subjects(ledger) == ["notice-1", "notice-2"]
    for arrival in stored(ledger):
        assert arrival.source == "imap"
        assert arrival.envelope_to == ADDRESS
        assert arrival.envelope_from == "MAILER-DAEMON@mx.example.net"
    assert server.count(r"^FETCH 1 .*BODY\.PEEK\[\]") == 2
    assert not server.count(r"^FETCH \S*2\S* .*BODY\.PEEK\[\]")
    changing = r"^(SELECT|STORE|COPY|MOVE|EXPUNGE|CLOSE|APPEND)|BODY\["
    assert not server.count(changing)


def test_a_mail_without_a_sender_is_from_the_null_path(
    server: ImapServer, ledger: Ledger, tmp_path: Path
) -> None:
    server.boxes["INBOX"].add("Return-Path: <>\n" + hard(1))
    mine(server, ledger, tmp_path)
    assert [each.envelope_from for each in stored(ledger)] == [""]


def test_of_gmail_all_mail_spam_and_trash_are_read_and_each_mail_once(
    gmail: ImapServer, ledger: Ledger, tmp_path: Path
) -> None:
    gmail.boxes["INBOX"].add(hard(1), 101)
    everything = gmail.boxes["[Gmail]/Alle Nachrichten"]
    everything.add(hard(1), 101)
    everything.add(hard(9), 102, ("sent",))
    gmail.boxes["[Gmail]/Spam"].add(hard(2), 103)
    gmail.boxes["[Gmail]/Papierkorb"].add(hard(3), 104)
    gmail.boxes["[Gmail]/Papierkorb"].add(hard(1), 101)  # moved there from all mail meanwhile
    done = mine(gmail, ledger, tmp_path)
    assert subjects(ledger) == ["notice-1", "notice-2", "notice-3"]
    assert done.notifications == 3
    opened = [each for each in gmail.commands if each.startswith("EXAMINE")]
    assert opened == [
        f'EXAMINE "[Gmail]/{name}"' for name in ("Alle Nachrichten", "Papierkorb", "Spam")
    ]


def test_gmail_without_all_mail_fetches_a_mail_under_several_labels_once(
    gmail: ImapServer, ledger: Ledger, tmp_path: Path
) -> None:
    gmail.boxes = {"INBOX": Box(), "Bounces": Box(), "Old": Box()}
    for box in gmail.boxes.values():
        box.add(hard(1), 101)
    assert mine(gmail, ledger, tmp_path).notifications == 1
    assert subjects(ledger) == ["notice-1"]


def test_gmail_that_will_not_search_its_way_is_searched_plainly(
    gmail: ImapServer, ledger: Ledger, tmp_path: Path
) -> None:
    gmail.searches_as_gmail = False
    gmail.boxes["[Gmail]/Alle Nachrichten"].add(hard(1), 101)
    gmail.boxes["[Gmail]/Alle Nachrichten"].add(private(), 102, ("sent",))
    done = mine(gmail, ledger, tmp_path)
    assert (done.looked_at, done.new, done.problems) == (2, 1, [])


def test_a_second_run_takes_nothing_and_later_mail_is_taken(
    server: ImapServer, ledger: Ledger, tmp_path: Path
) -> None:
    for number in range(1, 6):
        server.boxes["INBOX"].add(hard(number))
        server.boxes["INBOX"].add(private(number))
    assert mine(server, ledger, tmp_path).new == 5
    server.commands.clear()
    again = mine(server, ledger, tmp_path)
    assert (again.looked_at, again.new) == (0, 0)
    assert not server.count("FETCH")
    server.boxes["INBOX"].add(hard(6))
    assert mine(server, ledger, tmp_path).new == 1


def test_what_a_search_finds_late_is_taken_within_a_week(
    gmail: ImapServer, ledger: Ledger, tmp_path: Path
) -> None:
    """Gmail's index may be behind, and the cursor is past a message when it shows."""
    everything = gmail.boxes["[Gmail]/Alle Nachrichten"]
    for number, days in ((1, 5.0), (2, 12.0), (3, 0.1)):
        everything.add(hard(number), number, days=days)
        everything.messages[number].labels = ("sent",) * (number < 3)
    assert mine(gmail, ledger, tmp_path).new == 1
    everything.messages[1].labels = everything.messages[2].labels = ()
    assert mine(gmail, ledger, tmp_path).new == 1
    assert subjects(ledger) == ["notice-1", "notice-3"]


def test_the_first_run_goes_back_thirty_days_and_further_if_told(
    server: ImapServer, ledger: Ledger, tmp_path: Path
) -> None:
    for number, days in ((1, 60), (2, 25), (3, 1)):
        server.boxes["INBOX"].add(hard(number), days=days)
    assert mine(server, ledger, tmp_path).new == 2
    assert mine(server, ledger, tmp_path, days=90).new == 1
    assert mine(server, ledger, tmp_path, days=90).new == 0


def test_a_new_uidvalidity_starts_over_and_counts_nothing_twice(
    server: ImapServer, ledger: Ledger, tmp_path: Path
) -> None:
    box = server.boxes["INBOX"]
    for number in (1, 2):
        box.add(hard(number))
    assert mine(server, ledger, tmp_path).new == 2
    box.uidvalidity = 8
    box.messages = {1: box.messages[2], 2: box.messages[1]}
    box.add(hard(3))
    again = mine(server, ledger, tmp_path)
    assert (again.looked_at, again.new) == (3, 1)
    assert mine(server, ledger, tmp_path).looked_at == 0


def test_a_connection_may_break_at_any_octet(
    server: ImapServer, ledger: Ledger, tmp_path: Path
) -> None:
    for number in range(1, 4):
        server.boxes["INBOX"].add(hard(number))
        server.boxes["INBOX"].add(private(number))
    mine(server, ledger, tmp_path)
    length = server.sent
    # Each time into another mailbox's name, so that each begins anew.
    runs = range(0, length, 97)
    for cut in runs:
        server.cuts = [cut, cut]
        anew = mailbox(server, tmp_path, f"box{cut}@example.com")
        with closing(Miner(anew, ledger, 1_000_000, utcnow, _Impatient())) as miner:
            assert miner.mine().problems == []
    counts = Counter(each.envelope_to for each in ledger.pending(10**6))
    assert counts == {ADDRESS: 3} | {f"box{cut}@example.com": 3 for cut in runs}


@pytest.mark.parametrize("odd", ["no", "cut", "silent", "nil"])
def test_a_message_that_cannot_be_fetched_holds_up_no_other_and_is_tried_again(
    odd: str, server: ImapServer, ledger: Ledger, tmp_path: Path
) -> None:
    for number in range(1, 8):
        server.boxes["INBOX"].add(hard(number))
    server.odd = {4: odd}
    done = mine(server, ledger, tmp_path, stop=_Impatient())
    assert done.new == 6
    (problem,) = done.problems
    assert problem.startswith("INBOX, UID 4: ")
    again = mine(server, ledger, tmp_path, stop=_Impatient())
    assert again.new == 0
    assert again.problems[0].startswith("INBOX, UID 4: ")
    server.odd = {}
    done = mine(server, ledger, tmp_path)
    assert (done.new, done.problems) == (1, [])
    assert len(subjects(ledger)) == 7


def test_the_very_first_message_may_be_the_one_that_breaks_the_connection(
    server: ImapServer, ledger: Ledger, tmp_path: Path
) -> None:
    for number in range(1, 151):
        server.boxes["INBOX"].add(hard(number))
    server.odd = {1: "cut", 77: "cut"}
    told = Counter[str]()

    def observe(found: int, done: int) -> None:
        told.update(found=found, done=done)

    done = mine(server, ledger, tmp_path, stop=_Impatient(), observe=observe)
    assert done.new == 148
    assert told == {"found": 150, "done": 150}
    assert [each.partition(":")[0] for each in done.problems] == ["INBOX, UID 1", "INBOX, UID 77"]


def test_a_message_that_is_gone_is_no_problem(
    server: ImapServer, ledger: Ledger, tmp_path: Path
) -> None:
    for number in range(1, 4):
        server.boxes["INBOX"].add(hard(number))
    server.odd = {2: "gone"}
    done = mine(server, ledger, tmp_path)
    assert (done.new, done.problems) == (2, [])


def test_a_folder_that_may_not_be_read_holds_up_no_other(
    server: ImapServer, ledger: Ledger, tmp_path: Path
) -> None:
    server.boxes = {"Secret": Box("refused"), "INBOX": Box()}
    server.boxes["INBOX"].add(hard(1))
    done = mine(server, ledger, tmp_path)
    assert done.new == 1
    assert "Secret" in done.problems[0]
    assert "not for you" in done.problems[0]


def test_folders_of_other_people_are_left_alone(
    server: ImapServer, ledger: Ledger, tmp_path: Path
) -> None:
    for name in ("INBOX", "Others/boss", "Public/lists"):
        server.boxes[name] = Box()
        server.boxes[name].add(hard(1))
    assert mine(server, ledger, tmp_path).notifications == 1
    assert server.count("EXAMINE") == 1


def test_folders_with_odd_names_are_read(
    server: ImapServer, ledger: Ledger, tmp_path: Path
) -> None:
    names = ["INBOX", "Entw&APw-rfe", "Bad&name", 'with "quotes" and \\', "12", "caf\xe9"]
    server.boxes = {name: Box() for name in names}
    for number, name in enumerate(names):
        server.boxes[name].add(hard(number))
    done = mine(server, ledger, tmp_path)
    assert done.new == 5
    (problem,) = done.problems
    assert "is no name of a folder" in problem


def test_a_server_that_breaks_off_each_time_is_given_up(
    server: ImapServer, ledger: Ledger, tmp_path: Path
) -> None:
    server.boxes["INBOX"].add(hard(1))
    server.cuts = [200] * 50
    with pytest.raises(MailboxError, match=r"sales@example\.com at 127\.0\.0\.1"):
        mine(server, ledger, tmp_path, stop=_Impatient())
    assert server.connections == 7


def test_of_a_huge_mail_the_start_reaches_a_person(
    server: ImapServer, ledger: Ledger, tmp_path: Path
) -> None:
    server.boxes["INBOX"].add(
        "From: MAILER-DAEMON@mx.example.net\nSubject: Undelivered\nMessage-ID: <huge@x.test>\n\n"
        + "It is about nobody in particular.\n" * 4000
    )
    server.boxes["INBOX"].add(hard(2))
    assert mine(server, ledger, tmp_path, max_size=20_000).new == 2
    assert sorted(len(each.raw) for each in stored(ledger))[1] == 20_000
    config = Config()
    with ReaderPool(config.parse, None) as pool:
        Engine(ledger, config).drain(pool)
    assert ledger.totals().arrivals == {ArrivalState.DONE: 1, ArrivalState.REVIEW: 1}


@pytest.mark.parametrize("odd", ["cut", "early"])
def test_who_is_cut_off_while_waiting_connects_again(
    odd: str, server: ImapServer, ledger: Ledger, tmp_path: Path
) -> None:
    server.idles = odd
    with closing(
        Miner(mailbox(server, tmp_path), ledger, 1_000_000, utcnow, _Impatient())
    ) as miner:
        assert miner.mine().new == 0
        miner.wait(3600)
        server.boxes["INBOX"].add(hard(1))
        assert miner.mine().new == 1
        assert server.connections == 2
        server.idles = ""
        waited = threading.Thread(target=miner.wait, args=(3600,))
        waited.start()
        assert server.idling.acquire(timeout=60)
        server.deliver("INBOX", hard(2))
        waited.join(60)
        assert not waited.is_alive()


def test_news_in_the_same_packet_as_the_consent_to_idle_is_heard(
    server: ImapServer, ledger: Ledger, tmp_path: Path
) -> None:
    server.idles = "at once"
    with closing(Miner(mailbox(server, tmp_path), ledger, 1_000_000, utcnow)) as miner:
        miner.mine()
        miner.wait(3600)
    assert server.count("IDLE") == 1


def test_mail_that_came_before_the_wait_ends_it(
    server: ImapServer, ledger: Ledger, tmp_path: Path
) -> None:
    with closing(Miner(mailbox(server, tmp_path), ledger, 1_000_000, utcnow)) as miner:
        miner.mine()
        server.boxes["INBOX"].add(hard(1))
        miner.wait(3600)
        assert not server.count("IDLE")
        assert miner.mine().new == 1


def test_two_at_once_are_harmless(server: ImapServer, ledger: Ledger, tmp_path: Path) -> None:
    for number in range(1, 40):
        server.boxes["INBOX"].add(hard(number))

    def one() -> None:
        with closing(open_ledger(tmp_path / "x.db")) as mine_too:
            results.append(mine(server, mine_too, tmp_path))

    results: list[Mined] = []
    threads = [threading.Thread(target=one) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(each.new for each in results) == 39
    assert len(subjects(ledger)) == 39
    assert mine(server, ledger, tmp_path).looked_at == 0


def test_the_cursor_moves_forward_only(ledger: Ledger) -> None:
    from bouncesink.ledger import FolderCursor, MinedMessage

    now = datetime(2026, 3, 1, tzinfo=UTC)
    cursor = FolderCursor(ADDRESS, "INBOX", 7, 20, now)
    ledger.move_cursor(cursor, [MinedMessage(20, now, "1"), MinedMessage(19, now, problem="odd")])
    ledger.move_cursor(
        FolderCursor(ADDRESS, "INBOX", 7, 10), [MinedMessage(20, now, problem="late")]
    )
    assert ledger.folder_cursor(ADDRESS, "INBOX") == cursor
    assert ledger.mined_uids(cursor, [18, 19, 20]) == {20}
    assert ledger.mined_gmail_ids(ADDRESS, ["1", "2"]) == {"1"}
    assert [each.uid for each in ledger.unfetched(ADDRESS, "INBOX")] == [19]
    ledger.move_cursor(cursor, [MinedMessage(19, now)])
    assert ledger.unfetched(ADDRESS, "INBOX") == []
    assert ledger.folder_cursor(ADDRESS, "Junk") is None
    ledger.move_cursor(FolderCursor(ADDRESS, "INBOX", 8, 3))
    assert ledger.folder_cursor(ADDRESS, "INBOX") == FolderCursor(ADDRESS, "INBOX", 8, 3)
    assert ledger.mined_uids(cursor, [19, 20]) == set()


@pytest.mark.parametrize(
    ("listed", "chosen"),
    [
        (
            {"Archive": "", "inbox": "", "Sent": "\\Sent", "Drafts": "\\Drafts"},
            ["inbox", "Archive"],
        ),
        ({"INBOX": "", "All": "\\All", "Spam": "\\Junk", "Bin": "\\Trash"}, ["All", "Spam", "Bin"]),
        ({"INBOX": "", "x": "\\Noselect", "y": "\\NonExistent"}, ["INBOX"]),
        ({"INBOX": "", "Virtual": "\\All \\Junk"}, ["Virtual"]),
        ({}, []),
    ],
)
def test_which_folders_are_read(listed: dict[str, str], chosen: list[str]) -> None:
    folders = [Folder(name, frozenset(of.lower().split())) for name, of in listed.items()]
    assert folders_to_mine(folders) == chosen
