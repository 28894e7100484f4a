"""The gate's description in OpenAPI 3.1: what it takes, and what it answers."""

from typing import Any

from bouncesink import __version__
from bouncesink.model import Reason

_TIME = {"type": ["string", "null"], "format": "date-time"}

_ANSWER: dict[str, Any] = {
    "type": "object",
    "required": ["email", "mailable"],
    "properties": {
        "email": {"type": "string", "description": "as it was asked for"},
        "address": {"type": "string", "description": "in the one spelling that counts"},
        "mailable": {"type": "boolean", "description": "false blocks any further outreach"},
        "reasons": {"type": "array", "items": {"enum": [reason.value for reason in Reason]}},
        "since": _TIME | {"description": "when the first of the reasons began to hold"},
        "bounce_type": {"enum": ["HARD", "SOFT", None]},
        "bounce_count": {"type": "integer", "minimum": 0},
        "evidence": {
            "type": "array",
            "description": "the latest counted bounces, the oldest first",
            "items": {
                "type": "object",
                "required": ["occurred_at", "code", "message_id"],
                "properties": {
                    "occurred_at": {"type": "string", "format": "date-time"},
                    "code": {"type": "string"},
                    "message_id": {"type": "string"},
                },
            },
        },
        "said": {
            "type": ["string", "null"],
            "description": "the sentence of the bounce that made it HARD",
        },
        "error": {"type": "string", "description": "why there is no answer, in a batch"},
    },
}


def _json(schema: dict[str, Any], words: str) -> dict[str, Any]:
    return {"description": words, "content": {"application/json": {"schema": schema}}}


_ERROR = {"$ref": "#/components/schemas/Error"}
_ERRORS = {
    "400": _json(_ERROR, "what was asked for is no address, or no list of them"),
    "401": _json(_ERROR, "a token is wanted"),
    "503": _json(_ERROR, "the ledger cannot be asked now; try again later"),
}
_BODY_ERRORS = {
    "413": _json(_ERROR, "the body is too long"),
    "415": _json(_ERROR, "the body is not application/json"),
}

DESCRIPTION: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {
        "title": "bouncesink gate",
        "version": __version__,
        "description": "May this address be mailed? An address that nothing is known of may be.",
        "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    },
    "servers": [{"url": "/"}],
    "security": [{"token": []}, {}],
    "paths": {
        "/v1/addresses/{email}": {
            "get": {
                "operationId": "askOne",
                "summary": "Ask about one address",
                "parameters": [
                    {
                        "name": "email",
                        "in": "path",
                        "required": True,
                        "schema": {"type": "string", "format": "idn-email", "maxLength": 320},
                    }
                ],
                "responses": {
                    "200": _json({"$ref": "#/components/schemas/Answer"}, "the answer"),
                    **_ERRORS,
                },
            }
        },
        "/v1/addresses": {
            "post": {
                "operationId": "askSeveral",
                "summary": "Ask about up to 10,000 addresses",
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {
                            "schema": {
                                "type": "object",
                                "required": ["addresses"],
                                "properties": {
                                    "addresses": {
                                        "type": "array",
                                        "maxItems": 10_000,
                                        "items": {"type": "string"},
                                    }
                                },
                            }
                        }
                    },
                },
                "responses": {
                    "200": _json(
                        {
                            "type": "object",
                            "required": ["addresses"],
                            "properties": {
                                "addresses": {
                                    "type": "array",
                                    "items": {"$ref": "#/components/schemas/Answer"},
                                }
                            },
                        },
                        "an answer for each address, once, in the order in which they were given",
                    ),
                    **_ERRORS,
                    **_BODY_ERRORS,
                },
            }
        },
    },
    "components": {
        "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        "schemas": {
            "Answer": _ANSWER,
            "Error": {
                "type": "object",
                "required": ["error"],
                "properties": {"error": {"type": "string"}},
            },
        },
    },
}
