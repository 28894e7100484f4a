"""What waits for a person: the sentence of the bounce, and what the person says of it."""

from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web

from bouncesink.address import normalise
from bouncesink.engine import Engine
from bouncesink.engine.review import Decision, behind, confirm, dismiss, find, is_flood
from bouncesink.errors import InputError
from bouncesink.ledger import Ledger, Settlement
from bouncesink.model import OPEN, Action, ActionKind, Contact, Event
from bouncesink.web.access.guard import form_of
from bouncesink.web.pages.site import PAGE, Site, position, words

_EVENTS = 20
"""Of those that one item stands for, how many are shown."""


@dataclass(frozen=True, slots=True)
class Item:
    """A review item with what it is about."""

    action: Action
    event: Event | None
    arrival: Settlement | None
    contact: Contact | None

    @property
    def is_flood(self) -> bool:
        return is_flood(self.action)

    @property
    def said(self) -> str:
        report = self.event.report if self.event else None
        told = self.action.payload.get("diagnostic") or self.action.payload.get("note")
        return (report.diagnostic if report else None) or told or ""

    @property
    def evidence(self) -> str:
        verdict = self.event.verdict if self.event else None
        return verdict.evidence if verdict else ""

    @property
    def arrival_id(self) -> str | None:
        return self.action.arrival_id or (self.event.arrival_id if self.event else None)


def routes(site: Site) -> list[web.RouteDef]:
    ledgers, config = site.context.ledgers, site.context.config

    async def list_(request: web.Request) -> web.Response:
        session = site.guard.require(request)
        after = position(request)

        def read(ledger: Ledger) -> tuple[list[Item], tuple[int, int] | None]:
            page = ledger.actions_page(ActionKind.REVIEW, OPEN, after, PAGE + 1)
            more = page[PAGE - 1][0] if len(page) > PAGE else None
            return _items(ledger, [action for _, action in page[:PAGE]]), more

        items, more = await ledgers.read(read)
        return site.show(request, session, "review.html", items=items, more=more, after=after)

    async def one(request: web.Request) -> web.Response:
        session = site.guard.require(request)
        key = request.match_info["key"]

        def read(ledger: Ledger) -> tuple[Item, list[Event]]:
            action = _exact(ledger, key)
            return _items(ledger, [action])[0], behind(ledger, config, action)[:_EVENTS]

        try:
            item, events = await ledgers.read(read)
        except InputError as error:
            raise web.HTTPNotFound(reason=str(error)) from None
        return site.show(request, session, "review_item.html", item=item, events=events)

    async def decide(request: web.Request) -> web.Response:
        session = await site.guard.require_act(request)
        form = await form_of(request)
        key, what = request.match_info["key"], form.get("what", "")

        def work(engine: Engine) -> str:
            action = _exact(engine.ledger, key)
            decision = Decision(session.user.name, words(form))
            if what == "dismiss":
                count = dismiss(engine, action, decision)
                return f"Dismissed: {count:,} notification{'' if count == 1 else 's'}."
            if what != "confirm":
                raise InputError("confirm or dismiss is wanted")
            return _confirm(engine, action, decision, form)

        return await site.act(request, session, "/review", work)

    return [
        web.get("/review", list_),
        web.get("/review/{key:[^/]+}", one),
        web.post("/review/{key:[^/]+}", decide),
    ]


def _confirm(engine: Engine, action: Action, decision: Decision, form: Mapping[str, str]) -> str:
    given = form.get("address", "").strip()
    address = normalise(given) if given else None
    if given and address is None:
        raise InputError(f"{given!r} is not an e-mail address")
    event = form.get("event", "").strip() or None
    act = confirm(engine, action, decision, address=address, event=event)
    return f"Confirmed: {act.address} counts as failed from now on."


def _exact(ledger: Ledger, key: str) -> Action:
    """Give the item of this very key: a page knows it whole. Raises InputError."""
    action = find(ledger, key)
    if action.key != key:
        raise InputError("there is no such review item")
    return action


def _items(ledger: Ledger, actions: list[Action]) -> list[Item]:
    addresses = {action.address for action in actions if action.address}
    events = ledger.events(action.event_id for action in actions if action.event_id)
    contacts = ledger.contacts(addresses)
    arrivals = ledger.settlements(action.arrival_id for action in actions if action.arrival_id)
    return [
        Item(
            action,
            events.get(action.event_id or ""),
            arrivals.get(action.arrival_id or ""),
            contacts.get(action.address or ""),
        )
        for action in actions
    ]
