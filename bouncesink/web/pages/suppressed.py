"""Who must not be mailed: to look through, and to take along."""

from urllib.parse import urlencode

from aiohttp import web

from bouncesink.ledger import Ledger
from bouncesink.model import Contact, Reason
from bouncesink.outbox.suppression import as_csv
from bouncesink.web.pages.site import BEGUN, PAGE, Site, one_of

_BATCH = 2000


def routes(site: Site) -> list[web.RouteDef]:
    ledgers = site.context.ledgers

    async def list_(request: web.Request) -> web.Response:
        session = site.guard.require(request)
        begins = request.query.get("q", "").strip().lower()[:320]
        after = request.query.get("after", "")[:320]
        reason = one_of(Reason, request.query.get("reason"))
        found = await ledgers.read(
            lambda ledger: ledger.contacts_page(
                begins, after, PAGE + 1, blocked_only=True, reason=reason
            )
        )
        more = None
        if len(found) > PAGE:
            asked = {"q": begins, "reason": reason or "", "after": found[PAGE - 1].address}
            more = f"?{urlencode(asked)}"
        return site.show(
            request,
            session,
            "suppressed.html",
            contacts=found[:PAGE],
            asked=begins,
            reason=reason,
            reasons=list(Reason),
            more=more,
        )

    async def export(request: web.Request) -> web.StreamResponse:
        site.guard.require(request)
        response = web.StreamResponse(
            headers={
                "Content-Type": "text/csv; charset=utf-8",
                "Content-Disposition": 'attachment; filename="suppressed.csv"',
            }
        )
        request[BEGUN] = True
        await response.prepare(request)
        after, header = "", True
        while True:
            page = await ledgers.read(lambda ledger, after=after: _page(ledger, after))  # type: ignore[misc]
            lines = as_csv(iter(page))
            if not header:
                next(lines)
            await response.write("".join(lines).encode())
            if len(page) < _BATCH:
                break
            after, header = page[-1].address, False
        await response.write_eof()
        return response

    return [web.get("/suppressed", list_), web.get("/suppressed.csv", export)]


def _page(ledger: Ledger, after: str) -> list[Contact]:
    return ledger.contacts_page("", after, _BATCH, blocked_only=True, reason=None)
