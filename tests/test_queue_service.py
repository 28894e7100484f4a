"""`serve` works the queues: from a bounce to HubSpot, whatever else is down."""

import json
import socket
from contextlib import closing
from pathlib import Path

from hubspot_server import TOKEN, HubSpotServer
from mails import hard
from test_service import CONFIG, Service, serving

from bouncesink.ledger import open_ledger
from bouncesink.model import ActionKind, ActionState

QUEUES = """\
[hubspot]
token_file = "token"
approve = "auto"
base_url = "{hubspot}"
[smartlead]
key_file = "key"
base_url = "http://127.0.0.1:{nobody}"
dry_run = false
[webhooks]
urls = ["http://127.0.0.1:{nobody}/"]
secret_file = "none"
"""


EXPECTED = (
    ("queue.done", "hubspot"),
    ("queue.trouble", "smartlead"),
    ("queue.trouble", "webhook"),
)


def wait_for_all(service: Service, *wanted: tuple[str, str]) -> None:
    """Read the log up to the last of these events, in whatever order they come."""
    left = set(wanted)
    assert service.process.stderr
    for line in service.process.stderr:
        entry = json.loads(line)
        left.discard((entry["event"], entry.get("sink", "")))
        if not left:
            return
    raise AssertionError(f"the service ended without {left}")


def test_a_sink_that_is_down_holds_up_no_other(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "key").write_text("a-key")
    (tmp_path / "lead_details.csv").write_text("LEAD ID,EMAIL\n1,lead@example.org\n")
    server = HubSpotServer()
    server.add("1", "lead@example.org")
    with closing(server), socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        queues = QUEUES.format(hubspot=server.url, nobody=taken.getsockname()[1])
        with serving(tmp_path, CONFIG + queues) as service:
            service.send(hard())
            wait_for_all(service, *EXPECTED)
            assert service.stop() == 0
    assert server.contacts["1"]["lead_source_notes"] == "|BOUNCE:HARD:2026-03-02"
    with closing(open_ledger(tmp_path / "x.db", read_only=True)) as ledger:
        found = {each.kind: each for each in ledger.list_actions()}
        troubles = {trouble.part: trouble.text for trouble in ledger.troubles()}
    assert found[ActionKind.HUBSPOT_PROPOSAL].state is ActionState.DONE
    waiting = found[ActionKind.SMARTLEAD_REMOVAL]
    assert (waiting.state, waiting.attempts) == (ActionState.PENDING, 1)
    assert found[ActionKind.WEBHOOK].state is ActionState.PENDING
    assert set(troubles) == {"smartlead", "webhook"}
    assert "SmartLead did not answer GET: Connection refused" in troubles["smartlead"]
    assert "the secret cannot be read" in troubles["webhook"]
