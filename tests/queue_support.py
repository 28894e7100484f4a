"""A queue and the one who works it, with a clock that goes when told to."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bouncesink.config import Config
from bouncesink.engine import Engine
from bouncesink.identity import event_id
from bouncesink.ledger import open_ledger
from bouncesink.model import (
    Action,
    ActionKind,
    ActionState,
    Category,
    DsnAction,
    Event,
    Kind,
    Lead,
    Report,
    Trust,
    TrustLevel,
    Verdict,
)
from bouncesink.outbox.worker import QueueSink, Worker

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


class Queue:
    """Actions of one kind in a ledger, whose worker may be killed and started anew."""

    def __init__(self, folder: Path, kind: ActionKind) -> None:
        self.path = folder / "queue.db"
        self.kind = kind
        self.now = NOW
        self.ledger = open_ledger(self.path)
        self.worker: Worker | None = None

    def add(self, address: str, *, approved: bool = False, **payload: str) -> str:
        key = f"{self.kind}:{address}:0"
        action = Action(key, self.kind, NOW, address=address, lead_id="7", payload=payload)
        self.ledger.add_actions([action])
        if approved:
            pending = (ActionState.PENDING,)
            self.ledger.move_action(key, pending, ActionState.APPROVED, at=NOW, actor="one")
        return key

    def work(self, sink: QueueSink, *, anew: bool = False) -> None:
        """Do all that is due."""
        if self.worker is None or self.worker.sink is not sink or anew:
            self.worker = Worker(self.ledger, sink, lambda: self.now)
        while self.worker.step():
            pass

    def later(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def get(self, key: str) -> Action:
        return self.ledger.find_actions(key, 1)[0]

    def states(self) -> dict[str, str]:
        found = self.ledger.list_actions(self.kind, limit=1000)
        return {action.address or "": action.state.value for action in found}


@contextmanager
def opened(folder: Path, kind: ActionKind) -> Iterator[Queue]:
    queue = Queue(folder, kind)
    try:
        yield queue
    finally:
        queue.ledger.close()


def bounce(
    *addresses: str, leads: Mapping[str, str] | None = None, config: Config | None = None
) -> None:
    """Record a HARD bounce of each address as a notification would; `leads` are e-mails by id."""
    config = config or Config()
    with closing(open_ledger(config.ledger.path)) as ledger:
        ledger.put_leads([Lead(id_, email, email.lower()) for id_, email in (leads or {}).items()])
        Engine(ledger, config).record([_hard(address) for address in addresses])


def _hard(address: str) -> Event:
    return Event(
        id=event_id("notice-1@mx.example.net", address, "failed"),
        kind=Kind.FAILURE,
        address=address,
        occurred_at=NOW,
        recorded_at=NOW,
        source="file",
        report=Report(address, DsnAction.FAILED, "rfc3464", status="5.1.1", reply_code=550),
        verdict=Verdict(Category.USER_UNKNOWN, "smtp-5.1.1"),
        trust=Trust(TrustLevel.PROVEN),
        message_id="original-1@example.com",
    )
