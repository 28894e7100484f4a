"""A real Postfix and a real Exim, by the lines of deploy/gate.md, ask a real service."""

import re
import smtplib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from private_postfix import Postfix, free_port, lead, wait_until
from recipes import DEPLOY, recipe
from serving import Serving, serving

pytestmark = pytest.mark.e2e

GONE = "gone@example.com"
CONFIG = """\
[ledger]
path = "{folder}/ledger.db"
[lmtp]
listen = "127.0.0.1:{lmtp}"
recipients = ["bounces@example.test"]
socket_mode = "0666"
[gate]
postfix = "{gate}"
[sheet]
path = "{folder}/leads.csv"
[log]
format = "json"
"""


class Submission:
    """The service of a Postfix that takes in our own mail."""

    def __init__(self, server: Postfix, port: int) -> None:
        self.server = server
        self._port = port

    def recipients(self, *addresses: str) -> list[tuple[int, str]]:
        """Name them in one message, and give what Postfix says of each."""
        with smtplib.SMTP("127.0.0.1", self._port, timeout=20) as smtp:
            smtp.ehlo()
            smtp.mail("sales@example.test")
            replies = [smtp.rcpt(address) for address in addresses]
        return [(code, said.decode()) for code, said in replies]


@contextmanager
def submission(sink: str, asks: str) -> Iterator[Submission]:
    """Run Postfix by the recipes of deploy/, except for ports, and that it is not chrooted."""
    port = free_port()
    settings = recipe("gate/main.cf", {"inet:127.0.0.1:8026": asks})
    service = recipe("gate/master.cf", {"submission inet n - y": f"127.0.0.1:{port} inet n - n"})
    with tempfile.TemporaryDirectory(prefix="pf-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = Postfix(folder, sink, None, settings, "postfix/main.cf")
        with (folder / "master.cf").open("a") as file:
            file.write(service)
        server.start()
        try:
            yield Submission(server, port)
        finally:
            server.stop()


@pytest.fixture(params=["inet", "unix"])
def gate(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """Where it listens, in our words and in Postfix's."""
    if request.param == "inet":
        port = free_port()
        yield f"127.0.0.1:{port}", f"inet:127.0.0.1:{port}"
        return
    with tempfile.TemporaryDirectory(prefix="gate-") as name:
        Path(name).chmod(0o755)
        yield f"unix:{name}/policy", f"unix:{name}/policy"


def suppressing(folder: Path, lmtp: int, gate: str) -> Path:
    """Give the config of a service that listens there, with GONE suppressed by hand."""
    config = folder / "bouncesink.toml"
    config.write_text(CONFIG.format(folder=folder, lmtp=lmtp, gate=gate))
    command = [sys.executable, "-m", "bouncesink", "suppress", "add", GONE]
    subprocess.run(
        [*command, "--reason", "asked by phone", "--config", str(config)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return config


def listens(service: Serving) -> None:
    wait_until(lambda: '"policy.listening"' in service.log(), 10, "the policy service is not there")


def test_a_suppressed_recipient_is_refused_from_its_bounce_on(
    tmp_path: Path, gate: tuple[str, str]
) -> None:
    lmtp = free_port()
    config = suppressing(tmp_path, lmtp, gate[0])
    with submission(f"inet:127.0.0.1:{lmtp}", gate[1]) as mail:
        with serving(config) as service:
            listens(service)
            gone, other, later = mail.recipients(GONE, "new@example.com", lead(1))
            assert (other[0], later[0]) == (250, 250)
            assert gone[0] == 550
            assert gone[1].startswith(f"5.7.1 <{GONE}>: Recipient address rejected: suppressed by")
            assert re.search(r"bouncesink \(manual since \d{4}-\d\d-\d\d\)$", gone[1])

            mail.server.mail(range(1, 2))
            blocked = "SELECT address FROM contacts WHERE mailable = 0 AND bounce_type = 'HARD'"
            wait_until(lambda: service.ask(blocked) == [(lead(1),)], 20, "the bounce did not come")
            ((code, said),) = mail.recipients(lead(1))
            assert code == 550
            assert re.search(r"\(hard since .+\); it was said: .*user unknown", said)
        assert [code for code, _ in mail.recipients(GONE, lead(1))] == [250, 250]
        with serving(config) as service:
            listens(service)
            assert [code for code, _ in mail.recipients(GONE, lead(1))] == [550, 550]


EXIM = """
primary_hostname = mail.example.test
exim_user = Debian-exim
exim_group = Debian-exim
keep_environment =
acl_smtp_rcpt = recipients
begin acl
recipients:
.include /etc/exim4/gate
  accept
"""


def test_exim_refuses_it_to_those_who_log_in(tmp_path: Path, root: Path) -> None:
    port = free_port()
    config = suppressing(tmp_path, free_port(), f"127.0.0.1:{port}")
    (root / "etc/exim4/exim4.conf").write_text(EXIM)
    acl = recipe("gate/exim-acl", {"127.0.0.1:8026": f"127.0.0.1:{port}"})
    (root / "etc/exim4/gate").write_text(acl)
    with serving(config) as service:
        listens(service)
        refused, accepted = exim_says(root, "-oMaa", "login")
        assert re.fullmatch(rf"550 5.7.1 {GONE}: suppressed by bouncesink \(manual .+\)", refused)
        assert accepted == "250 Accepted"
        assert exim_says(root) == ["250 Accepted", "250 Accepted"]
    assert exim_says(root, "-oMaa", "login") == ["250 Accepted", "250 Accepted"]


def exim_says(root: Path, *who: str) -> list[str]:
    """Speak SMTP to an Exim as somebody; give what it says of each of two recipients."""
    said = (
        "EHLO client.example\r\nMAIL FROM:<sales@example.test>\r\n"
        f"RCPT TO:<{GONE}>\r\nRCPT TO:<new@example.com>\r\nQUIT\r\n"
    )
    command = ["chroot", str(root), "/usr/sbin/exim4", *who, "-oMa", "192.0.2.1", "-bs"]
    done = subprocess.run(
        command, input=said, stdout=subprocess.PIPE, text=True, check=False, timeout=30
    )
    return [line.rstrip("\r") for line in done.stdout.splitlines()][-3:-1]


def test_the_page_shows_the_files() -> None:
    page = (DEPLOY / "gate.md").read_text()
    for path in (DEPLOY / "gate").iterdir():
        lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
        assert "\n".join(lines) in page, path.name
