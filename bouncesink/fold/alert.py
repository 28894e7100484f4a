"""PURE. What people are to be told at once: the one door for alerts.

Who finds something that cannot wait stores what `tell` gives with `ledger.add_actions`; from there
on `bouncesink.outbox.alerts` tells it by mail or webhook, at least once, and tries again for as
long as that takes. Where [alerts] names nobody, it waits in the queue `alert` for a person.

An alert is told once for its key: `about` is what it is about, as in `watch:campaign:spring`, and
`turn` what makes it another time, as the day. What begins and ends is told by `begun` and `over`.
"""

from datetime import datetime

from bouncesink.model import Action, ActionKind

SILENCE = "silence"
"""What the alert is about that nothing arrives any more."""

_BEGAN = "began"
_OVER = "over"


def tell(  # noqa: PLR0913, PLR0917 - what an alert says
    about: str, turn: str, subject: str, text: str, now: datetime, address: str | None = None
) -> Action:
    """Make an alert; `subject` is a line, `text` some, with what to do about it at the end."""
    return Action(
        key=f"{ActionKind.ALERT}:{about}:{turn}",
        kind=ActionKind.ALERT,
        created_at=now,
        address=address,
        payload={"about": about, "subject": subject, "text": text, "priority": "1"},
    )


def begun(about: str, subject: str, text: str, now: datetime) -> Action:
    """Tell that something has begun; it stands (`ledger.standing_alerts`) until it is `over`."""
    return tell(about, f"{now:%Y%m%dT%H%M%S}:{_BEGAN}", subject, text, now)


def over(alert: Action, now: datetime) -> Action:
    """Tell that what a standing alert told of is over."""
    subject, text = words(alert)
    lasted = round((now - alert.created_at).total_seconds() / 60)
    told = tell(
        about_of(alert),
        "",
        f"over: {subject}",
        f"It is over, after {lasted:,} minutes.\n\n{text}",
        now,
    )
    return Action(
        key=alert.key.removesuffix(_BEGAN) + _OVER,
        kind=told.kind,
        created_at=now,
        payload=told.payload,
    )


def about_of(alert: Action) -> str:
    return alert.payload.get("about", "")


def words(alert: Action) -> tuple[str, str]:
    """Give the subject and the text, also of alerts of floods, which the fold makes without."""
    if subject := alert.payload.get("subject"):
        return subject, alert.payload.get("text", "")
    why = alert.payload.get("why", "unknown")
    whom = f" about {alert.address}" if alert.address else ""
    text = (
        f"So many bounces{whom} want a person ({why}) that they are one item of the review. "
        "They may be forged.\n\nSee `bouncesink review list`; dismissing the item dismisses all."
    )
    return f"a flood of bounces for review{whom} ({why})", text
