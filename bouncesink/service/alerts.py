"""PURE. Which alerts begin and which are over, from one look at how things stand.

An alert is told when it begins and when it is over, never in between. Thresholds to end are not
those to begin, so that what hovers about one does not ring each time.

Silence is judged by the weeks before: nothing has come for `silence_after` seconds, although in at
least three of the last four weeks something did in the same hours of the same weekday, and 40
arrivals or more in all four together. (With ten at a time that come independently of each other,
such a silence is mere chance once in a year and a half; with five it would be each week.) So nights
and weekends on which little comes ring no alarm, one outage or holiday in the four weeks hides
none, and a new ledger is quiet for three weeks. A public holiday may ring it. For a while after a
start it does not ring: the mail server in front tries again at times of its own.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bouncesink.config import AlertsConfig
from bouncesink.fold.alert import SILENCE, about_of, begun, over
from bouncesink.ledger import SHEET, Totals, Trouble
from bouncesink.model import OPEN, Action, ActionKind, ActionState

SETTLING = timedelta(seconds=5400)
"""Above Postfix's maximal_backoff_time (4000 s) and Exim's first retries."""

WEEKS = 4
ENOUGH_WEEKS = 3
ENOUGH_ARRIVALS = 40

DEAD_LETTERS = "dead-letters"
REVIEW = "review"
TROUBLE = "trouble:"

_ENDS_AT = 0.8
"""The part of `review_above` at which an alert about it is over."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How things stand at `now`. `started_at` is of the service.

    `past` has the arrivals of the last `silence_after` seconds as they were one, two, three and
    four weeks ago.
    """

    now: datetime
    started_at: datetime
    totals: Totals
    troubles: Sequence[Trouble]
    past: Sequence[int] = ()

    @property
    def reviews(self) -> int:
        return sum(self.totals.actions.get((ActionKind.REVIEW, state), 0) for state in OPEN)

    @property
    def dead_letters(self) -> Mapping[ActionKind, int]:
        failed = ActionState.FAILED
        return {
            kind: n for (kind, state), n in self.totals.actions.items() if n and state is failed
        }


def due(seen: Snapshot, config: AlertsConfig, standing: Sequence[Action]) -> list[Action]:
    """Give the alerts to be told now; `standing` were told and are not over."""
    known = {about_of(alert): alert for alert in standing}
    new = [alert for alert in _begun(seen, config) if about_of(alert) not in known]
    return new + [over(alert, seen.now) for alert in standing if _is_over(alert, seen, config)]


def _begun(seen: Snapshot, config: AlertsConfig) -> Iterator[Action]:
    for trouble in seen.troubles:
        after = config.flush_failing_after if trouble.part == SHEET else config.trouble_after
        if seen.now - trouble.since >= timedelta(seconds=after):
            yield _about_trouble(trouble, seen.now)
    if dead := seen.dead_letters:
        listed = ", ".join(f"{count:,} of {kind.value}" for kind, count in dead.items())
        yield begun(
            DEAD_LETTERS,
            "actions have failed for good",
            f"These will not be tried again: {listed}.\n\n`bouncesink queue list --state failed` "
            "says why; `bouncesink queue retry --kind KIND --all` has them done again.",
            seen.now,
        )
    if seen.reviews > config.review_above:
        yield begun(
            REVIEW,
            f"{seen.reviews:,} bounces wait for review",
            f"More than {config.review_above:,} wait for a person: new wordings that no rule "
            "knows, or a flood.\n\n`bouncesink review list` shows them, `bouncesink review "
            "suggest-rule` drafts a rule for many at once.",
            seen.now,
        )
    if (last := seen.totals.last_arrival_at) and _is_silent(seen, last, config):
        yield _about_silence(seen, last)


def _is_over(alert: Action, seen: Snapshot, config: AlertsConfig) -> bool:
    about = about_of(alert)
    if about.startswith(TROUBLE):
        return about.removeprefix(TROUBLE) not in {trouble.part for trouble in seen.troubles}
    if about == DEAD_LETTERS:
        return not seen.dead_letters
    if about == REVIEW:
        return seen.reviews <= config.review_above * _ENDS_AT
    if about == SILENCE:
        last = seen.totals.last_arrival_at
        return last is not None and last > alert.created_at
    return False


def _is_silent(seen: Snapshot, last: datetime, config: AlertsConfig) -> bool:
    return (
        seen.now - last >= timedelta(seconds=config.silence_after)
        and seen.now - seen.started_at >= SETTLING
        and sum(count > 0 for count in seen.past) >= ENOUGH_WEEKS
        and sum(seen.past) >= ENOUGH_ARRIVALS
    )


def _about_silence(seen: Snapshot, last: datetime) -> Action:
    hours = (seen.now - last).total_seconds() / 3600
    counts = ", ".join(f"{count:,}" for count in seen.past)
    return begun(
        SILENCE,
        f"nothing has arrived for {hours:.0f} hours",
        f"The last bounce came at {last:%Y-%m-%d %H:%M} UTC. In the same hours of the last weeks "
        f"as many as these came: {counts}.\n\nDoes the mail server still hand over, or the "
        "forwarding rule still forward? Its queue and its log tell; so does a test mail to a "
        "mailbox that does not exist.",
        seen.now,
    )


def _about_trouble(trouble: Trouble, now: datetime) -> Action:
    subject = (
        "the sheet cannot be brought up to date"
        if trouble.part == SHEET
        else f"{trouble.part} has trouble"
    )
    return begun(
        f"{TROUBLE}{trouble.part}",
        subject,
        f"Since {trouble.since:%Y-%m-%d %H:%M} UTC: {trouble.text}\n\n`bouncesink status` says "
        "what to do.",
        now,
    )
