"""SmartLead's leads and campaigns, as far as we use them."""

import re
from collections.abc import Iterable

from http_service import Call, Reply, Service

KEY = "smartlead-secret-of-the-test"
API = "/api/v1"


class SmartLeadServer(Service):
    """`campaigns` are numbers by e-mail address, `statuses` those of campaigns by number."""

    def __init__(self) -> None:
        super().__init__()
        self.leads: dict[str, int] = {}
        self.campaigns: dict[str, list[int]] = {}
        self.statuses: dict[int, str] = {}

    @property
    def api(self) -> str:
        return self.url + API

    def add(self, id_: int, email: str, campaigns: Iterable[int]) -> None:
        self.leads[email] = id_
        self.campaigns[email] = list(campaigns)

    def answer(self, call: Call) -> Reply:
        if call.query.get("api_key") != KEY:
            return Reply(401, {"message": "Invalid API Key"})
        path = call.path.removeprefix(API)
        if (call.method, path) == ("GET", "/leads/"):
            return self._lead(call.query["email"])
        found = re.fullmatch(r"/campaigns/(\d+)/leads/(\d+)", path)
        if call.method == "DELETE" and found:
            return self._remove(int(found[1]), int(found[2]))
        if call.method == "POST" and (found := re.fullmatch(r"/campaigns/(\d+)/status", path)):
            return self._set_status(int(found[1]), call.json["status"])
        return Reply(404, {"message": "no such path"})

    def _set_status(self, campaign: int, status: str) -> Reply:
        if campaign not in self.statuses:
            return Reply(404, {"message": "Campaign not found"})
        self.statuses[campaign] = status
        return Reply(200, {"ok": True})

    def _lead(self, email: str) -> Reply:
        if email not in self.leads:
            return Reply(200, {})
        data = [
            {"campaign_lead_map_id": n, "campaign_id": n, "campaign_name": f"campaign {n}"}
            for n in self.campaigns[email]
        ]
        shown = {"id": str(self.leads[email]), "email": email, "lead_campaign_data": data}
        return Reply(200, shown)

    def _remove(self, campaign: int, lead: int) -> Reply:
        for email, id_ in self.leads.items():
            if id_ == lead and campaign in self.campaigns[email]:
                self.campaigns[email].remove(campaign)
                return Reply(200, {"ok": True})
        return Reply(404, {"message": "Lead not found in the campaign"})
