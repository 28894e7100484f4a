"""`serve` works the queues: from a bounce to HubSpot, whatever else is down."""

import socket
from contextlib import closing
from pathlib import Path

from hubspot_server import TOKEN, HubSpotServer
from mails import hard
from test_service import CONFIG, serving

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
            service.wait_for("queue.done", sink="hubspot")
            assert service.stop() == 0
    assert server.contacts["1"]["lead_source_notes"] == "|BOUNCE:HARD:2026-03-02"
    with closing(open_ledger(tmp_path / "x.db", read_only=True)) as ledger:
        found = {each.kind: each for each in ledger.list_actions()}
    assert found[ActionKind.HUBSPOT_PROPOSAL].state is ActionState.DONE
    waiting = found[ActionKind.SMARTLEAD_REMOVAL]
    assert waiting.state in (ActionState.PENDING, ActionState.CLAIMED)
    assert found[ActionKind.WEBHOOK].state in (ActionState.PENDING, ActionState.CLAIMED)
