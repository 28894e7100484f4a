"""A real Prometheus, by the files of deploy/, asks a real service."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from mails import hard
from test_monitoring import expressions
from test_service import CONFIG, serving

pytestmark = pytest.mark.e2e

FILES = Path(__file__).parents[2] / "deploy" / "prometheus"
WEB = '[web]\nlisten = "127.0.0.1:0"\n'


def promtool(*arguments: str, stdin: str | None = None) -> str:
    done = subprocess.run(
        ["promtool", *arguments],
        cwd=FILES,
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_the_rules_ring_when_they_should() -> None:
    assert "SUCCESS" in promtool("check", "rules", "bouncesink.rules.yml")
    assert "SUCCESS" in promtool("check", "config", "scrape.yml")
    assert "SUCCESS" in promtool("test", "rules", "rules_test.yml", "silence_test.yml")


@contextmanager
def prometheus(folder: Path, target: int) -> Iterator[str]:
    """Run one with the very files of deploy/, but for the port and the interval."""
    shutil.copy(FILES / "bouncesink.rules.yml", folder)
    scrape = (FILES / "scrape.yml").read_text()
    assert "127.0.0.1:8025" in scrape
    scrape = scrape.replace("127.0.0.1:8025", f"127.0.0.1:{target}").replace("30s", "1s")
    (folder / "prometheus.yml").write_text(scrape)
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [
            "prometheus",
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield f"http://127.0.0.1:{port}/api/v1"
    finally:
        process.kill()
        process.wait()


def ask(api: str, path: str, **query: str) -> Any:
    with urlopen(f"{api}/{path}?{urlencode(query)}", timeout=10) as answer:
        return json.load(answer)["data"]


def wait_for_target(api: str) -> None:
    """Wait until it has been asked at least once; nobody else tells."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if ask(api, "query", query='up{job="bouncesink"} == 1')["result"]:
                return
        except URLError:
            pass  # it is starting
        time.sleep(0.1)
    raise AssertionError("Prometheus did not get to ask")


def test_every_panel_and_every_rule_is_understood(tmp_path: Path) -> None:
    (tmp_path / "lead_details.csv").write_text("LEAD ID,EMAIL\n1,lead@example.org\n")
    with serving(tmp_path, CONFIG + WEB) as service:
        port = int(service.wait_for("web.listening")["on"].rpartition(":")[2])
        service.send(hard())
        service.wait_for("arrival.read")
        service.wait_for("sheet.flushed")
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            assert promtool("check", "metrics", stdin=answer.read().decode()) == ""
        with prometheus(tmp_path, port) as api:
            wait_for_target(api)
            for expression in expressions():
                ask(api, "query", query=expression)  # an error would be a 400
            (accepted,) = ask(api, "query", query="bouncesink_lmtp_accepted_total")["result"]
            assert accepted["value"][1] == "1"
            (group,) = ask(api, "rules")["groups"]
            assert {rule["health"] for rule in group["rules"]} <= {"ok", "unknown"}
            assert len(group["rules"]) >= 13
        assert service.stop() == 0
