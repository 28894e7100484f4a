"""Telling systemd how we are (sd_notify(3)); nobody is told where nobody asked."""

import os
import socket
import time
from collections.abc import Mapping

import structlog

PATIENCE = 1.0
"""Seconds that a word may take: systemd's queue may be full, and mail must not wait for that."""

log = structlog.get_logger(__name__)


class Notifier:
    """`watchdog` is after how many seconds without `feed` systemd starts us anew; None is never."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        if self._address.startswith("@"):  # an abstract socket, see unix(7)
            self._address = f"\0{self._address[1:]}"
        usec = environ.get("WATCHDOG_USEC", "")
        ours = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self.watchdog = int(usec) / 1e6 if ours and usec.isdecimal() and int(usec) else None

    def ready(self, status: str) -> None:
        self._tell("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """Say that a reload begins; it ends with `ready`."""
        usec = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._tell("RELOADING=1", f"MONOTONIC_USEC={usec}", "STATUS=Reading the config again")

    def status(self, text: str) -> None:
        self._tell(f"STATUS={text}")

    def stopping(self) -> None:
        self._tell("STOPPING=1", "STATUS=Stopping")

    def feed(self) -> None:
        """Tell the watchdog that all is well."""
        self._tell("WATCHDOG=1")

    def _tell(self, *assignments: str) -> None:
        if not self._address:
            return
        # A value ends with its line, so it must not bring lines of its own.
        text = "\n".join(" ".join(each.splitlines()) for each in assignments)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as peer:
                peer.settimeout(PATIENCE)
                peer.connect(self._address)
                peer.send(text.encode("utf-8", "replace"))
        except OSError as error:
            log.warning("notify.failed", error=str(error))
