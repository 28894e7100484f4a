"""One address: how it stands, its whole story, and what a person may do about it."""

from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web

from bouncesink.address import normalise
from bouncesink.config import Config
from bouncesink.engine import Engine, utcnow
from bouncesink.engine.answers import Answer, answers
from bouncesink.engine.review import Decision, reinstate
from bouncesink.engine.risk import Assessor
from bouncesink.errors import InputError
from bouncesink.fold import fold
from bouncesink.ledger import Ledger
from bouncesink.model import Act, Action, Contact, Event, Lead, TrustLevel
from bouncesink.risk import Risk
from bouncesink.web.access.guard import form_of
from bouncesink.web.pages.render import path_of, see_other
from bouncesink.web.pages.site import Site, words

_MOST_STEPS = 200
"""The latest events of an address that are shown, each with the state that it led to."""

_MOST_FOLDED = 20_000
"""Events that are folded for that: each state is a fold of all that came before it."""

_MOST_FOUND = 50


@dataclass(frozen=True, slots=True)
class Step:
    """An event, and the state of the address after it."""

    event: Event
    then: Contact
    changed: bool


@dataclass(frozen=True, slots=True)
class Story:
    answer: Answer
    contact: Contact
    steps: Sequence[Step]
    leads: Sequence[Lead]
    actions: Sequence[Action]
    risk: Risk
    older: int


def routes(site: Site) -> list[web.RouteDef]:
    ledgers, config = site.context.ledgers, site.context.config

    async def one(request: web.Request) -> web.Response:
        session = site.guard.require(request)
        address = _address(request.match_info["email"])
        story = await ledgers.read(lambda ledger: _story(ledger, config, address))
        return site.show(request, session, "address.html", story=story, address=address)

    async def search(request: web.Request) -> web.Response:
        session = site.guard.require(request)
        asked = request.query.get("q", "").strip()[:320]
        address = normalise(asked)
        if address is not None and address.isprintable():
            return see_other(path_of(address))
        begins = asked.lower()
        found = await ledgers.read(
            lambda ledger: ledger.contacts_page(
                begins, "", _MOST_FOUND, blocked_only=False, reason=None
            )
        )
        return site.show(request, session, "search.html", asked=asked, contacts=found)

    async def act(request: web.Request) -> web.Response:
        session = await site.guard.require_act(request)
        address, form = _address(request.match_info["email"]), await form_of(request)
        what = form.get("what", "")

        def work(engine: Engine) -> str:
            decision = Decision(session.user.name, words(form))
            return _act(engine, address, what, decision)

        return await site.act(request, session, path_of(address), work)

    return [
        web.get("/addresses", search),
        web.get("/addresses/{email:[^/]+}", one),
        web.post("/addresses/{email:[^/]+}", act),
    ]


def _address(given: str) -> str:
    address = normalise(given)
    if address is None or any("\ud800" <= c <= "\udfff" for c in address):
        raise InputError("this is not an e-mail address")
    return address


def _act(engine: Engine, address: str, what: str, decision: Decision) -> str:
    if what == "reinstate":
        reinstate(engine, address, decision)
        return f"{address} is reinstated."
    if what == "suppress":
        engine.act(Act.SUPPRESS, address, decision.actor, decision.reason)
        return f"{address} must not be mailed from now on."
    if what == "unsuppress":
        engine.act(Act.UNSUPPRESS, address, decision.actor, decision.reason)
        return f"{address} is no longer blocked by hand."
    raise InputError("reinstate, suppress or unsuppress is wanted")


def _story(ledger: Ledger, config: Config, address: str) -> Story:
    events = sorted(
        ledger.events_of([address]).get(address, ()),
        key=lambda event: (event.occurred_at, event.id),
    )
    most = min(_MOST_STEPS, max(_MOST_FOLDED // max(len(events), 1), 1))
    shown = events[-most:]
    return Story(
        answer=answers(ledger, [address], config)[address],
        contact=ledger.contacts([address]).get(address) or Contact(address),
        steps=_steps(address, events, len(shown), config)[::-1],
        leads=ledger.leads_of([address]).get(address, []),
        actions=ledger.open_actions([address]),
        risk=Assessor(ledger, config, utcnow()).assess([address])[address],
        older=len(events) - len(shown),
    )


def _steps(address: str, events: Sequence[Event], shown: int, config: Config) -> list[Step]:
    require = TrustLevel(config.trust.require)
    first = len(events) - shown
    before = fold(address, events[:first], config.policy, require)
    steps = []
    for number in range(first, len(events)):
        then = fold(address, events[: number + 1], config.policy, require)
        steps.append(Step(events[number], then, then != before))
        before = then
    return steps
