"""The settings as they are, and what operators did last. Of secrets only the files show."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from aiohttp import web

from bouncesink.web.pages.site import Site

_ACTS = 50


def routes(site: Site) -> list[web.RouteDef]:
    async def show(request: web.Request) -> web.Response:
        session = site.guard.require(request)
        acts = await site.context.ledgers.read(lambda ledger: ledger.latest_audit(_ACTS))
        sections = list(_sections(site.context.config))
        return site.show(request, session, "settings.html", sections=sections, acts=acts)

    return [web.get("/settings", show)]


def _sections(config: Any) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    for each in dataclasses.fields(config):
        value = getattr(config, each.name)
        if dataclasses.is_dataclass(value):
            yield f"[{each.name}]", _rows(value)
        elif isinstance(value, tuple):
            for item in value:
                yield f"[[{each.name}]]", _rows(item)


def _rows(section: Any) -> list[tuple[str, str]]:
    return [
        (each.name, _shown(getattr(section, each.name))) for each in dataclasses.fields(section)
    ]


def _shown(value: object) -> str:
    if value is None or value in ("", ()):
        return "(not set)"
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value))
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
