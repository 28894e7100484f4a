"""Templates to pages."""

import hashlib
import unicodedata
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape

from bouncesink import __version__
from bouncesink.web.access.sessions import Session

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy of every page: nothing inline runs, nothing comes from elsewhere."""

_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode categories that hide, reorder or break text."""

_MANY = 10_000
"""Characters that are remembered, with how they are shown."""

STATIC = Path(__file__).parent.parent / "static"


def page(
    template: str, session: Session | None, /, *, status: int = 200, **values: Any
) -> web.Response:
    """Render a template; it has `session`, `version` and these values."""
    text = (
        environment().get_template(template).render(session=session, version=__version__, **values)
    )
    # With no-referrer, browsers name no origin with a form, and the guard wants to see it.
    headers = {"Content-Security-Policy": POLICY, "Referrer-Policy": "same-origin"}
    return web.Response(text=text, status=status, content_type="text/html", headers=headers)


def path_of(address: str) -> str:
    """Give the page of an address."""
    return f"/addresses/{segment(address)}"


def segment(text: str) -> str:
    """Give text as one segment of a path, whatever is in it."""
    return quote(text, safe="")


def see_other(path: str) -> web.Response:
    """Lead on to a page of ours, after a form."""
    return web.Response(status=303, headers={"Location": path})


@cache
def versions() -> dict[str, str]:
    """Give our own files by name, each with what changes when it does."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        for path in STATIC.iterdir()
        if path.is_file()
    }


def static(name: str) -> str:
    """Give where one of our own files is: a browser keeps it for as long as it is this one."""
    return f"/static/{name}?v={versions()[name]}"


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
    made.filters["marked"] = marked
    made.filters["segment"] = segment
    made.globals["path_of"] = path_of
    made.globals["static"] = static
    return made


def when(time: datetime | None) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC") if time else "never"


def plain(text: object, width: int = 0) -> str:
    """Show what would hide or reorder text as its number, and cut to `width` characters if given.

    Line ends and tabs stay: a template decides what becomes of them.
    """
    given = str(text if text is not None else "")[: width * 4 or None]
    shown = given if given.isprintable() else given.translate(_SHOWN)
    return shown[: width - 1] + "…" if width and len(shown) > width else shown


class _Shown(dict[int, str]):
    """How each character is shown; a mail of 256 kB would take long to look up one by one."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        unseen = char not in "\n\t" and unicodedata.category(char) in _UNSEEN
        shown = f"\\u{code:04x}" if unseen else char
        if len(self) < _MANY:
            self[code] = shown
        return shown


_SHOWN = _Shown()


def marked(text: str, words: str) -> Markup:
    """Show a sentence with the words in it that a rule spoke about, whatever their case."""
    shown, sought = plain(text), plain(words)
    at = shown.casefold().find(sought.casefold()) if sought else -1
    if at < 0 or len(shown.casefold()) != len(shown):
        return escape(shown)
    end = at + len(sought)
    return Markup("{}<mark>{}</mark>{}").format(shown[:at], shown[at:end], shown[end:])
