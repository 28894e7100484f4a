"""The service under the very system call filter of its unit, with libseccomp as systemd has it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from mails import hard
from test_service import CONFIG, serving

pytestmark = pytest.mark.e2e

UNITS = Path(__file__).parents[2] / "systemd"

LAUNCHER = """
import ctypes, errno, json, os, socket, sys

calls, families, *command = sys.argv[1:]
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM
EQUAL, MASKED = 4, 7  # SCMP_CMP_EQ, SCMP_CMP_MASKED_EQ


class Compare(ctypes.Structure):
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int),
                ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


seccomp = ctypes.CDLL("libseccomp.so.2")
seccomp.seccomp_init.restype = ctypes.c_void_p
context = ctypes.c_void_p(seccomp.seccomp_init(REFUSE))


def allow(name, *comparisons):
    number = seccomp.seccomp_syscall_resolve_name(name.encode())
    if number != -1:
        array = (Compare * len(comparisons))(*comparisons)
        assert seccomp.seccomp_rule_add_array(context, ALLOW, number, len(array), array) == 0, name


for name in set(json.loads(calls)) - {"socket", "mmap", "mprotect", "pkey_mprotect"}:
    allow(name)
for family in families.replace("none", "").split():  # RestrictAddressFamilies=
    allow("socket", Compare(0, EQUAL, getattr(socket, family)))
WRITE, EXECUTE = 2, 4  # MemoryDenyWriteExecute=
for some in (0, WRITE, EXECUTE):
    allow("mmap", Compare(2, MASKED, WRITE | EXECUTE, some))
allow("mprotect", Compare(2, MASKED, EXECUTE, 0))
assert seccomp.seccomp_load(context) == 0
os.execv(command[0], command)
"""


def expanded(name: str) -> set[str]:
    """Give the system calls of a group of systemd's, as @system-service."""
    if not name.startswith("@"):
        return {name}
    listed = subprocess.run(
        ["systemd-analyze", "syscall-filter", "--no-pager", name],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    members = re.findall(r"^ +([@\w-]+)$", listed, re.MULTILINE)
    return set().union(*map(expanded, members))


def allowed(unit: str) -> set[str]:
    calls: set[str] = set()
    for names in re.findall(r"^SystemCallFilter=(.*)$", unit, re.MULTILINE):
        some = set().union(*(expanded(name) for name in names.removeprefix("~").split()))
        calls = calls - some if names.startswith("~") else calls | some
    return calls


def sandbox(name: str) -> list[str]:
    """Give the beginning of a command line that runs the rest of it as this service."""
    unit = (UNITS / name).read_text()
    (families,) = re.findall(r"^RestrictAddressFamilies=(.*)$", unit, re.MULTILINE)
    calls = allowed(unit)
    assert "read" in calls
    assert not {"mount", "chown", "setuid", "ptrace", "setrlimit"} & calls
    return [sys.executable, "-c", LAUNCHER, json.dumps(sorted(calls)), families]


@pytest.mark.parametrize("command", ["flush", "maintain"])
def test_what_a_timer_starts_does_its_work_inside_the_sandbox(tmp_path: Path, command: str) -> None:
    (tmp_path / "c.toml").write_text(CONFIG.replace("flush_every = 0.2", "flush_every = 0"))
    (tmp_path / "lead_details.csv").write_text("LEAD ID,EMAIL\n1,lead@example.org\n")
    (tmp_path / "old.eml").write_text(hard())
    program = [sys.executable, "-m", "bouncesink"]
    subprocess.run(
        [*program, "replay", "old.eml", "--config", "c.toml"],
        cwd=tmp_path,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    done = subprocess.run(
        [*sandbox(f"bouncesink-{command}.service"), *program, command, "--config", "c.toml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (",HARD,1,FALSE," in (tmp_path / "lead_details.csv").read_text()) == (command == "flush")


def test_the_service_does_its_work_inside_the_sandbox(tmp_path: Path) -> None:
    (tmp_path / "lead_details.csv").write_text("LEAD ID,EMAIL\n1,lead@example.org\n")
    config = CONFIG.replace("[log]", '[web]\nlisten = "127.0.0.1:0"\n[log]')
    with serving(tmp_path, config, launcher=sandbox("bouncesink.service")) as service:
        status = Path(f"/proc/{service.process.pid}/status").read_text()
        assert re.search(r"^Seccomp:\t2$", status, re.MULTILINE)
        service.send(hard())
        service.wait_for("arrival.read", kind="failure", events=1)
        # A reader has lowered its own priority, and itself the memory that it may take.
        pid = service.process.pid
        threads = Path(f"/proc/{pid}/task").iterdir()
        (reader,) = " ".join((each / "children").read_text() for each in threads).split()
        ours = os.getpriority(os.PRIO_PROCESS, pid)
        assert os.getpriority(os.PRIO_PROCESS, int(reader)) == min(ours + 10, 19)
        assert "1500000000" in Path(f"/proc/{reader}/limits").read_text()
        service.wait_for("sheet.flushed")
        service.reload(config)
        service.wait_for("config.reloaded")
        assert service.stop() == 0
    assert ",HARD,1,FALSE," in (tmp_path / "lead_details.csv").read_text()
