"""Removals from SmartLead's campaigns, carried out by its API.

API: api.smartlead.ai. `GET /leads/?email=` gives the lead and its campaigns, and
`DELETE /campaigns/{campaign}/leads/{lead}` removes it from one. An answer of another shape than we
know ends in a dead letter that says so: nothing is guessed.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bouncesink.config import SmartLeadConfig
from bouncesink.errors import PermanentSinkError, TemporarySinkError
from bouncesink.model import Action, ActionKind, ActionState
from bouncesink.outbox.rest import Answer, Rest, Secret, TryLater, buckets, words
from bouncesink.outbox.worker import Done, May, Outcome

LIMITS = ((5, 5.0), (8, 45 / 60), (400, 500 / 3600))
"""How many calls at once, and how many a second in the long run.

SmartLead grants 10 a second, 60 a minute and 1000 an hour: we make 10, 53 and 900 at the most.
"""


@dataclass(frozen=True, slots=True)
class _Found:
    """A lead and its campaigns, by their numbers in SmartLead."""

    lead: str
    campaigns: Sequence[str]


class Api:
    """What each sink of SmartLead's has: the key, and the way to call within `limits`."""

    limits: Sequence[tuple[int, float]]

    def __init__(self, config: SmartLeadConfig) -> None:
        assert config.key_file is not None, "without a key there is no API"
        self._file = config.key_file
        self._secret = Secret(self._file, parameter="api_key")
        base = config.base_url.rstrip("/")
        self._rest = Rest(base, "SmartLead", self._secret, buckets(*self.limits))

    def check(self) -> None:
        self._secret.read()


class SmartLead(Api):
    """See `QueueSink`."""

    name = "smartlead"
    kind = ActionKind.SMARTLEAD_REMOVAL
    takes = (ActionState.PENDING, ActionState.APPROVED)
    limits = LIMITS
    batch = 1
    """As its quota may keep us waiting: nobody is to hold what he cannot do soon."""

    def perform(self, actions: Sequence[Action], may: May) -> Iterator[tuple[Action, Outcome]]:
        for action in actions:
            if outcome := self._remove(action, may):
                yield action, outcome

    def _remove(self, action: Action, may: May) -> Outcome | None:
        """Remove a lead from each of its campaigns; None when we may not."""
        found = self._find(action)
        if not isinstance(found, _Found):
            return found
        refused = False
        for campaign in found.campaigns:
            path = f"/campaigns/{campaign}/leads/{found.lead}"
            if not may(action, self._rest.shown("DELETE", path)):
                refused = True
                continue  # in a dry run, the others are to be shown, too
            answer = self._rest.call("DELETE", path)
            if answer.status not in (200, 204, 404):
                return refusal(answer, self._file)
        if refused:
            return None
        if not found.campaigns:
            return Done(f"lead {found.lead} is in no campaign")
        return Done(f"lead {found.lead} removed from {', '.join(found.campaigns)}")

    def _find(self, action: Action) -> _Found | Outcome:
        answer = self._rest.call("GET", "/leads/", parameters={"email": action.address or ""})
        lead = answer.json
        if answer.status == 404 or (answer.status == 200 and lead in ({}, [])):
            return Done("SmartLead has no lead with this address")
        if answer.status != 200:
            return refusal(answer, self._file)
        if lead is None:
            return TemporarySinkError("SmartLead answered with something that is no JSON")
        found = number(lead.get("id")) if isinstance(lead, dict) else None
        if found is None:
            return PermanentSinkError(f"SmartLead gave no number of the lead: {_shape(lead)}")
        campaigns = _campaigns(lead, action)
        if campaigns is None:
            return PermanentSinkError(f"SmartLead gave no campaigns of {found}: {_shape(lead)}")
        return _Found(found, campaigns)


def refusal(answer: Answer, file: Path) -> Outcome:
    """Say what a refusal means; raise TryLater when no call can go well for now."""
    said = f"({answer.status}: {words(answer)})"
    if answer.status in (401, 403):
        raise TryLater(
            f"SmartLead does not accept the key in {file} {said}. Put a valid one there; "
            "it is read anew at each attempt."
        )
    if answer.status in (400, 422):
        return PermanentSinkError(f"SmartLead refused it {said}")
    return TemporarySinkError(f"SmartLead answered something unexpected {said}")


def _campaigns(lead: dict[str, Any], action: Action) -> list[str] | None:
    """Give the numbers of the campaigns that a lead is in; None where nothing tells."""
    told = lead.get("lead_campaign_data")
    named = number(action.payload.get("campaign"))
    if not isinstance(told, list):
        return [named] if named else None
    found = [number(each.get("campaign_id")) for each in told if isinstance(each, dict)]
    if len(found) < len(told) or None in found:
        return None
    return list(dict.fromkeys(each for each in found if each))


def number(value: object) -> str | None:
    """Give a number as digits: it goes into a path."""
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    return text if re.fullmatch(r"[0-9]{1,18}", text) else None


def _shape(value: object) -> str:
    """Name what an answer holds, without its content."""
    if isinstance(value, dict):
        return "an object of " + ", ".join(str(name)[:40] for name in list(value)[:20])
    return f"a {type(value).__name__}"
