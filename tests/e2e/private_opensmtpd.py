"""An OpenSMTPD of our own, chrooted in a `server_root`; it reads the very file of deploy/."""

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
include "/etc/bouncesink.conf"
listen on 127.0.0.1 port {port} hostname mail.example.test
queue ttl 15s
bounce warn-interval 2s
table aliases {{ {aliases} }}
action "alias" expand-only virtual <aliases>
action "out" relay host smtp://127.0.0.1:{next_hop}
match from any for domain "alias.test" action "alias"
match from any for any action "out"
"""


class OpenSMTPD:
    def __init__(self, root: Path, sink: str, next_hop: int, aliases: dict[str, str]) -> None:
        self.port = free_port()
        self._root = root
        self._process: subprocess.Popen[bytes] | None = None
        named = ", ".join(f'"{a}@alias.test" = "{b}"' for a, b in aliases.items())
        shutil.rmtree(root / "var/spool/smtpd", ignore_errors=True)  # of the one before
        (root / "etc/smtpd.conf").write_text(
            CONFIG.format(port=self.port, next_hop=next_hop, aliases=named)
        )
        (root / "etc/smtpd.conf").chmod(0o600)
        changes = {r"example\.com": SENDER_DOMAIN.replace(".", r"\."), "127.0.0.1:8024": sink}
        (root / "etc/bouncesink.conf").write_text(recipe("opensmtpd/smtpd.conf", changes))

    def start(self) -> None:
        with (self._root / "smtpd.out").open("wb") as out:
            self._process = subprocess.Popen(
                ["chroot", self._root, "/usr/sbin/smtpd", "-d", "-v"],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        wait_until(self._listens, 20, f"smtpd does not listen: {self.log()}")

    def _listens(self) -> bool:
        return "offline scanning done" in self.log()

    def retry(self) -> None:
        """Try all that waits: it would wait for minutes."""
        subprocess.run(
            ["chroot", self._root, "/usr/sbin/smtpctl", "schedule", "all"],
            capture_output=True,
            check=True,
            timeout=20,
        )

    def stop(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def log(self) -> str:
        path = self._root / "smtpd.out"
        return path.read_text(errors="replace") if path.exists() else ""

    def left(self) -> list[str]:
        folder = self._root / "var/spool/smtpd/queue"
        return [found.name for found in folder.glob("*/*/*") if found.name != "message"]


@contextmanager
def opensmtpd(root: Path, sink: str, next_hop: int, aliases: dict[str, str]) -> Iterator[OpenSMTPD]:
    """`sink` is `HOST:PORT`, or a path as seen inside `root`."""
    made = OpenSMTPD(root, sink, next_hop, aliases)
    try:
        made.start()
        yield made
    finally:
        made.stop()
