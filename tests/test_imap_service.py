"""`bouncesink mine`, and the part of `serve` that does the same."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from commands import Run
from imap_support import PASSWORD, ImapServer, imap_server
from mails import hard
from test_service import CONFIG, serving

from bouncesink.ledger import open_ledger

MAILBOX = """\
[[mailboxes]]
address = "{address}"
imap = {{ host = "127.0.0.1:{port}", tls = "none", password_file = "{secret}" }}
"""


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[list[ImapServer]]:
    (tmp_path / "right").write_text(PASSWORD)
    (tmp_path / "wrong").write_text("not this")
    with ExitStack() as stack:
        yield [stack.enter_context(imap_server()) for _ in range(2)]


def configure(servers: list[ImapServer], *secrets: str) -> str:
    return "".join(
        MAILBOX.format(address=f"box{number}@example.com", port=server.port, secret=secret)
        for number, (server, secret) in enumerate(zip(servers, secrets, strict=True))
    )


def test_one_mailbox_that_fails_holds_up_no_other(
    run: Run, tmp_path: Path, servers: list[ImapServer]
) -> None:
    (tmp_path / "c.toml").write_text(configure(servers, "wrong", "right"))
    servers[1].boxes["INBOX"].add(hard(1))
    done = run("mine", "--config", "c.toml", "--json")
    assert done.code == 1
    assert "bouncesink: box0@example.com: " in done.err
    assert "was refused" in done.err
    first, second = done.lines
    assert first["mailbox"] == "box0@example.com"
    assert "was refused" in first["error"]
    assert second == {
        "mailbox": "box1@example.com",
        "folders": 1,
        "looked_at": 1,
        "notifications": 1,
        "new": 1,
        "problems": [],
        "error": None,
    }
    (tmp_path / "wrong").write_text(PASSWORD)
    again = run("mine", "--config", "c.toml")
    assert (again.code, again.err) == (0, "")
    assert "0 mails new in the ledger." in again.out
    assert "box1@example.com" in again.out


def test_what_was_mined_is_read_and_counts_once_whatever_the_way(
    run: Run, tmp_path: Path, servers: list[ImapServer]
) -> None:
    (tmp_path / "c.toml").write_text(configure(servers, "right", "right"))
    for server in servers:
        server.boxes["INBOX"].add(hard(1))
    assert run("mine", "--config", "c.toml").code == 0
    (tmp_path / "notice.eml").write_text(hard(1))
    assert run("replay", "--config", "c.toml", "notice.eml").code == 0
    with closing(open_ledger(tmp_path / "bouncesink.db", read_only=True)) as ledger:
        assert sum(ledger.totals().arrivals.values()) == 3
        (event,) = ledger.all_events()
    assert (event.source, event.address) == ("imap", "lead@example.org")


def test_a_source_may_be_named(run: Run, tmp_path: Path, servers: list[ImapServer]) -> None:
    (tmp_path / "c.toml").write_text(configure(servers, "right", "wrong"))
    assert run("mine", "--config", "c.toml", "--source", "Box0@example.com").code == 0
    assert servers[1].connections == 0
    refused = run("mine", "--config", "c.toml", "--source", "box7@example.com")
    assert refused.code == 2
    assert "are: box0@example.com, box1@example.com" in refused.err


def test_without_a_mailbox_it_says_how_to_have_one(run: Run) -> None:
    done = run("mine")
    assert done.code == 2
    assert "password_file" in done.err


def test_the_doctor_tries_the_logins(run: Run, tmp_path: Path, servers: list[ImapServer]) -> None:
    (tmp_path / "c.toml").write_text(configure(servers, "wrong", "right"))
    done = run("doctor", "--config", "c.toml", "--json")
    told = {each["what"]: (each["state"], each["message"]) for each in done.lines}
    assert done.code == 2
    state, message = told["box0@example.com over IMAP"]
    assert state == "fail"
    assert "was refused" in message
    assert told["box1@example.com over IMAP"] == (
        "ok",
        "1 folder to read; the server tells of new mail",
    )


def test_new_mail_wakes_the_service_and_a_mailbox_in_trouble_shows(
    tmp_path: Path, servers: list[ImapServer]
) -> None:
    ours, other = servers
    ours.boxes["INBOX"].add(hard(1))
    with serving(tmp_path, CONFIG + configure(servers, "right", "wrong")) as service:
        service.wait_for("arrival.read", source="imap", events=1)
        assert ours.idling.acquire(timeout=60)
        ours.deliver("INBOX", hard(2, 2))
        service.wait_for("arrival.read", source="imap", events=1)
        assert ours.idling.acquire(timeout=60)
        assert other.connections
        assert service.stop() == 0
    with closing(open_ledger(tmp_path / "x.db", read_only=True)) as ledger:
        (trouble,) = ledger.troubles()
    assert trouble.part == "box1@example.com over IMAP"
    assert "the login of box1@example.com was refused" in trouble.text


def test_where_there_is_no_idle_the_mailbox_is_polled(
    tmp_path: Path, servers: list[ImapServer]
) -> None:
    server = servers[0]
    server.capabilities = "IMAP4rev1 AUTH=PLAIN"
    server.boxes["INBOX"].add(hard(1))
    config = configure([server], "right").replace("tls =", "poll_every = 1, tls =")
    with serving(tmp_path, CONFIG + config) as service:
        service.wait_for("arrival.read", source="imap", events=1)
        server.deliver("INBOX", hard(2, 2))
        service.wait_for("arrival.read", source="imap", events=1)
        assert service.stop() == 0
    assert not server.count("IDLE")
