"""Templates to pages."""

import unicodedata
from datetime import UTC, datetime
from functools import cache
from typing import Any

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from bouncesink import __version__
from bouncesink.web.access.sessions import Session

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy of every page: nothing inline runs, nothing comes from elsewhere."""

_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode categories that hide, reorder or break text."""


def page(
    template: str, session: Session | None, /, *, status: int = 200, **values: Any
) -> web.Response:
    """Render a template; it has `session`, `version` and these values."""
    text = (
        environment().get_template(template).render(session=session, version=__version__, **values)
    )
    headers = {"Content-Security-Policy": POLICY}
    return web.Response(text=text, status=status, content_type="text/html", headers=headers)


def see_other(path: str) -> web.Response:
    """Lead on to a page of ours, after a form."""
    return web.Response(status=303, headers={"Location": path})


@cache
def environment() -> Environment:
    made = Environment(
        loader=PackageLoader("bouncesink.web", "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["when"] = when
    made.filters["plain"] = plain
    return made


def when(time: datetime | None) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC") if time else "never"


def plain(text: object, width: int = 0) -> str:
    """Show what would hide or reorder text as its number, and cut to `width` characters if given.

    Line ends and tabs stay: a template decides what becomes of them.
    """
    shown = "".join(
        c if c in "\n\t" or unicodedata.category(c) not in _UNSEEN else f"\\u{ord(c):04x}"
        for c in str(text if text is not None else "")[: width * 4 or None]
    )
    return shown[: width - 1] + "…" if width and len(shown) > width else shown
