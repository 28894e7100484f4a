"""What is to be done, by kind: approve, reject, done, and again."""

from collections.abc import Sequence
from urllib.parse import unquote

from aiohttp import web

from bouncesink.engine import Engine, utcnow
from bouncesink.errors import AlreadyDecided, InputError
from bouncesink.ledger import Ledger
from bouncesink.model import OPEN, Action, ActionKind, ActionState
from bouncesink.outbox import queues
from bouncesink.web.access.guard import form_of
from bouncesink.web.pages.site import MOST_WORDS, PAGE, Site, one_of, position

MOVES = {"approve": queues.APPROVE, "reject": queues.REJECT, "done": queues.DONE}
AGAIN = "retry"

_SHOWN = {"open": OPEN, **{state.value: (state,) for state in ActionState}}


def routes(site: Site) -> list[web.RouteDef]:
    ledgers = site.context.ledgers

    async def all_(request: web.Request) -> web.Response:
        session = site.guard.require(request)
        counts = ledgers.quick.totals().actions
        table = {
            kind: {state: counts.get((kind, state), 0) for state in ActionState}
            for kind in queues.KINDS
        }
        return site.show(request, session, "queues.html", table=table, states=list(ActionState))

    async def one(request: web.Request) -> web.Response:
        session = site.guard.require(request)
        kind = _kind(request)
        shown = request.query.get("state", "open")
        states = _SHOWN.get(shown, OPEN)
        after = position(request)
        found = await ledgers.read(lambda led: led.actions_page(kind, states, after, PAGE + 1))
        return site.show(
            request,
            session,
            "queue.html",
            kind=kind,
            shown=shown if shown in _SHOWN else "open",
            choices=list(_SHOWN),
            actions=[action for _, action in found[:PAGE]],
            approves=kind in queues.PROPOSALS,
            chosen="all" in request.query,
            here_on=after,
            more=found[PAGE - 1][0] if len(found) > PAGE else None,
        )

    async def move(request: web.Request) -> web.Response:
        session = await site.guard.require_act(request)
        kind, form = _kind(request), await form_of(request)
        keys = [unquote(key) for key in form.getall("key", [])[:PAGE]]
        what = form.get("what", "")
        reason = form.get("reason", "").strip()[:MOST_WORDS] or None
        by = queues.By(session.user.name, utcnow(), reason)

        def work(engine: Engine) -> str:
            if not keys:
                raise InputError("nothing is chosen")
            return _move(engine.ledger, kind, keys, what, by)

        return await site.act(request, session, f"/queues/{kind}", work)

    return [
        web.get("/queues", all_),
        web.get("/queues/{kind}", one),
        web.post("/queues/{kind}", move),
    ]


def _kind(request: web.Request) -> ActionKind:
    kind = one_of(ActionKind, request.match_info["kind"])
    if kind not in queues.KINDS:
        raise web.HTTPNotFound(reason="there is no such queue")
    return kind


def _move(ledger: Ledger, kind: ActionKind, keys: Sequence[str], what: str, by: queues.By) -> str:
    """Move each; what somebody else has moved meanwhile is told, and holds up no other."""
    done, problems = 0, []
    for key in keys:
        action = _exact(ledger, kind, key)
        try:
            if what == AGAIN:
                queues.retry(ledger, action, by)
            elif what in MOVES:
                queues.move(ledger, action, MOVES[what], by)
            else:
                raise InputError("approve, reject, done or retry is wanted")
            done += 1
        except AlreadyDecided as error:
            problems.append(str(error))
    if problems and not done:
        raise AlreadyDecided("; ".join(problems))
    words = f"{done:,} to be tried again" if what == AGAIN else f"{done:,} {MOVES[what].word}"
    return "; ".join([words, *problems])


def _exact(ledger: Ledger, kind: ActionKind, key: str) -> Action:
    found = [each for each in ledger.find_actions(key, 1) if each.key == key and each.kind is kind]
    if not found:
        raise InputError(f"there is no {kind} {key[:80]!r}")
    return found[0]
