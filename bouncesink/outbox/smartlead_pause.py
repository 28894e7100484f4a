"""Campaigns of SmartLead that are to be paused, by its API.

API: api.smartlead.ai. `POST /campaigns/{campaign}/status` with `{"status": "PAUSED"}`. Written from
its description, and never run against SmartLead itself: an answer of another shape than we know
ends in a dead letter that says so.
"""

from collections.abc import Iterator, Sequence

from bouncesink.errors import PermanentSinkError
from bouncesink.model import Action, ActionKind, ActionState
from bouncesink.outbox.smartlead import Api, number, refusal
from bouncesink.outbox.worker import Done, May, Outcome

LIMITS = ((2, 60 / 3600),)
"""How many calls at once, and a second in the long run: what removals leave of the grant."""


class SmartLeadPause(Api):
    """See `QueueSink`. Takes only what is approved: a pause stops a whole campaign."""

    name = "smartlead-pause"
    kind = ActionKind.CAMPAIGN_PAUSE
    takes = (ActionState.APPROVED,)
    limits = LIMITS
    batch = 1

    def perform(self, actions: Sequence[Action], may: May) -> Iterator[tuple[Action, Outcome]]:
        for action in actions:
            if outcome := self._pause(action, may):
                yield action, outcome

    def _pause(self, action: Action, may: May) -> Outcome | None:
        """Pause a campaign; None when we may not."""
        named = action.payload.get("campaign", "")
        campaign = number(named)
        if campaign is None:
            return PermanentSinkError(
                f"{named[:80]!r} is no number of a campaign of SmartLead: pause it by hand, then "
                "`bouncesink queue done`"
            )
        path, body = f"/campaigns/{campaign}/status", {"status": "PAUSED"}
        if not may(action, self._rest.shown("POST", path)):
            return None
        answer = self._rest.call("POST", path, body)
        if answer.status in (200, 204):
            return Done(f"campaign {campaign} is paused")
        if answer.status == 404:
            return PermanentSinkError(f"SmartLead has no campaign {campaign}")
        return refusal(answer, self._file)
