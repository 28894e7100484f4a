"""The settings as they are, and what operators did last.

Of secrets only the files show, and of addresses on the web, which may hold one, only the host.
"""

import dataclasses
import re
from collections.abc import Iterator, Mapping
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
    found = []
    for each in dataclasses.fields(section):
        value = getattr(section, each.name)
        if dataclasses.is_dataclass(value):
            found += [(f"{each.name}.{name}", shown) for name, shown in _rows(value)]
        else:
            found.append((each.name, _shown(value)))
    return found


def _shown(value: object) -> str:
    if value is None or value in ("", (), {}):
        return "(not set)"
    if isinstance(value, tuple | list | Mapping):  # of a mapping the keys
        return ", ".join(map(_shown, value))
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    return _host_of(text) if "://" in text else text


def _host_of(url: str) -> str:
    scheme, _, rest = url.partition("://")
    netloc, *more = re.split(r"[/?#]", rest, maxsplit=1)
    return f"{scheme}://{netloc.rpartition('@')[2]}" + ("/…" if any(more) else "")
