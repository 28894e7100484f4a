"""Mail servers from Debian's packages beside the installed one, with which they conflict.

The packages and the libraries they need are unpacked into a folder, and the servers run chrooted
there: their config, spool, users and sockets are all inside. Nothing is installed. As root only.
"""

import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PACKAGES = ("exim4-base", "exim4-daemon-light", "opensmtpd")
# OpenSMTPD runs its delivery agents by a shell.
_ALSO = ("dash",)
_LIBRARY = re.compile(r"(?:Pre)?Depends: ((?:lib|zlib)\S+)")
_USERS = ("Debian-exim", "opensmtpd", "opensmtpq", "nobody")
_FIRST_UID = 64501


@contextmanager
def server_root() -> Iterator[Path]:
    """Give a folder in which the servers of PACKAGES are ready to be started."""
    # Short, for the paths of unix sockets; and the servers' users, who are not root, must get in.
    root = Path(tempfile.mkdtemp(prefix="mta-"))
    root.chmod(0o755)
    try:
        _unpack(root)
        _furnish(root)
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _unpack(root: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="debs-") as name:
        folder = Path(name)
        folder.chmod(0o777)  # apt downloads as a user of its own
        _run("apt-get", "-qq", "download", *_with_libraries(), folder=folder)
        for package in sorted(folder.glob("*.deb")):
            _run("dpkg", "-x", package, root)


def _with_libraries() -> list[str]:
    known = {*PACKAGES, *_ALSO}
    new = known
    while new:
        options = ("--important", "--no-conflicts", "--no-breaks", "--no-replaces")
        new = {*_LIBRARY.findall(_run("apt-cache", "depends", *options, *sorted(new)))} - known
        known |= new
    return sorted(known)


def _furnish(root: Path) -> None:
    for folder in ("dev", "etc/exim4", "run/bouncesink", "tmp", "var/log/exim4", "var/spool/exim4"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "run/bouncesink").chmod(0o755)
    if not (root / "var/run").exists():
        (root / "var/run").symlink_to("../run")
    os.mknod(root / "dev/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    (root / "dev/null").chmod(0o666)
    users = {"root": 0, **{name: _FIRST_UID + number for number, name in enumerate(_USERS)}}
    (root / "etc/passwd").write_text(
        "".join(f"{name}:x:{uid}:{uid}::/nonexistent:/bin/false\n" for name, uid in users.items())
    )
    (root / "etc/group").write_text("".join(f"{name}:x:{uid}:\n" for name, uid in users.items()))
    (root / "etc/nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost mail.example.test\n")
    for folder in ("var/log/exim4", "var/spool/exim4"):
        os.chown(root / folder, users["Debian-exim"], users["Debian-exim"])
    # What its package's script would do: smtpctl tells the queue what to do by its group.
    os.chown(root / "usr/sbin/smtpctl", 0, users["opensmtpq"])
    (root / "usr/sbin/smtpctl").chmod(0o2755)


def _run(*command: str | Path, folder: Path | None = None) -> str:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, f"{command}: {done.stderr[-2000:]}"
    return done.stdout
