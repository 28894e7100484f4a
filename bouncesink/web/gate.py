"""The gate: may this address be mailed. Whoever sends asks here, one by one or in batches."""

import json
from typing import Any

from aiohttp import web

from bouncesink.address import normalise
from bouncesink.engine.answers import Answer, answers
from bouncesink.errors import InputError
from bouncesink.ledger import Ledger
from bouncesink.web.context import AppContext
from bouncesink.web.openapi import DESCRIPTION
from bouncesink.web.tokens import Tokens

MAX_BATCH = 10_000
"""Addresses in one request."""

QUICK = 100
"""Up to so many are looked up in the loop itself."""


def routes(context: AppContext) -> list[web.RouteDef]:
    config, ledgers = context.config, context.ledgers
    tokens = Tokens(config.web.tokens)

    async def one(request: web.Request) -> web.Response:
        tokens.holder(request)
        given = request.match_info["email"]
        address = _address(given)
        found = ledgers.quickly(lambda ledger: answers(ledger, [address], config))
        return web.json_response({"email": given, **found[address].as_json()})

    async def several(request: web.Request) -> web.Response:
        tokens.holder(request)
        given = _addresses(await request.read(), request.content_type)
        wanted = {email: normalise(email) for email in given}
        known = [address for address in wanted.values() if address]

        def look_up(ledger: Ledger) -> dict[str, Answer]:
            return answers(ledger, known, config)

        quick = len(known) <= QUICK
        found = ledgers.quickly(look_up) if quick else await ledgers.read(look_up)
        results: list[dict[str, Any]] = [
            {"email": email, **found[address].as_json()}
            if address
            else {"email": email, "mailable": False, "error": "not an e-mail address"}
            for email, address in wanted.items()
        ]
        return web.json_response({"addresses": results})

    async def description(_: web.Request) -> web.Response:
        return web.json_response(DESCRIPTION)

    return [
        web.get("/v1/addresses/{email}", one),
        web.post("/v1/addresses", several),
        web.get("/v1/openapi.json", description),
    ]


def _address(given: str) -> str:
    address = normalise(given)
    if address is None or not _is_text(given):
        raise InputError("not an e-mail address")
    return address


def _addresses(body: bytes, media_type: str) -> list[str]:
    """Take `{"addresses": [...]}`. Raises InputError or HTTPUnsupportedMediaType."""
    if media_type != "application/json":
        raise web.HTTPUnsupportedMediaType(reason="application/json is wanted")
    try:
        given = json.loads(body)["addresses"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InputError('{"addresses": [...]} is wanted') from None
    if not isinstance(given, list) or len(given) > MAX_BATCH:
        raise InputError(f"a list of at most {MAX_BATCH:,} addresses is wanted")
    if not all(isinstance(each, str) and _is_text(each) for each in given):
        raise InputError("every address is a string")
    return given


def _is_text(value: str) -> bool:
    return not any("\ud800" <= c <= "\udfff" for c in value)
