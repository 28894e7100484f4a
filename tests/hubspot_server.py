"""HubSpot's contacts, as far as we use them, with its documented answers."""

import json
from typing import Any

from http_service import Call, Reply, Service

TOKEN = "pat-secret-of-the-test"
CONTACTS = "/crm/v3/objects/contacts"


class HubSpotServer(Service):
    """`contacts` are properties by id. A contact `locked` is refused by a validation rule."""

    def __init__(self) -> None:
        super().__init__()
        self.token = TOKEN
        self.contacts: dict[str, dict[str, str]] = {}
        self.known = {"email", "hs_additional_emails", "lead_source_notes", "email_bounced"}
        self.locked: set[str] = set()

    def add(self, id_: str, email: str, **properties: str) -> None:
        self.contacts[id_] = {"email": email, **properties}

    def answer(self, call: Call) -> Reply:
        if call.headers.get("authorization") != f"Bearer {self.token}":
            said = "Authentication credentials not found"
            return _error(401, said, "INVALID_AUTHENTICATION")
        rest = call.path.removeprefix(CONTACTS)
        if (call.method, rest) == ("POST", "/batch/read"):
            return self._batch_read(call.json)
        if (call.method, rest) == ("POST", "/batch/update"):
            return self._batch_update(call.json["inputs"])
        id_ = self._find(rest.removeprefix("/"), call.query.get("idProperty"))
        if id_ is None:
            return _error(404, "resource not found", "OBJECT_NOT_FOUND")
        if call.method == "PATCH":
            properties = call.json["properties"]
            if refused := self._refusal([(id_, properties)]):
                return refused
            self.contacts[id_] |= properties
        return Reply(200, self._shown(id_))

    def _batch_read(self, body: Any) -> Reply:
        asked = [each["id"] for each in body["inputs"]]
        assert len(asked) <= 100
        found = {email: self._find(email, body.get("idProperty")) for email in asked}
        missing = [email for email, id_ in found.items() if id_ is None]
        shown: dict[str, Any] = {
            "status": "COMPLETE",
            "results": [self._shown(id_) for id_ in dict.fromkeys(found.values()) if id_],
        }
        if not missing:
            return Reply(200, shown)
        error = {
            "status": "error",
            "category": "OBJECT_NOT_FOUND",
            "message": "Could not get some CONTACT objects, they may be deleted or not exist.",
            "context": {"ids": missing},
        }
        return Reply(207, shown | {"numErrors": len(missing), "errors": [error]})

    def _batch_update(self, inputs: list[dict[str, Any]]) -> Reply:
        assert len(inputs) <= 100
        if len({each["id"] for each in inputs}) < len(inputs):
            return _error(400, "Duplicate IDs found in batch input", "VALIDATION_ERROR")
        if refused := self._refusal([(each["id"], each["properties"]) for each in inputs]):
            return refused
        for each in inputs:
            self.contacts[each["id"]] |= each["properties"]
        results = [self._shown(each["id"]) for each in inputs]
        return Reply(200, {"status": "COMPLETE", "results": results})

    def _refusal(self, changes: list[tuple[str, dict[str, str]]]) -> Reply | None:
        for id_, properties in changes:
            assert properties
            for name in properties:
                if name not in self.known:
                    said = [
                        {
                            "isValid": False,
                            "message": f'Property "{name}" does not exist',
                            "error": "PROPERTY_DOESNT_EXIST",
                            "name": name,
                        }
                    ]
                    words = f"Property values were not valid: {json.dumps(said)}"
                    return _error(400, words, "VALIDATION_ERROR")
            if id_ in self.locked:
                return _error(400, "a rule of this portal refuses it", "VALIDATION_ERROR")
        return None

    def _find(self, key: str, property_: str | None) -> str | None:
        if property_ != "email":
            return key if key in self.contacts else None
        for id_, properties in self.contacts.items():
            more = properties.get("hs_additional_emails", "").split(";")
            if key in (properties["email"], *more):
                return id_
        return None

    def _shown(self, id_: str) -> dict[str, Any]:
        empty = dict.fromkeys(("lead_source_notes", "email_bounced", "hs_additional_emails"))
        return {"id": id_, "properties": {**empty, **self.contacts[id_]}, "archived": False}


def _error(status: int, message: str, category: str) -> Reply:
    return Reply(status, {"status": "error", "message": message, "category": category})
