"""`serve` with sockets that systemd has opened, each by its name."""

import http.client
import json
import socket
import sys
from contextlib import ExitStack
from pathlib import Path

from mails import hard
from test_service import CONFIG, serving

# What systemd does between fork(2) and execve(2): the sockets from 3 on, and whom they are for.
LAUNCHER = """
import fcntl, os, sys
names, *command = sys.argv[1:]
out_of_the_way = 100
given = [
    fcntl.fcntl(int(each), fcntl.F_DUPFD, out_of_the_way) for each in command.pop(0).split(",")
]
for number, descriptor in enumerate(given, 3):
    os.dup2(descriptor, number)
os.environ.update(
    LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(given)), LISTEN_FDNAMES=names
)
os.execv(command[0], command)
"""


def test_each_passed_socket_goes_where_its_name_says(tmp_path: Path) -> None:
    path = str(tmp_path / "lmtp.sock")
    config = CONFIG.replace("127.0.0.1:0", "192.0.2.1:8024")  # which could not be bound
    with ExitStack() as open_until:
        web = open_until.enter_context(socket.create_server(("127.0.0.1", 0)))
        lmtp = open_until.enter_context(socket.create_server(("127.0.0.1", 0)))
        unix = open_until.enter_context(socket.socket(socket.AF_UNIX))
        unix.bind(path)
        unix.listen()
        passed = [each.fileno() for each in (web, lmtp, unix)]
        launcher = [
            sys.executable,
            "-c",
            LAUNCHER,
            "web:lmtp:lmtp-unix",
            ",".join(map(str, passed)),
        ]
        service = open_until.enter_context(
            serving(tmp_path, config, launcher=launcher, pass_fds=passed)
        )
        assert service.port == lmtp.getsockname()[1]
        service.wait_for("lmtp.listening", on=f"unix:{path}")
        service.send(hard())
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(60)
            peer.connect(path)
            assert peer.recv(4) == b"220 "
        client = http.client.HTTPConnection("127.0.0.1", web.getsockname()[1], timeout=60)
        client.request("GET", "/readyz")
        answer = json.load(client.getresponse())
        client.close()
        assert answer["ready"], answer
        assert {part["part"] for part in answer["parts"]} >= {"lmtp", "engine", "sheet"}
        assert service.stop() == 0
