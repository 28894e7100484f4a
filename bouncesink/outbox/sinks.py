"""Which queues a program works: those for which the config has what it takes."""

from collections.abc import Callable
from datetime import datetime

from bouncesink.config import Config
from bouncesink.outbox.alerts import Alerts
from bouncesink.outbox.hubspot import HubSpot
from bouncesink.outbox.smartlead import SmartLead
from bouncesink.outbox.smartlead_pause import SmartLeadPause
from bouncesink.outbox.webhook import Webhooks
from bouncesink.outbox.worker import QueueSink

Clock = Callable[[], datetime]


def _hubspot(config: Config, _: Clock) -> QueueSink | None:
    return HubSpot(config.hubspot) if config.hubspot.token_file else None


def _smartlead(config: Config, _: Clock) -> QueueSink | None:
    return SmartLead(config.smartlead) if config.smartlead.key_file else None


def _pause(config: Config, _: Clock) -> QueueSink | None:
    return SmartLeadPause(config.smartlead) if config.smartlead.key_file else None


def _webhooks(config: Config, clock: Clock) -> QueueSink | None:
    return Webhooks(config.webhooks, clock) if config.webhooks.urls else None


def _alerts(config: Config, clock: Clock) -> QueueSink | None:
    return Alerts(config.alerts, clock) if config.alerts.told else None


SINKS: tuple[Callable[[Config, Clock], QueueSink | None], ...] = (
    _alerts,
    _hubspot,
    _smartlead,
    _pause,
    _webhooks,
)


def open_sinks(config: Config, clock: Clock) -> list[QueueSink]:
    """Give the sinks that the config has what it takes for; no secret is read yet."""
    return [sink for make in SINKS if (sink := make(config, clock)) is not None]


def only_shows(config: Config, sink: QueueSink) -> bool:
    """Whether the config wants it only shown what a sink would do."""
    return isinstance(sink, SmartLead | SmartLeadPause) and config.smartlead.dry_run
