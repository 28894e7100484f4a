"""What is told and proposed of what the watch sees: when it begins, and when it is over."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

import structlog

from bouncesink.config import Config, WatchConfig
from bouncesink.engine.watch import View, limits_of, look
from bouncesink.fold.alert import about_of, begun, over
from bouncesink.ledger import Ledger
from bouncesink.model import Action, ActionKind, ActionState
from bouncesink.watch import Alarm, Blocks, Level, Scope

WATCH = "watch:"
"""Begins what each alert of the watch is about."""

_BLOCKS = f"{WATCH}blocks:"

_ENDS_AT = 0.8
"""The part of a threshold at which an alert is over, so that none rings again and again."""

_SAID = 300

log = structlog.get_logger(__name__)


def stand_watch(ledger: Ledger, config: Config, now: datetime) -> list[Action]:
    """Look once, and store what is to be told and proposed; give it. Raises LedgerError."""
    view = look(ledger, config.watch, now)
    with ledger.transaction():
        standing = [a for a in ledger.standing_alerts() if about_of(a).startswith(WATCH)]
        actions = due(view, config.watch, standing)
        ledger.add_actions(actions)
    for action in actions:
        about = about_of(action) or action.payload.get("campaign")
        log.warning("watch.told", kind=action.kind.value, about=about)
    return actions


def due(view: View, config: WatchConfig, standing: Sequence[Action]) -> list[Action]:
    """Give the alerts to be told now, and the pauses to be proposed; `standing` are not over."""
    known = {about_of(alert) for alert in standing}
    actions: list[Action] = []
    for alarm in view.alarms:
        # Whoever was told to stop need not be warned on the way back.
        if known.isdisjoint({_about(alarm), _about(replace(alarm, level=Level.ACT))}):
            alert = _burns(alarm, config, view.at)
            actions += [alert, *_pause(alarm, alert, config)]
    actions += [_blocked(spike, view.at) for spike in view.spikes if _of(spike) not in known]
    still = set(_still(view, config))
    return actions + [over(each, view.at) for each in standing if about_of(each) not in still]


def _still(view: View, config: WatchConfig) -> Iterator[str]:
    """Name what goes on, of either level for as long as there would be a warning."""
    limits = limits_of(config)
    for rate in view.rates:
        if rate.known and rate.rate >= limits.warn * _ENDS_AT:
            yield from (_about(Alarm(rate, level)) for level in Level)
    for blocks in view.blocks:
        if blocks.today >= limits.blocks * _ENDS_AT:
            yield _of(blocks)


def _about(alarm: Alarm) -> str:
    return f"{WATCH}{alarm.rate.scope}:{alarm.level}:{alarm.rate.name}"


def _of(blocks: Blocks) -> str:
    return f"{_BLOCKS}{blocks.provider}"


def _burns(alarm: Alarm, config: WatchConfig, now: datetime) -> Action:
    rate = alarm.rate
    low, high = rate.interval
    threshold = config.act_percent if alarm.level is Level.ACT else config.warn_percent
    what = {
        Scope.CAMPAIGN: "Pause it and clean its list: `bouncesink risk` says who is likely next.",
        Scope.MAILBOX: "Let this mailbox rest, and see which list it mailed.",
        Scope.SENDING_DOMAIN: "Stop what this domain sends until the list is clean.",
        Scope.PROVIDER: "Slow down towards this provider; its addresses on the list may be old.",
    }
    return begun(
        _about(alarm),
        f"{rate.scope} {rate.name}: {rate.rate:.1%} bounced hard",
        f"{rate.hard:,} of {rate.sent:,} messages of the last {config.window_days} days bounced "
        f"hard: {rate.rate:.2%}, by chance anything from {low:.2%} to {high:.2%}. The limit is "
        f"{threshold:g} %.\n\n{what[rate.scope]} `bouncesink report` has the whole picture.",
        now,
    )


def _pause(alarm: Alarm, alert: Action, config: WatchConfig) -> Iterator[Action]:
    """Propose to pause a campaign that is over the higher limit, once for each alert."""
    rate = alarm.rate
    if rate.scope is not Scope.CAMPAIGN or alarm.level is not Level.ACT or config.pause == "off":
        return
    yield Action(
        key=f"{ActionKind.CAMPAIGN_PAUSE}:{rate.name}:{alert.created_at:%Y%m%dT%H%M%S}",
        kind=ActionKind.CAMPAIGN_PAUSE,
        created_at=alert.created_at,
        payload={
            "campaign": rate.name,
            "why": f"{rate.hard:,} of {rate.sent:,} bounced hard ({rate.rate:.2%})",
            "priority": "1",
        },
        state=ActionState.APPROVED if config.pause == "auto" else ActionState.PENDING,
    )


def _blocked(spike: Blocks, now: datetime) -> Action:
    usual = sum(spike.before) / len(spike.before) if spike.before else 0.0
    return begun(
        _of(spike),
        f"{spike.provider} blocks us: {spike.today:,} messages in a day",
        f"In the last 24 hours {spike.provider} blocked {spike.today:,} messages; on the days "
        f"before it was {usual:.1f} a day. It says:\n\n  {spike.said[:_SAID]}\n\nThis is about us "
        "and not about the addresses: look at what was sent, at SPF, DKIM and DMARC, and at the "
        "block list that it names, before you send more.",
        now,
    )
