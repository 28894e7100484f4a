"""Listening sockets: TCP, unix, and those that systemd passes (sd_listen_fds(3))."""

import errno
import os
import socket
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bouncesink.errors import BouncesinkError, ConfigError

FIRST_PASSED = 3
"""SD_LISTEN_FDS_START of sd_listen_fds(3)."""

WEB = "web"
"""The name of a passed socket that is for HTTP: FileDescriptorName= of systemd.socket(5).

The others are for LMTP: `lmtp`, `lmtp-unix`, or however else they are called.
"""

NO_SUCH_ADDRESS = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}


@dataclass(frozen=True, slots=True)
class Listener:
    """A bound socket, its name as `listen` has it, and the file to remove with it."""

    socket: socket.socket
    name: str
    path: Path | None = None

    def close(self) -> None:
        self.socket.close()
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def open_listeners(
    listen: Sequence[str],
    socket_mode: int,
    environ: Mapping[str, str] = os.environ,
    *,
    web: bool = False,
) -> list[Listener]:
    """Take the sockets that were passed to this process, or else bind those of `listen`.

    `socket_mode` is for unix sockets; `web` tells whether it is for HTTP or for LMTP. Raises
    BouncesinkError, and then none is left bound.
    """
    if passed := _passed(environ, web=web):
        return passed
    if not listen:
        what = "web.listen" if web else "lmtp.listen"
        raise ConfigError(f"{what} is empty, and systemd passed no socket: nothing could come in")
    made: list[Listener] = []
    try:
        for each in listen:
            if each.startswith("unix:"):
                made.append(_unix(Path(each.removeprefix("unix:")), socket_mode))
            else:
                made.extend(_tcp(each))
    except BouncesinkError:
        for listener in made:
            listener.close()
        raise
    return made


def passed_names(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Give the name of each socket that was passed to this process (sd_listen_fds_with_names(3)).

    Raises BouncesinkError.
    """
    if environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = environ.get("LISTEN_FDS", "")
    if not count.isdecimal():
        raise BouncesinkError(f"LISTEN_FDS={count!r}: a number of sockets is wanted")
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    return [names[at] if at < len(names) else "" for at in range(int(count))]


def _passed(environ: Mapping[str, str], *, web: bool) -> list[Listener]:
    made = []
    for number, name in enumerate(passed_names(environ), FIRST_PASSED):
        if (name == WEB) != web:
            continue
        what = f"LISTEN_FDS: file descriptor {number} ({name or 'without a name'})"
        try:
            taken = socket.socket(fileno=number)
        except OSError as error:
            raise BouncesinkError(f"{what} is no socket: {error.strerror}") from None
        if taken.type != socket.SOCK_STREAM:
            raise BouncesinkError(
                f"{what} is no stream socket; a systemd socket unit needs ListenStream="
            )
        taken.set_inheritable(False)
        made.append(Listener(taken, _name(taken)))
    return made


def _name(bound: socket.socket) -> str:
    address = bound.getsockname()
    if bound.family == socket.AF_UNIX:
        return f"unix:{address}"
    host = f"[{address[0]}]" if bound.family == socket.AF_INET6 else address[0]
    return f"{host}:{address[1]}"


def _tcp(listen: str) -> list[Listener]:
    """Bind every address of the host; one that this machine lacks only matters if all do."""
    host, _, port = listen.rpartition(":")
    if int(port) > 65535:
        raise BouncesinkError(f"{listen}: there is no port {port}; 65535 is the last")
    try:
        found = socket.getaddrinfo(
            host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise BouncesinkError(f"{listen}: no such host: {error.strerror}") from None
    made: list[Listener] = []
    lacking: OSError | None = None
    for family, *_, address in dict.fromkeys(found):
        try:
            made.append(_bound(family, address))
        except OSError as error:
            if error.errno in NO_SUCH_ADDRESS:
                lacking = error
                continue
            for listener in made:
                listener.close()
            raise _refusal(listen, error) from None
    if lacking is not None and not made:
        raise _refusal(listen, lacking)
    return made


def _bound(family: int, address: tuple[object, ...]) -> Listener:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
        # Now, not when it is served: with SO_REUSEADDR only this fails on a port in use.
        made.listen()
    except OSError:
        made.close()
        raise
    return Listener(made, _name(made))


def _unix(path: Path, mode: int) -> Listener:
    name = f"unix:{path}"
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        made.bind(str(path))
        # Nobody can connect before listen(), so nobody comes in under the wrong mode.
        path.chmod(mode)
        made.listen()
    except OSError as error:
        made.close()
        raise _refusal(name, error) from None
    return Listener(made, name, path)


def _remove_stale(path: Path) -> None:
    """Remove a socket that nobody listens on; raise EADDRINUSE if somebody does."""
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise FileExistsError(errno.EEXIST, "there is a file in its place")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()
                return
        raise OSError(errno.EADDRINUSE, "address in use")


def _refusal(name: str, error: OSError) -> BouncesinkError:
    why = {
        errno.EADDRINUSE: "address in use: another process listens there."
        " Stop it, or choose another `listen` in the config",
        errno.EACCES: "no permission to listen there; ports below 1024 and the folder of a"
        " unix socket may need root, or a socket passed by systemd",
        errno.EADDRNOTAVAIL: "this machine has no such address",
        errno.ENOENT: "its folder does not exist; make it, or choose another path",
    }
    text = str(error)
    if "too long" in text:
        return BouncesinkError(f"{name}: the path is too long; a unix socket may have 107 octets")
    return BouncesinkError(f"{name}: {why.get(error.errno or 0, error.strerror or text)}")
