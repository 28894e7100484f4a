"""Marking and moving what was taken, where that is configured: no more than that, and in the end all."""

import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from imap_support import GMAIL, PASSWORD, PLAIN, Box, ImapServer, imap_server
from mails import hard

from bouncesink.config import load
from bouncesink.engine import utcnow
from bouncesink.errors import ConfigError, MailboxError
from bouncesink.intake.imap.mine import Mined, Miner
from bouncesink.ledger import Ledger, open_ledger

ADDRESS = "sales@example.com"
PERSON = "From: A Friend <friend@example.org>\nSubject: Dinner\nMessage-ID: <{}@x.test>\n\nSoon.\n"
ALL_MAIL = "[Gmail]/All Mail"


class _Impatient(threading.Event):
    """Whoever waits for it waits no time at all."""

    def wait(self, timeout: float | None = None) -> bool:
        return self.is_set()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    (tmp_path / "password").write_text(PASSWORD)
    with closing(open_ledger(tmp_path / "x.db")) as ledger:
        yield ledger


@pytest.fixture
def server() -> Iterator[ImapServer]:
    """With a bounce and a person's mail in three folders, some of them marked as deleted."""
    with imap_server(f"{PLAIN} MOVE UIDPLUS") as server:
        fill(server)
        yield server


def fill(server: ImapServer) -> None:
    server.boxes = {"INBOX": Box(), "Archive": Box(), "Junk": Box("\\Junk")}
    for number, box in enumerate(server.boxes.values()):
        for count in range(3):
            box.add(hard(10 * number + count))
            person = box.add(PERSON.format(10 * number + count))
            box.messages[person].flags = ("\\Deleted",) if count else ()


def mine(server: ImapServer, ledger: Ledger, tmp_path: Path, **imap: Any) -> Mined:
    mailbox = server.mailbox(ADDRESS, password_file=tmp_path / "password", **imap)
    with closing(Miner(mailbox, ledger, 1_000_000, utcnow, _Impatient())) as miner:
        return miner.mine()


def contents(server: ImapServer, folder: str) -> Counter[tuple[str, tuple[str, ...]]]:
    """The Message-IDs and flags of a folder."""
    messages = server.boxes[folder].messages.values()
    return Counter(
        (each.raw.partition(b"Message-ID: <")[2].partition(b"@")[0].decode(), each.flags)
        for each in messages
    )


def notices(*numbers: int, flags: tuple[str, ...] = ()) -> Counter[tuple[str, tuple[str, ...]]]:
    return Counter((f"notice-{number}", flags) for number in numbers)


def people(first: int) -> Counter[tuple[str, tuple[str, ...]]]:
    deleted = ("\\Deleted",)
    return Counter([(str(first), ()), (str(first + 1), deleted), (str(first + 2), deleted)])


def in_ledger(ledger: Ledger) -> int:
    return len(ledger.pending(1000))


def test_only_notifications_are_marked_as_read_in_whatever_folder(
    server: ImapServer, ledger: Ledger, tmp_path: Path
) -> None:
    done = mine(server, ledger, tmp_path, mark_read=True)
    assert (done.new, done.problems) == (9, [])
    for first, folder in ((0, "INBOX"), (10, "Archive"), (20, "Junk")):
        seen = notices(first, first + 1, first + 2, flags=("\\Seen",))
        assert contents(server, folder) == seen + people(first)
    server.commands.clear()
    assert mine(server, ledger, tmp_path, mark_read=True).looked_at == 0
    assert not server.count("STORE|SELECT")


@pytest.mark.parametrize("way", ["MOVE UIDPLUS", "MOVE", "UIDPLUS"])
def test_out_of_the_inbox_and_only_there_they_are_moved(
    way: str, server: ImapServer, ledger: Ledger, tmp_path: Path
) -> None:
    server.capabilities = f"{PLAIN} {way}"
    done = mine(server, ledger, tmp_path, move_to="Rückläufer")
    assert (done.new, done.problems) == (9, [])
    assert contents(server, "INBOX") == people(0)
    assert contents(server, "Archive") == notices(10, 11, 12) + people(10)
    moved = "R&APw-ckl&AOQ-ufer"
    assert {each for each, _ in contents(server, moved)} == {"notice-0", "notice-1", "notice-2"}
    assert server.count("^EXPUNGE") == (way == "UIDPLUS")
    for _ in range(2):
        assert mine(server, ledger, tmp_path, move_to="Rückläufer").new == 0
    assert len(server.boxes[moved].messages) == 3
    assert in_ledger(ledger) == 9


