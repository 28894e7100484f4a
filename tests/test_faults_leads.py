"""A bounce that is recorded just while its lead comes in still starts what a lead's bounce does."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from mails import hard

from bouncesink.config import Config, SheetConfig
from bouncesink.engine import Engine
from bouncesink.identity import arrival_id
from bouncesink.ledger import open_ledger
from bouncesink.ledger.sqlite import SqliteLedger
from bouncesink.model import ActionKind, Arrival, Lead
from bouncesink.outbox import flush, open_sheet
from bouncesink.reader import ReaderPool


class InterruptedLedger(SqliteLedger):
    """Lets something else happen between the plan of a flush and its first change."""

    meanwhile: Callable[[], object]

    def all_leads(self) -> Iterator[Lead]:
        self.meanwhile()
        return super().all_leads()


def test_a_bounce_between_the_plan_of_a_flush_and_its_leads(
    tmp_path: Path, readers: ReaderPool
) -> None:
    (tmp_path / "leads.csv").write_text("LEAD ID,EMAIL\n1,lead@example.org\n")
    config = replace(Config(), sheet=SheetConfig(path=tmp_path / "leads.csv"))
    raw = hard().encode()
    arrival = Arrival(arrival_id(raw, ""), "lmtp", "", "", datetime.now(UTC), raw)
    path = tmp_path / "x.db"
    with (
        closing(open_ledger(path)) as other,
        closing(InterruptedLedger(path)) as ledger,
    ):
        other.append([arrival])
        ledger.meanwhile = lambda: Engine(other, config).drain(readers)
        sheet = open_sheet(config)
        assert sheet
        result = flush(sheet, ledger, config, redecide=Engine(ledger, config).redecide)
        assert result.addresses == {"lead@example.org"}
        assert [each.lead_id for each in ledger.list_actions(ActionKind.POSTCARD)] == ["1"]
