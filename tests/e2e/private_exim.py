"""An Exim of our own, chrooted in a `server_root`; it reads the very files of deploy/exim/."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from private_postfix import SENDER_DOMAIN, free_port, wait_until
from recipes import recipe

CONFIG = """
primary_hostname = mail.example.test
exim_user = Debian-exim
exim_group = Debian-exim
keep_environment =
local_interfaces = <; 127.0.0.1
daemon_smtp_ports = {port}
host_lookup =
rfc1413_query_timeout = 0s
smtputf8_advertise_hosts = *
tls_advertise_hosts =
acl_smtp_rcpt = accept
acl_smtp_data = accept
delay_warning = 2s
delay_warning_condition = yes
queue_run_in_order = false

begin routers
.include /etc/exim4/bouncesink.router
alias:
  driver = redirect
  domains = alias.test
  data = ${{lookup{{$local_part}}lsearch{{/etc/exim4/aliases}}}}
out:
  driver = manualroute
  domains = ! example.test
  route_list = * 127.0.0.1 byname
  self = send
  transport = out

begin transports
.include /etc/exim4/bouncesink.transport
out:
  driver = smtp
  port = {next_hop}
  allow_localhost
  hosts_avoid_tls = *

begin retry
* * F,15s,1s

begin authenticators
"""


class Exim:
    def __init__(self, root: Path, sink: str, next_hop: int, aliases: dict[str, str]) -> None:
        self.port = free_port()
        self._root = root
        self._process: subprocess.Popen[bytes] | None = None
        for old in [*root.glob("var/spool/exim4/*/*"), *root.glob("var/log/exim4/*")]:
            shutil.rmtree(old) if old.is_dir() else old.unlink()
        folder = root / "etc/exim4"
        (folder / "exim4.conf").write_text(CONFIG.format(port=self.port, next_hop=next_hop))
        (folder / "aliases").write_text("".join(f"{a}: {b}\n" for a, b in aliases.items()))
        (folder / "bouncesink.router").write_text(
            recipe("exim/router", {"example.com": SENDER_DOMAIN})
        )
        (folder / "bouncesink.transport").write_text(_transport(sink))

    def start(self) -> None:
        with (self._root / "exim.out").open("wb") as out:
            self._process = subprocess.Popen(
                ["chroot", self._root, "/usr/sbin/exim4", "-bdf", "-q1s"],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        wait_until(self._listens, 20, f"exim does not listen: {self.log()}")

    def _listens(self) -> bool:
        return "listening for SMTP" in self.log()

    def retry(self) -> None:
        """Try all that waits, also what is frozen."""
        subprocess.run(
            ["chroot", self._root, "/usr/sbin/exim4", "-qff"],
            capture_output=True,
            check=True,
            timeout=60,
        )

    def stop(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def log(self) -> str:
        files = [self._root / "exim.out", *self._root.glob("var/log/exim4/*")]
        return "\n".join(f.read_text(errors="replace") for f in files if f.exists())

    def left(self) -> list[str]:
        return [found.name for found in self._root.glob("var/spool/exim4/input/**/*-H")]


def _transport(sink: str) -> str:
    kind, _, where = sink.partition(":")
    if kind == "unix":
        return recipe("exim/transport-socket", {"/run/bouncesink/lmtp.sock": where})
    host, _, port = where.rpartition(":")
    return recipe("exim/transport-tcp", {"127.0.0.1": host, "8024": port})


@contextmanager
def exim(root: Path, sink: str, next_hop: int, aliases: dict[str, str]) -> Iterator[Exim]:
    """`sink` is `inet:HOST:PORT`, or `unix:PATH` as seen inside `root`."""
    made = Exim(root, sink, next_hop, aliases)
    try:
        made.start()
        yield made
    finally:
        made.stop()
