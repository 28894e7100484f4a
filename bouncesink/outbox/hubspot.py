"""Proposals for HubSpot, carried out by its API: a note appended, and a property set.

The note is read first, so that what a person wrote stays and what we wrote is not written twice.
API: developers.hubspot.com, CRM, contacts (v3): batch/read, batch/update, at most 100 a call.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bouncesink.config import HubSpotConfig
from bouncesink.errors import PermanentSinkError, SinkError, TemporarySinkError
from bouncesink.model import Action, ActionKind, ActionState
from bouncesink.outbox.rest import Answer, Rest, Secret, TryLater, buckets, segment, words
from bouncesink.outbox.worker import Done, May, Outcome

NOTES = "lead_source_notes"
BOUNCED = "email_bounced"
NOTES_LIMIT = 65_536
"""Characters that HubSpot keeps of a property."""

_CONTACTS = "/crm/v3/objects/contacts"
_NO_PROPERTY = re.compile(rb"PROPERTY_DOESNT_EXIST|Property \S+ does not exist")
_READ = (NOTES, BOUNCED, "email", "hs_additional_emails")

LIMITS = ((20, 8.0),)
"""How many calls at once, and how many a second: HubSpot grants 100 in 10 s at the least."""


@dataclass(frozen=True, slots=True)
class _Contact:
    id: str
    properties: Mapping[str, Any]

    def text(self, name: str) -> str:
        value = self.properties.get(name)
        return value if isinstance(value, str) else ""

    def addresses(self) -> set[str]:
        more = self.text("hs_additional_emails").split(";")
        return {each.strip().lower() for each in (self.text("email"), *more) if each.strip()}


@dataclass(frozen=True, slots=True)
class _Update:
    """What is to become of one contact, and the actions that want it."""

    id: str
    properties: Mapping[str, str]
    actions: Sequence[Action]


class HubSpot:
    """See `QueueSink`. Several proposals may be about one contact, by its several addresses."""

    name = "hubspot"
    kind = ActionKind.HUBSPOT_PROPOSAL
    batch = 100

    def __init__(self, config: HubSpotConfig) -> None:
        assert config.token_file is not None, "without a token there is no API"
        self._file = config.token_file
        self._secret = Secret(self._file, header="Bearer")
        base = config.base_url.rstrip("/")
        self._rest = Rest(base, "HubSpot", self._secret, buckets(*LIMITS))
        auto = config.approve == "auto"
        self.takes = (ActionState.APPROVED, *((ActionState.PENDING,) if auto else ()))

    def check(self) -> None:
        self._secret.read()

    def perform(self, actions: Sequence[Action], may: May) -> Iterator[tuple[Action, Outcome]]:
        contacts: dict[str, _Contact] = {}
        wanting: dict[str, list[Action]] = {}
        known = self._read([action.address or "" for action in actions])
        for action in actions:
            address = action.address or ""
            contact = known.get(address) or self._read_one(address)
            if isinstance(contact, SinkError):
                yield action, contact
                continue
            if not _wanted(contact, [action]):
                yield action, Done("HubSpot had it already")
                continue
            contacts[contact.id] = contact
            wanting.setdefault(contact.id, []).append(action)
        updates: list[_Update] = []
        for id_, some in wanting.items():
            contact = contacts[id_]
            if len(_wanted(contact, some).get(NOTES, "")) > NOTES_LIMIT:
                full = PermanentSinkError(f"{NOTES} of contact {id_} is full: shorten it")
                yield from ((action, full) for action in some)
                continue
            one = {"id": id_, "properties": _wanted(contact, some)}
            told = self._rest.shown("POST", f"{_CONTACTS}/batch/update", {"inputs": [one]})
            if granted := [action for action in some if may(action, told)]:
                updates.append(_Update(id_, _wanted(contact, granted), granted))
        if updates:
            yield from self._write(updates)

    def _read(self, addresses: Sequence[str]) -> dict[str, _Contact]:
        """Give the contacts that HubSpot finds by these addresses."""
        body = {
            "idProperty": "email",
            "properties": list(_READ),
            "inputs": [{"id": address} for address in dict.fromkeys(addresses)],
        }
        answer = self._rest.call("POST", f"{_CONTACTS}/batch/read", body)
        if answer.status not in (200, 207):
            if answer.status in (400, 404):
                return {}  # one by one, it says which
            raise self._refusal(answer)
        found = [contact for each in _list(answer, "results") if (contact := _contact(each))]
        return {address: contact for contact in found for address in contact.addresses()}

    def _read_one(self, address: str) -> _Contact | SinkError:
        answer = self._rest.call(
            "GET",
            f"{_CONTACTS}/{segment(address)}",
            parameters={"idProperty": "email", "properties": ",".join(_READ)},
        )
        if answer.status == 404:
            return PermanentSinkError(f"HubSpot has no contact with the address {address}")
        if answer.status != 200:
            return self._for_one(answer)
        contact = _contact(answer.json)
        return contact or TemporarySinkError("HubSpot answered with no contact")

    def _write(self, updates: Sequence[_Update]) -> Iterator[tuple[Action, Outcome]]:
        inputs = [{"id": update.id, "properties": update.properties} for update in updates]
        answer = self._rest.call("POST", f"{_CONTACTS}/batch/update", {"inputs": inputs})
        if answer.status in (400, 404, 409):
            # All or none: find out which it was by doing each by itself.
            for update in updates:
                alone = self._write_one(update)
                yield from ((action, alone) for action in update.actions)
            return
        if answer.status not in (200, 201, 207):
            raise self._refusal(answer)
        written = {str(each.get("id")) for each in _list(answer, "results")}
        refused = {
            str(id_): str(error.get("message", "refused"))[:300]
            for error in _list(answer, "errors")
            for id_ in _ids(error)
        }
        for update in updates:
            outcome: Outcome
            if update.id in written:
                outcome = Done(f"contact {update.id} updated")
            elif update.id in refused:
                outcome = PermanentSinkError(f"HubSpot refused it: {refused[update.id]}")
            else:
                outcome = TemporarySinkError("HubSpot did not say what came of it")
            yield from ((action, outcome) for action in update.actions)

    def _write_one(self, update: _Update) -> Outcome:
        path = f"{_CONTACTS}/{segment(update.id)}"
        answer = self._rest.call("PATCH", path, {"properties": update.properties})
        if answer.status == 200:
            return Done(f"contact {update.id} updated")
        return self._for_one(answer)

    def _for_one(self, answer: Answer) -> SinkError:
        """Give what a refusal means for one contact; raise what it means for all."""
        error = self._refusal(answer)
        if isinstance(error, TryLater):
            raise error
        return error

    def _refusal(self, answer: Answer) -> SinkError:
        """Say what a refusal means; a TryLater means that no call can go well for now."""
        said = f"({answer.status}: {words(answer)})"
        if answer.status == 401:
            return TryLater(
                f"HubSpot does not accept the token in {self._file} {said}. Put the token of a "
                "private app there; it is read anew at each attempt."
            )
        if answer.status == 403:
            return TryLater(
                f"HubSpot forbids it {said}. The private app needs the scopes "
                "crm.objects.contacts.read and crm.objects.contacts.write."
            )
        if answer.status == 400 and _NO_PROPERTY.search(answer.body):
            return TryLater(
                f"HubSpot lacks a property {said}. Create {NOTES} (multi-line text) and {BOUNCED} "
                "(single checkbox) for contacts."
            )
        if answer.status in (400, 404, 422):
            return PermanentSinkError(f"HubSpot refused it {said}")
        return TemporarySinkError(f"HubSpot answered something unexpected {said}")


def _wanted(contact: _Contact, actions: Sequence[Action]) -> dict[str, str]:
    """Give the properties that are not yet as these actions want them."""
    before = note = contact.text(NOTES)
    for action in actions:
        mark = action.payload.get("lead_source_notes_append", "")
        if mark not in note:
            note += mark
    wanted = {} if note == before else {NOTES: note}
    if contact.text(BOUNCED).lower() != "true":
        wanted[BOUNCED] = "true"
    return wanted


def _contact(value: Any) -> _Contact | None:
    if not isinstance(value, dict) or not isinstance(value.get("properties"), dict):
        return None
    id_ = value.get("id")
    return _Contact(str(id_), value["properties"]) if isinstance(id_, str | int) else None


def _list(answer: Answer, name: str) -> list[dict[str, Any]]:
    said = answer.json
    found = said.get(name) if isinstance(said, dict) else None
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _ids(error: Mapping[str, Any]) -> list[Any]:
    context = error.get("context")
    ids = context.get("ids") if isinstance(context, dict) else None
    return ids if isinstance(ids, list) else []
