"""A flood of bounces about one address: what it costs is in proportion, and it counts the same."""

from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from mails import hard

from bouncesink.config import Config
from bouncesink.engine import CROWDED, Engine
from bouncesink.engine.forget import forget
from bouncesink.engine.review import Decision
from bouncesink.identity import arrival_id
from bouncesink.ledger import open_ledger
from bouncesink.ledger.sqlite import SqliteLedger
from bouncesink.model import Act, ActionKind, Arrival, Event, Lead
from bouncesink.reader import ReaderPool

ADDRESS = "lead@example.org"
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
CONFIG = Config()


def flood(numbers: Iterable[int]) -> list[Arrival]:
    raws = [hard(number, number).encode() for number in numbers]
    to = "bounces@example.com"
    return [Arrival(arrival_id(raw, to), "lmtp", "", to, NOW, raw) for raw in raws]


class CountingLedger(SqliteLedger):
    """Counts how many events were read to be folded."""

    events_read = 0

    def events_of(self, addresses: Iterable[str]) -> dict[str, list[Event]]:
        found = super().events_of(addresses)
        self.events_read += sum(map(len, found.values()))
        return found


def test_its_cost_does_not_grow_with_its_square(tmp_path: Path, readers: ReaderPool) -> None:
    count = 1500
    with closing(CountingLedger(tmp_path / "x.db")) as ledger:
        ledger.append(flood(range(count)))
        Engine(ledger, CONFIG).drain(readers)
        contact = ledger.contacts([ADDRESS])[ADDRESS]
        assert contact.bounce_count == count
        # Once for each batch of 200 it would be four times the count, and ever more.
        assert ledger.events_read <= 2 * count


def test_what_a_killed_engine_left_unfolded_the_next_one_folds(
    tmp_path: Path, readers: ReaderPool
) -> None:
    count = CROWDED + 50
    with closing(open_ledger(tmp_path / "x.db")) as ledger:
        ledger.put_leads([Lead("1", ADDRESS, ADDRESS)])
        engine = Engine(ledger, CONFIG)
        for part in (range(CROWDED + 1), range(CROWDED + 1, count)):
            ledger.append(flood(part))
            assert engine.drain_batch(readers)
        assert ledger.unfolded() == [ADDRESS]
        assert ledger.contacts([ADDRESS])[ADDRESS].bounce_count == CROWDED + 1
    with closing(open_ledger(tmp_path / "x.db")) as ledger:
        Engine(ledger, CONFIG).drain_batch(readers)
        assert ledger.unfolded() == []
        contact = ledger.contacts([ADDRESS])[ADDRESS]
        assert contact == Engine(ledger, CONFIG).fold(ADDRESS, ledger.events_of([ADDRESS])[ADDRESS])
        assert contact.bounce_count == count
        assert len(ledger.list_actions(ActionKind.SMARTLEAD_REMOVAL)) == 1


def test_an_act_is_not_put_off(tmp_path: Path, readers: ReaderPool) -> None:
    with closing(open_ledger(tmp_path / "x.db")) as ledger:
        engine = Engine(ledger, CONFIG)
        for part in (range(CROWDED + 1), range(CROWDED + 1, CROWDED + 20)):
            ledger.append(flood(part))
            engine.drain_batch(readers)
        engine.act(Act.REINSTATE, ADDRESS, "operator", "they wrote back")
        contact = ledger.contacts([ADDRESS])[ADDRESS]
        assert contact.mailable
        assert contact.bounce_count == CROWDED + 20
        assert ledger.unfolded() == []


def test_a_forgotten_address_is_not_folded_anew(tmp_path: Path, readers: ReaderPool) -> None:
    with closing(open_ledger(tmp_path / "x.db")) as ledger:
        engine = Engine(ledger, CONFIG)
        for part in (range(CROWDED + 1), range(CROWDED + 1, CROWDED + 20)):
            ledger.append(flood(part))
            engine.drain_batch(readers)
        assert ledger.unfolded() == [ADDRESS]
        forget(engine, ADDRESS, Decision("operator", "asked for it"))
        engine.drain(readers)
        assert ledger.unfolded() == []
        assert list(ledger.all_contacts(10)) == []