def test_both_at_once(server: ImapServer, ledger: Ledger, tmp_path: Path) -> None:
    server.boxes["Bounces"] = Box()
    server.boxes["Bounces"].add(hard(99))  # a filter's work, to be read as well
    assert mine(server, ledger, tmp_path, mark_read=True, move_to="Bounces").new == 10
    assert contents(server, "Bounces") == notices(99, 0, 1, 2, flags=("\\Seen",))
    assert not server.count("CREATE")


def test_who_can_neither_move_nor_expunge_by_uid_says_so_and_touches_nothing(
    server: ImapServer, ledger: Ledger, tmp_path: Path
) -> None:
    server.capabilities = PLAIN
    before = contents(server, "INBOX")
    done = mine(server, ledger, tmp_path, move_to="Bounces")
    assert done.new == 9
    assert len(done.problems) == 1
    assert "neither MOVE nor UIDPLUS" in done.problems[0]
    assert contents(server, "INBOX") == before
    assert not server.count("COPY|STORE|EXPUNGE")


@pytest.mark.parametrize("refused", ["SELECT", "STORE", "MOVE", "CREATE"])
def test_what_the_server_refuses_is_trouble_and_made_up_for_later(
    refused: str, server: ImapServer, ledger: Ledger, tmp_path: Path
) -> None:
    how = {"mark_read": True, "move_to": "Bounces"}
    server.refuses = {refused: "NO [OVERQUOTA] no room"}
    for new in (9, 0):
        done = mine(server, ledger, tmp_path, **how)
        assert done.new == new
        assert "INBOX: what was taken is left as it was: " in done.problems[0]
        assert "no room" in done.problems[0]
        server.boxes["INBOX"].add(PERSON.format("late"))
    server.refuses = {}
    assert mine(server, ledger, tmp_path, **how).problems == []
    assert contents(server, "Bounces") == notices(0, 1, 2, flags=("\\Seen",))
    late = Counter({("late", ()): 2})
    assert contents(server, "INBOX") == people(0) + late
    assert contents(server, "Junk") == notices(20, 21, 22, flags=("\\Seen",)) + people(20)


@pytest.mark.parametrize("age", [1, 25])
def test_whoever_is_gone_between_the_commit_and_the_move_moves_later(
    age: float, server: ImapServer, ledger: Ledger, tmp_path: Path
) -> None:
    """As after a kill: the server breaks off until it is given up. Also of what is old."""
    for message in server.boxes["INBOX"].messages.values():
        message.received_at = datetime.now(UTC) - timedelta(days=age)
    server.refuses = {"SELECT": "cut"}
    with pytest.raises(MailboxError):
        mine(server, ledger, tmp_path, move_to="Bounces")
    assert in_ledger(ledger) == 9
    assert "Bounces" not in server.boxes
    server.refuses = {}
    done = mine(server, ledger, tmp_path, move_to="Bounces")
    assert (done.new, done.problems) == (0, [])
    assert contents(server, "Bounces") == notices(0, 1, 2)
    assert contents(server, "INBOX") == people(0)


def test_what_could_not_be_fetched_is_moved_when_it_could(
    server: ImapServer, ledger: Ledger, tmp_path: Path
) -> None:
    server.boxes = {"INBOX": server.boxes["INBOX"]}
    server.odd = {3: "nil"}
    done = mine(server, ledger, tmp_path, move_to="Bounces")
    assert (done.new, len(done.problems)) == (2, 1)
    assert contents(server, "INBOX") == people(0) + notices(1)
    server.odd = {}
    done = mine(server, ledger, tmp_path, move_to="Bounces")
    assert (done.new, done.problems) == (1, [])
    assert contents(server, "INBOX") == people(0)
    assert contents(server, "Bounces") == notices(0, 1, 2)


def test_a_move_that_was_done_and_not_heard_of_is_harmless_when_done_again(
    server: ImapServer, ledger: Ledger, tmp_path: Path
) -> None:
    server.refuses = {"MOVE": "cut"}
    with pytest.raises(MailboxError):
        mine(server, ledger, tmp_path, move_to="Bounces")
    server.refuses = {}
    done = mine(server, ledger, tmp_path, move_to="Bounces")
    assert (done.new, done.problems) == (0, [])
    assert contents(server, "Bounces") == notices(0, 1, 2)
    assert in_ledger(ledger) == 9


