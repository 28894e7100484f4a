"""What the parts of the page share: the guard, the ledger, the way to act, and what is on each."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any, TypeVar

from aiohttp import web

from bouncesink.engine import Engine
from bouncesink.errors import AlreadyDecided, InputError
from bouncesink.ledger import Totals, open_ledger
from bouncesink.model import OPEN, ActionKind, ActionState
from bouncesink.outbox.queues import KINDS
from bouncesink.web.access.guard import Guard, is_by_script
from bouncesink.web.access.sessions import Session
from bouncesink.web.context import AppContext
from bouncesink.web.pages.render import page, see_other

PAGE = 50
"""Rows of a list on one page."""

MOST_WORDS = 500
"""Characters of a reason."""

BEGUN = web.RequestKey("begun", bool)
"""Set once a part of the answer is on its way, so that nothing else can be answered any more."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Site:
    """Belongs to the web server's event loop."""

    context: AppContext
    guard: Guard

    def show(
        self, request: web.Request, session: Session, template: str, **values: Any
    ) -> web.Response:
        """Render a page with what every page has: the person, what waits, what was done."""
        said = None
        if request.method == "GET" and not is_by_script(request):
            said, session.said = session.said, None
        totals = self.context.ledgers.quick.totals()
        return page(
            template,
            session,
            here=request.path,
            said=said,
            waiting=waiting(totals),
            totals=totals,
            **values,
        )

    async def act(
        self,
        request: web.Request,
        session: Session,
        back: str,
        work: Callable[[Engine], str],
    ) -> web.Response:
        """Have `work` done by the engine in a thread of its own, and go on to `back`.

        It gives the words that say what was done; a person's mistake is told in their place. A
        script is given these words alone, to put in the place of what they are about.
        """

        def do() -> str:
            with closing(open_ledger(self.context.config.ledger.path)) as ledger:
                return work(Engine(ledger, self.context.config))

        settled = True
        try:
            said = (await asyncio.to_thread(do), True)
        except AlreadyDecided as error:
            said = (str(error), False)
        except InputError as error:
            said, settled = (str(error), False), False
        if not is_by_script(request):
            session.said = said
            return see_other(back)
        response = page("said.html", session, said=said, waiting=self._waiting())
        if not settled:
            response.headers["HX-Reswap"] = "beforebegin"
        return response

    def _waiting(self) -> Mapping[ActionKind, int]:
        return waiting(self.context.ledgers.quick.totals())


def waiting(totals: Totals) -> Mapping[ActionKind, int]:
    """Count what is open of each kind, reviews and alerts among them."""
    counts = {
        kind: sum(totals.actions.get((kind, state), 0) for state in OPEN) for kind in ActionKind
    }
    return {kind: count for kind, count in counts.items() if count}


def failed(totals: Totals) -> int:
    return sum(totals.actions.get((kind, ActionState.FAILED), 0) for kind in KINDS)


def words(form: Mapping[str, str], name: str = "reason") -> str:
    """Give what a person wrote into a field. Raises InputError where there is nothing."""
    text = form.get(name, "").strip()[:MOST_WORDS]
    if not text:
        raise InputError(f"{name}: some words are wanted")
    return text


def number(text: str | None) -> int | None:
    """Give the number of a query, None where there is none that could be meant."""
    return int(text) if text and text.isdecimal() and len(text) < 19 else None


def position(request: web.Request) -> tuple[int, int]:
    """Give after which action a page begins, by priority and number."""
    return number(request.query.get("priority")) or 0, number(request.query.get("after")) or 0


def one_of(kind: Callable[[str], T], text: str | None) -> T | None:
    """Give a member of an enum by its value; None where the query names none."""
    try:
        return kind(text) if text else None
    except ValueError:
        return None
