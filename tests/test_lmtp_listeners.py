"""Where it listens, and what a person is told when it cannot."""

import os
import re
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from lmtp_support import sink

from bouncesink.errors import BouncesinkError
from bouncesink.intake.listeners import open_listeners

CONTENT = b"Subject: a bounce\r\n\r\nuser unknown\r\n"


def refusal(*listen: str) -> str:
    with pytest.raises(BouncesinkError) as refused:
        open_listeners(listen, 0o660, {})
    return str(refused.value)


async def test_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "lmtp.sock"
    async with sink(tmp_path, listen=(f"unix:{path}",), socket_mode="0620") as it:
        assert stat.S_IMODE(path.stat().st_mode) == 0o620
        assert it.server.names == [f"unix:{path}"]
        async with it.peer() as peer:
            assert (await peer.deliver(CONTENT))[0].startswith("250 ")
        assert refusal(f"unix:{path}").startswith(f"unix:{path}: address in use")
        assert path.exists()
    assert not path.exists()


async def test_several_at_once(tmp_path: Path) -> None:
    listen = ("127.0.0.1:0", "[::1]:0", f"unix:{tmp_path}/lmtp.sock")
    async with sink(tmp_path, listen=listen) as it:
        patterns = (r"127\.0\.0\.1:[1-9]\d*", r"\[::1\]:[1-9]\d*", r"unix:.*/lmtp\.sock")
        for name, pattern in zip(it.server.names, patterns, strict=True):
            assert re.fullmatch(pattern, name)


def test_a_socket_that_nobody_listens_on_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "lmtp.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    (listener,) = open_listeners([f"unix:{path}"], 0o660, {})
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(str(path))
    listener.close()
    assert not path.exists()


def test_a_file_in_the_way_stays(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("text")
    assert refusal(f"unix:{path}") == f"unix:{path}: there is a file in its place"
    assert path.read_text() == "text"


def test_refusals_say_what_to_do(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        name = f"127.0.0.1:{taken.getsockname()[1]}"
        # What had been bound before is free again: it can be bound in the next round.
        for _ in range(2):
            assert refusal(f"unix:{tmp_path}/lmtp.sock", name) == (
                f"{name}: address in use: another process listens there."
                " Stop it, or choose another `listen` in the config"
            )
    assert "65535 is the last" in refusal("127.0.0.1:70000")
    assert "no such address" in refusal("192.0.2.1:8024")
    assert "no such host" in refusal("not a host:8024")
    assert "folder does not exist" in refusal(f"unix:{tmp_path}/none/lmtp.sock")
    assert "107 octets" in refusal(f"unix:{tmp_path}/{'x' * 107}")


PASSED = """
import asyncio, os, sys
from bouncesink.config import Config, LmtpConfig
from bouncesink.intake.lmtp import LmtpServer

os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")

async def serve():
    # Nothing of `listen` is bound: this could not be.
    config = LmtpConfig(listen=("192.0.2.1:8024",), recipients=("bounces@example.org",))
    server = LmtpServer(Config(lmtp=config), lambda _: asyncio.sleep(0))
    await server.start()
    print(*server.names, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.stop()

asyncio.run(serve())
"""


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX], ids=str)
def test_a_socket_that_systemd_passes(family: socket.AddressFamily, tmp_path: Path) -> None:
    path = tmp_path / "lmtp.sock"
    with socket.socket(family) as passed:
        passed.bind(str(path) if family == socket.AF_UNIX else ("127.0.0.1", 0))
        passed.listen()
        process = subprocess.Popen(
            [sys.executable, "-c", PASSED, str(passed.fileno())],
            pass_fds=[passed.fileno()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        address = passed.getsockname()
        with socket.socket(family) as peer:
            peer.settimeout(60)
            peer.connect(address)
            assert peer.recv(4) == b"220 "
        out, errors = process.communicate(timeout=60)
    name = f"unix:{path}" if family == socket.AF_UNIX else f"127.0.0.1:{address[1]}"
    assert process.returncode == 0, errors.decode()
    assert name in out.decode().splitlines()
    # It is systemd's: it stays.
    assert path.exists() == (family == socket.AF_UNIX)


def test_sockets_passed_to_another_process_are_not_ours() -> None:
    environ = {"LISTEN_PID": str(os.getpid() + 1), "LISTEN_FDS": "1"}
    (listener,) = open_listeners(["127.0.0.1:0"], 0o660, environ)
    listener.close()


def test_a_passed_socket_for_http_is_not_for_mail() -> None:
    environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "web"}
    (listener,) = open_listeners(["127.0.0.1:0"], 0o660, environ)
    listener.close()


@pytest.mark.parametrize("count", ["", "x", "-1"])
def test_a_wrong_number_of_passed_sockets(count: str) -> None:
    with pytest.raises(BouncesinkError, match="LISTEN_FDS"):
        open_listeners([], 0o660, {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": count})
