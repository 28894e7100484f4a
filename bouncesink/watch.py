"""PURE. Whether a campaign, a mailbox, a domain or a provider burns our reputation.

A rate is hard bounces by messages sent, over a rolling window. It is an alarm when it is at or over
the threshold, rests on a few bounces at least, and chance does not explain it: the lower end of its
Wilson interval is over half of the threshold. So 1 of 5 is none, and 3 of 100 is a warning but no
reason yet to stop at 3 %.

A spike is far more blocks by one provider in a day than the days before would lead one to expect.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

Z = 1.96
"""Standard deviations of a 95 % interval."""


class Scope(StrEnum):
    """What bounces and sends are counted by."""

    CAMPAIGN = "campaign"
    MAILBOX = "mailbox"
    SENDING_DOMAIN = "sending domain"
    PROVIDER = "provider"


class Level(StrEnum):
    """What an alarm asks for: to look at it, or to stop."""

    WARN = "warn"
    ACT = "act"


@dataclass(frozen=True, slots=True)
class Limits:
    """`warn` and `act` are shares of 1; `bounces` and `blocks` are the least an alarm rests on."""

    warn: float = 0.02
    act: float = 0.03
    bounces: int = 3
    blocks: int = 10


@dataclass(frozen=True, slots=True)
class Rate:
    """What was sent in a window and how much of it bounced hard, for one of a scope."""

    scope: Scope
    name: str
    sent: int
    hard: int

    @property
    def known(self) -> bool:
        """Whether there is a rate: not where we know of less than bounced."""
        return self.sent >= max(self.hard, 1)

    @property
    def rate(self) -> float:
        return self.hard / self.sent if self.known else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Give the ends of the 95 % interval, each from 0 to 1."""
        return wilson(self.hard, self.sent) if self.known else (0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Alarm:
    """A rate that asks for something."""

    rate: Rate
    level: Level


@dataclass(frozen=True, slots=True)
class Blocks:
    """Blocks by one provider: the last day's, those of each of the days before, and its words."""

    provider: str
    today: int
    before: Sequence[int]
    said: str


def wilson(hits: int, trials: int, z: float = Z) -> tuple[float, float]:
    """Give the score interval of a share (Wilson 1927); needs `0 <= hits <= trials`, one trial."""
    share, square = hits / trials, z * z
    centre = (share + square / (2 * trials)) / (1 + square / trials)
    spread = math.sqrt(share * (1 - share) / trials + square / (4 * trials * trials))
    half = z * spread / (1 + square / trials)
    return max(0.0, centre - half), min(1.0, centre + half)


def rates(
    sent: Mapping[tuple[Scope, str], int], hard: Mapping[tuple[Scope, str], int]
) -> list[Rate]:
    """Pair what was sent with what bounced, the highest rate first; "" names nothing."""
    names = {key for key in (*sent, *hard) if key[1]}
    found = [
        Rate(scope, name, sent.get((scope, name), 0), hard.get((scope, name), 0))
        for scope, name in names
    ]
    return sorted(found, key=lambda each: (-each.rate, -each.hard, each.scope, each.name))


def alarms(found: Iterable[Rate], limits: Limits) -> list[Alarm]:
    """Give the rates that ask for something."""
    levels = ((each, _level(each, limits)) for each in found)
    return [Alarm(each, level) for each, level in levels if level is not None]


def _level(rate: Rate, limits: Limits) -> Level | None:
    if not rate.known or rate.hard < limits.bounces:
        return None
    low, _ = rate.interval
    for level, threshold in ((Level.ACT, limits.act), (Level.WARN, limits.warn)):
        if rate.rate >= threshold and low > threshold / 2:
            return level
    return None


def is_spike(blocks: Blocks, limits: Limits) -> bool:
    """Whether a day's blocks are far beyond what the days before lead one to expect.

    Four standard deviations of a Poisson count above their mean, and `limits.blocks` at least.
    """
    usual = sum(blocks.before) / len(blocks.before) if blocks.before else 0.0
    return blocks.today >= limits.blocks and blocks.today > usual + 4 * math.sqrt(usual + 1)
