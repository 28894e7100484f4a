"""Two engines on one ledger, as when a replay runs beside the service: each thing happens once."""

import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from mails import hard

from bouncesink.config import Config
from bouncesink.engine import CROWDED, Engine
from bouncesink.identity import arrival_id
from bouncesink.ledger import open_ledger
from bouncesink.model import ActionKind, Arrival, Lead
from bouncesink.reader import ReaderPool

CONFIG = Config()
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
LEADS = [f"lead{number}@example.org" for number in range(4)]
BOUNCES = 20 * len(LEADS) + 2 * CROWDED


def arrival(number: int) -> Arrival:
    """Most are about the first lead: it becomes crowded."""
    address = LEADS[max(0, number - 2 * CROWDED) % len(LEADS)]
    raw = hard(number, number).replace("Lead@example.org", address).encode()
    return Arrival(arrival_id(raw, ""), "lmtp", "", "", NOW, raw)


def drain_until(path: Path, over: threading.Event, done: Callable[[int], None]) -> None:
    with closing(open_ledger(path)) as ledger, ReaderPool(CONFIG.parse) as pool:
        engine = Engine(ledger, CONFIG)
        while not over.is_set() or ledger.pending(1):
            done(engine.drain(pool).events)


def test_two_engines_side_by_side(tmp_path: Path, readers: ReaderPool) -> None:
    path = tmp_path / "x.db"
    with closing(open_ledger(path)) as ledger:
        ledger.put_leads([Lead(address, address, address) for address in LEADS])
        over = threading.Event()
        new: list[int] = []
        engines: Sequence[threading.Thread] = [
            threading.Thread(target=drain_until, args=(path, over, new.append)) for _ in range(2)
        ]
        for engine in engines:
            engine.start()
        for start in range(0, BOUNCES, 20):
            ledger.append([arrival(number) for number in range(start, start + 20)])
        over.set()
        for engine in engines:
            engine.join(60)
        # What one engine left for later, the other may have seen as done.
        last = Engine(ledger, CONFIG)
        last.drain(readers)
        assert ledger.unfolded() == []
        assert sum(new) == ledger.totals().events == BOUNCES
        events = ledger.events_of(LEADS)
        contacts = ledger.contacts(LEADS)
        assert contacts == {address: last.fold(address, events[address]) for address in LEADS}
        assert sum(contact.bounce_count for contact in contacts.values()) == BOUNCES
        for kind in (ActionKind.SMARTLEAD_REMOVAL, ActionKind.POSTCARD):
            assert sorted(str(each.address) for each in ledger.list_actions(kind)) == LEADS
