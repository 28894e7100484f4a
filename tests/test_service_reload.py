"""SIGHUP: another config while mail is on its way."""

import http.client
import smtplib
import socket
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

from mails import hard
from test_service import CONFIG, Service, serving

from bouncesink.ledger import open_ledger

OTHER = CONFIG.replace('["bounces@example.com"]', '["bounces@example.com", "other@example.com"]')
assert OTHER != CONFIG


def say(stream: BinaryIO, *lines: str) -> str:
    """Say these lines; give the last line of the reply."""
    stream.write("".join(f"{line}\r\n" for line in lines).encode())
    stream.flush()
    while (reply := stream.readline().decode())[3:4] == "-":
        pass
    return reply


def troubles(folder: Path) -> dict[str, str]:
    with closing(open_ledger(folder / "x.db", read_only=True)) as ledger:
        return {each.part: each.text for each in ledger.troubles()}


def verdict(service: Service, number: int) -> tuple[str, ...]:
    service.send(hard(number, number))
    return tuple(service.wait_for("arrival.read")["verdicts"])


def test_a_connection_in_the_middle_of_a_message_is_kept(tmp_path: Path) -> None:
    with (
        serving(tmp_path) as service,
        socket.create_connection(("127.0.0.1", service.port), 20) as peer,
        peer.makefile("rwb") as stream,
    ):
        assert stream.readline().startswith(b"220 ")
        say(stream, "LHLO peer.example.net")
        assert say(stream, "MAIL FROM:<>").startswith("250 ")
        assert say(stream, "RCPT TO:<other@example.com>").startswith("550 ")
        assert say(stream, "RCPT TO:<bounces@example.com>").startswith("250 ")
        assert say(stream, "DATA").startswith("354 ")
        head, middle, rest = hard().partition("It could not")
        stream.write(head.replace("\n", "\r\n").encode())
        stream.flush()
        service.reload(OTHER)
        service.wait_for("config.reloaded")
        assert say(stream, *(middle + rest).splitlines(), ".").startswith("250 2.0.0 Stored")
        service.wait_for("arrival.read", events=1)
        # Whom mail may be for is known anew, also to those who were connected before.
        assert say(stream, "MAIL FROM:<>").startswith("250 ")
        assert say(stream, "RCPT TO:<other@example.com>").startswith("250 ")
        peer.shutdown(socket.SHUT_WR)
        assert service.stop() == 0


def test_a_wrong_config_is_refused_and_what_only_a_start_reads_is_named(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        wrong = OTHER.replace("[sheet]", "[shet]")
        service.reload(wrong)
        refused = service.wait_for("config.refused")
        assert "c.toml" in refused["error"]
        assert "did you mean sheet?" in refused["error"]
        service.reload(OTHER + '[classify]\nrules = "none.toml"\n')
        refused = service.wait_for("config.refused")
        assert "none.toml" in refused["error"]
        service.reload(CONFIG.replace('recipients = ["bounces@example.com"]', ""))
        assert "no recipient" in service.wait_for("config.refused")["error"]
        assert troubles(tmp_path)["config"].startswith("the old config stays in use: no recipient")
        with smtplib.LMTP("127.0.0.1", service.port) as peer:
            peer.ehlo_or_helo_if_needed()
            peer.mail("")
            assert peer.rcpt("other@example.com")[0] == 550
            assert peer.rcpt("bounces@example.com")[0] == 250
        service.reload(OTHER.replace("x.db", "y.db").replace(':0"', ':1"'))
        assert service.wait_for("config.needs_restart")["keys"] == ["ledger.path", "lmtp.listen"]
        service.wait_for("config.reloaded")
        assert troubles(tmp_path) == {}
        with smtplib.LMTP("127.0.0.1", service.port) as peer:
            peer.ehlo_or_helo_if_needed()
            peer.mail("")
            assert peer.rcpt("other@example.com")[0] == 250
        assert service.stop() == 0
    assert not (tmp_path / "y.db").exists()


RULES = """
[[rule]]
id = "our-own"
category = "mailbox_full"
source = "a test"
text = ['user unknown']
examples = ["550 5.1.1 User unknown"]
"""


def test_rules_are_taken_up_and_chores_come_and_go(tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text(RULES)
    (tmp_path / "lead_details.csv").write_text("LEAD ID,NAME\n1,x\n")
    with serving(tmp_path) as service:
        assert verdict(service, 1) != ("SOFT:our-own",)
        service.wait_for("chore.failed", chore="sheet")  # said before it is kept, the first time
        service.wait_for("chore.failed", chore="sheet")
        assert "sheet" in troubles(tmp_path)
        other = CONFIG.replace("flush_every = 0.2", "flush_every = 0")
        service.reload(other + '[classify]\nrules = "rules.toml"\n')
        service.wait_for("config.reloaded", still_ending=[])
        assert verdict(service, 2) == ("SOFT:our-own",)
        assert troubles(tmp_path) == {}  # who is gone leaves none behind
        assert service.stop() == 0


def test_what_answers_over_http_is_changed_behind_its_socket(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("")
    (tmp_path / "wrong").write_text("a token without a hash")
    web = CONFIG + '[web]\nlisten = "127.0.0.1:0"\n'
    with serving(tmp_path, web) as service:
        host = service.wait_for("web.listening")["on"]

        def asked() -> int:
            with closing(http.client.HTTPConnection(host, timeout=60)) as client:
                client.request("GET", "/v1/addresses/lead@example.org")
                return client.getresponse().status

        assert asked() == 200
        service.reload(web + 'tokens = "tokens"\n')
        service.wait_for("config.reloaded")
        assert asked() == 401
        service.reload(web + 'tokens = "wrong"\n')
        assert "NAME:sha256:HEX" in service.wait_for("config.refused")["error"]
        assert asked() == 401
        service.reload(web)
        service.wait_for("config.reloaded")
        assert asked() == 200
        assert service.stop() == 0