@pytest.mark.parametrize("way", ["MOVE", "UIDPLUS"])
def test_cut_anywhere_each_is_once_in_the_ledger_and_in_the_end_all_are_moved(
    way: str, server: ImapServer, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text(PASSWORD)
    server.capabilities = f"{PLAIN} {way}"
    how = {"mark_read": True, "move_to": "Bounces"}
    with closing(open_ledger(tmp_path / "whole.db")) as ledger:
        mine(server, ledger, tmp_path, **how)
    length = server.sent
    chance = random.Random(7)
    tries = [[cut] for cut in range(length - 1500, length, 67)]  # where it marks and moves
    tries += [[chance.randrange(200, 6000) for _ in range(5)] for _ in range(8)]
    for number, cuts in enumerate(tries):
        fill(server)
        server.cuts = list(cuts)
        with closing(open_ledger(tmp_path / f"{number}.db")) as ledger:
            for _ in range(2):
                done = mine(server, ledger, tmp_path, **how)
            assert done.problems == []
            assert in_ledger(ledger) == 9
        assert contents(server, "INBOX") == people(0)
        seen = notices(0, 1, 2, flags=("\\Seen",))
        # Copied, and cut off before it could be deleted: it is copied once more.
        assert set(contents(server, "Bounces")) == set(seen)
        assert way == "UIDPLUS" or contents(server, "Bounces") == seen


def test_a_folder_that_was_made_anew_is_left_alone_until_it_is_read(
    server: ImapServer, ledger: Ledger, tmp_path: Path
) -> None:
    server.refuses = {"SELECT": "NO not now"}
    mine(server, ledger, tmp_path, move_to="Bounces")
    server.refuses = {}
    box = server.boxes["INBOX"]
    box.uidvalidity = 8
    # Under the UIDs that were bounces' there are people's mails now, and the other way round.
    first = dict(box.messages)
    box.messages = dict(zip(first, list(first.values())[::-1], strict=True))
    server.refuses = {"EXAMINE": "NO not now"}  # so it is not noticed in reading
    assert mine(server, ledger, tmp_path, move_to="Bounces").folders == 0
    assert not server.count("MOVE")
    server.refuses = {}
    assert mine(server, ledger, tmp_path, move_to="Bounces").new == 0
    assert contents(server, "INBOX") == people(0)
    assert contents(server, "Bounces") == notices(0, 1, 2)


def test_what_is_owed_when_it_is_configured_no_more_stays(
    server: ImapServer, ledger: Ledger, tmp_path: Path
) -> None:
    server.refuses = {"SELECT": "NO not now"}
    mine(server, ledger, tmp_path, move_to="Bounces")
    server.refuses = {}
    server.commands.clear()
    assert mine(server, ledger, tmp_path).problems == []
    assert not server.count("SELECT|CREATE|MOVE")


def test_gmail_gives_another_label_in_place_of_the_inbox(ledger: Ledger, tmp_path: Path) -> None:
    with imap_server(f"{GMAIL} MOVE UIDPLUS") as gmail:
        gmail.boxes = {"INBOX": Box(), ALL_MAIL: Box("\\All"), "Spam": Box("\\Junk")}
        everything = gmail.boxes[ALL_MAIL]
        everything.add(hard(1), 101, ("\\Inbox", "mine"))
        everything.add(PERSON.format(1), 102, ("\\Inbox",))
        gmail.boxes["Spam"].add(hard(2), 103)
        done = mine(gmail, ledger, tmp_path, move_to="Bounces", mark_read=True)
        assert (done.new, done.problems) == (2, [])
        assert set(everything.messages[1].labels) == {"Bounces", "mine"}
        assert everything.messages[1].flags == ("\\Seen",)
        assert everything.messages[2].labels == ("\\Inbox",)
        assert everything.messages[2].flags == ()
        assert gmail.boxes["Spam"].messages[1].labels == ()
        assert gmail.boxes["Spam"].messages[1].flags == ("\\Seen",)
        assert gmail.count("CREATE") == 1
        assert not gmail.count("^(MOVE|COPY|EXPUNGE)")


def test_where_all_mail_is_one_folder_and_no_gmail_nothing_is_moved(
    server: ImapServer, ledger: Ledger, tmp_path: Path
) -> None:
    server.boxes["Virtual"] = Box("\\All")
    server.boxes["Virtual"].add(hard(1))
    done = mine(server, ledger, tmp_path, move_to="Bounces")
    assert "nothing is moved out of Virtual, only of INBOX" in done.problems[0]
    assert not server.count("^(MOVE|COPY|EXPUNGE)")


@pytest.mark.parametrize("folder", ["INBOX", "inbox", "a*", "%", "a\\nb"])
def test_what_is_no_folder_to_move_to(folder: str, tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text(
        '[[mailboxes]]\naddress = "a@example.com"\nimap = { host = "imap.example.com", '
        f'password_file = "p", move_to = "{folder}" }}\n'
    )
    with pytest.raises(ConfigError, match=r"move_to.*no folder to move to"):
        load(path)
