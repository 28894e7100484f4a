"""The operator's page over real HTTP: what it shows, what an act changes, who may not."""

import asyncio
import re
import shutil
from contextlib import closing
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
from pages import CONFIG, DOUBTFUL, LEAD, NOW, Page, failed, filled, keys, reviews
from structlog.testing import capture_logs
from web_support import FORM, Answer, Browser, Site, site, users_file

from bouncesink.config import (
    AlertsConfig,
    HubSpotConfig,
    ImapConfig,
    MailboxConfig,
    ProviderConfig,
    SheetsConfig,
    SmartLeadConfig,
    TrustConfig,
    WebhooksConfig,
)
from bouncesink.engine import Engine
from bouncesink.ledger import Ledger, SendCount, open_ledger
from bouncesink.model import Action, ActionKind, ActionState
from bouncesink.web.access.guard import MOST_FORM
from bouncesink.web.pages.site import PAGE

ALL = ("/", "/review", "/queues", "/queues/hubspot_proposal", "/bounces", "/trends", "/suppressed",
       "/settings", "/addresses", f"/addresses/{quote(LEAD)}")  # fmt: skip
HTMX = {"HX-Request": "true"}


@pytest.fixture(scope="module")
def made(tmp_path_factory, readers) -> Path:
    """A ledger with something of each in it, to be copied: to make one takes longer."""
    folder = tmp_path_factory.mktemp("filled")
    filled(folder, readers).close()
    return folder / "ledger.db"


@pytest.fixture
async def place(tmp_path, made):
    path = tmp_path / "ledger.db"
    shutil.copy(made, path)
    # As in the service, somebody who writes has the ledger open all the time.
    with closing(open_ledger(path)):
        async with site(tmp_path, CONFIG, users=users_file(tmp_path)) as running:
            yield running


@pytest.fixture
async def ann(place: Site) -> Browser:
    browser = Browser(place)
    await browser.log_in()
    return browser


@pytest.fixture
async def rob(place: Site) -> Browser:
    browser = Browser(place)
    await browser.log_in("rob")
    return browser


def ledger_of(place: Site) -> "closing[Ledger]":
    return closing(open_ledger(place.ledger))


def action_of(place: Site, key: str) -> Action:
    with ledger_of(place) as ledger:
        return ledger.find_actions(key, 1)[0]


def audit_of(place: Site) -> list[tuple[str, str, str | None]]:
    """Who did what, and why, the latest last."""
    with ledger_of(place) as ledger:
        return [(line.actor, line.act, line.reason) for line in ledger.latest_audit(100)][::-1]


def said(answer: Answer) -> str:
    found = re.search(r'<p class="said[^>]*>([^<]*)</p>', answer.text)
    return found[1] if found else ""


async def follow(browser: Browser, answer: Answer) -> Answer:
    assert answer.status == 303, answer.text
    return await browser.get(answer.headers["location"])


def review_of(place: Site, address: str | None) -> str:
    with ledger_of(place) as ledger:
        found = ledger.list_actions(ActionKind.REVIEW, limit=100)
    return next(action.key for action in found if action.address == address)


@pytest.mark.parametrize("path", ALL)
async def test_every_page_is_for_those_who_are_logged_in(place, ann, path):
    stranger = await Browser(place).get(path)
    assert (stranger.status, stranger.headers["location"][:12]) == (303, "/login?next=")
    answer = await ann.get(path)
    page = Page(answer.text)
    assert answer.status == 200
    assert re.search(r"<title>\S.* · bouncesink</title>", answer.text)
    assert len(page.all("h1")) == 1
    assert answer.headers["cache-control"] == "no-store"
    assert "'unsafe" not in answer.headers["content-security-policy"]
    head = await place.ask(path, "HEAD", headers=ann._headers({}))
    assert (head.status, head.body) == (200, b"")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/nothing", 404),
        ("/review/review:none", 404),
        ("/queues/none", 404),
        ("/queues/review", 404),
        ("/arrivals/none", 404),
        ("/addresses/none", 400),
        ("/logout", 405),
    ],
)  # fmt: skip
async def test_what_is_not_there_is_told_in_a_page(ann, path, status):
    answer = await ann.get(path, Accept="text/html,*/*;q=0.8")
    assert (answer.status, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert len(Page(answer.text).all("h1")) == 1


async def test_a_program_is_told_in_json_what_is_not_there(place):
    assert (await place.ask("/nothing")).json == {"error": "not found"}


@pytest.mark.parametrize(
    "query", ["?after=%00%ED%A0%80", "?q=%00%ED%A0%80&reason=x", "?after=" + "9" * 400]
)
@pytest.mark.parametrize(
    "path", ["/suppressed", "/bounces", "/review", "/addresses", "/addresses/%ED%A0%80@example.org"]
)
async def test_a_strange_query_breaks_nothing(ann, path, query):
    assert (await ann.get(path + query)).status == 200


async def test_the_overview_says_what_is_wrong_and_what_to_do(place, ann):
    with ledger_of(place) as ledger:
        ledger.put_trouble("sheet", "no column is called EMAIL", NOW)
    text = (await ann.get("/")).text
    assert "It needs a look." in text
    assert "sheet: no column is called EMAIL" in text
    assert "bouncesink doctor" in text
    assert "/review" in Page(text).links()
    assert text.count(f'href="/addresses/{quote(LEAD, safe="")}"') == 1


async def test_to_confirm_makes_an_address_hard_with_the_actor(place, ann):
    key = review_of(place, DOUBTFUL)
    answer = await ann.act(f"/review/{key}", [("what", "confirm"), ("reason", "we sent it")])
    text = await follow(ann, answer)
    assert DOUBTFUL in said(text)
    assert not said(await ann.get("/review"))
    with ledger_of(place) as ledger:
        assert not ledger.contacts([DOUBTFUL])[DOUBTFUL].mailable
    assert action_of(place, key).state is ActionState.DONE
    assert ("ann", "confirm", "we sent it") in audit_of(place)


async def test_to_dismiss_leaves_an_address_alone(place, ann):
    key = review_of(place, DOUBTFUL)
    await ann.act(f"/review/{key}", [("what", "dismiss"), ("reason", "not ours")])
    with ledger_of(place) as ledger:
        assert ledger.contacts([DOUBTFUL])[DOUBTFUL].mailable
    assert action_of(place, key).state is ActionState.DONE
    assert ("ann", "dismiss", "not ours") in audit_of(place)


async def test_what_names_no_address_is_confirmed_for_the_one_that_a_person_reads(place, ann):
    path, what = f"/review/{review_of(place, None)}", [("what", "confirm"), ("reason", "read it")]
    assert "names no address" in said(await follow(ann, await ann.act(path, what)))
    wrong = await ann.act(path, [*what, ("address", "<b>")])
    assert "is not an e-mail address" in said(await follow(ann, wrong))
    await ann.act(path, [*what, ("address", "Read@Example.org")])
    with ledger_of(place) as ledger:
        assert not ledger.contacts(["read@example.org"])["read@example.org"].mailable


async def test_of_two_who_decide_one_is_told_that_the_other_did(place, ann):
    other = Browser(place)
    await other.log_in()
    path = f"/review/{review_of(place, DOUBTFUL)}"
    answers = await asyncio.gather(
        *(each.act(path, [("what", "dismiss"), ("reason", "x")]) for each in (ann, other))
    )
    told = [said(await follow(b, a)) for b, a in zip((ann, other), answers, strict=True)]
    assert sum(text.startswith("Dismissed") for text in told) == 1
    assert sum("already dismissed by ann" in text for text in told) == 1, told
    assert len([line for line in audit_of(place) if line[1] == "dismiss"]) == 1


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ([("what", "confirm")], "some words are wanted"),
        ([("what", "confirm"), ("reason", "  ")], "some words are wanted"),
        ([("what", "explode"), ("reason", "x")], "confirm or dismiss"),
        ([("reason", "x")], "confirm or dismiss"),
    ],
)
async def test_half_a_decision_is_none(place, ann, form, words):
    key = review_of(place, DOUBTFUL)
    assert words in said(await follow(ann, await ann.act(f"/review/{key}", form)))
    assert action_of(place, key).state is ActionState.PENDING


async def test_a_key_is_meant_whole(place, ann):
    key = review_of(place, DOUBTFUL)
    form = [("what", "dismiss"), ("reason", "x")]
    assert "no" in said(await follow(ann, await ann.act(f"/review/{key[:-4]}", form)))
    assert action_of(place, key).state is ActionState.PENDING


async def test_an_address_is_reinstated_blocked_and_let_go(place, ann):
    path = f"/addresses/{quote(LEAD, safe='')}"

    async def mailable() -> bool:
        with ledger_of(place) as ledger:
            return ledger.contacts([LEAD])[LEAD].mailable

    assert not await mailable()
    for what, then in (("reinstate", True), ("suppress", False), ("unsuppress", True)):
        answer = await ann.act(path, [("what", what), ("reason", f"to {what}")])
        assert LEAD in said(await follow(ann, answer))
        assert await mailable() is then
        assert ("ann", what, f"to {what}") in audit_of(place)
    again = await ann.act(path, [("what", "reinstate"), ("reason", "x")])
    assert "nothing to reinstate" in said(await follow(ann, again))
    story = (await ann.get(path)).text
    assert all(f"to {what}" in story for what in ("reinstate", "suppress", "unsuppress"))
    assert "550 5.1.1 &lt;Lead@example.org&gt;: User unknown" in story


@pytest.mark.parametrize(
    ("what", "state"),
    [("approve", ActionState.APPROVED), ("reject", ActionState.CANCELLED),
     ("done", ActionState.DONE), ("retry", ActionState.APPROVED)],
)  # fmt: skip
async def test_several_of_a_queue_are_moved_at_once(place, ann, what, state):
    with ledger_of(place) as ledger:
        ledger.add_actions(
            [Action(f"hubspot_proposal:{n}", ActionKind.HUBSPOT_PROPOSAL, NOW) for n in range(3)]
        )
        if what == "retry":
            for n in range(3):
                pending = (ActionState.PENDING,)
                ledger.move_action(f"hubspot_proposal:{n}", pending, ActionState.FAILED, at=NOW)
    chosen = [("key", f"hubspot_proposal:{n}") for n in range(2)]
    form = [("what", what), ("reason", "seen"), *chosen]
    answer = await ann.act("/queues/hubspot_proposal", form)
    assert said(await follow(ann, answer)).startswith("2 ")
    moved = [action_of(place, key) for _, key in chosen]
    assert [(each.state, each.actor) for each in moved] == [(state, "ann")] * 2
    left = action_of(place, "hubspot_proposal:2")
    assert left.state in (ActionState.PENDING, ActionState.FAILED)
    assert [actor for actor, _, reason in audit_of(place) if "seen" in (reason or "")] == [
        "ann"
    ] * 2
    if what != "retry":
        again = await follow(ann, await ann.act("/queues/hubspot_proposal", form))
        assert 'class="said problem"' in again.text


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ([("what", "done")], "nothing is chosen"),
        ([("what", "explode"), ("key", "hubspot_proposal:1")], "is wanted"),
        ([("what", "done"), ("key", "smartlead_removal:1")], "there is no hubspot_proposal"),
        ([("what", "done"), ("key", "hubspot_proposal:")], "there is no hubspot_proposal"),
    ],
)
async def test_a_choice_that_cannot_be_is_told(place, ann, form, words):
    with ledger_of(place) as ledger:
        kinds = ActionKind.HUBSPOT_PROPOSAL, ActionKind.SMARTLEAD_REMOVAL
        ledger.add_actions([Action(f"{kind}:1", kind, NOW) for kind in kinds])
    assert words in said(await follow(ann, await ann.act("/queues/hubspot_proposal", form)))
    assert action_of(place, "smartlead_removal:1").state is ActionState.PENDING
    assert action_of(place, "hubspot_proposal:1").state is ActionState.PENDING


async def test_all_of_a_page_are_chosen_without_a_script(place, ann):
    page = Page((await ann.get("/queues/hubspot_proposal")).text)
    link = next(each for each in page.links() if each.endswith("&all"))
    chosen = Page((await ann.get(f"/queues/hubspot_proposal{link}")).text)
    boxes = chosen.all("input", type="checkbox")
    assert boxes
    assert all("checked" in box for box in boxes)


ACTS = [
    (f"/addresses/{quote(LEAD)}", [("what", "reinstate"), ("reason", "x")]),
    (f"/addresses/{quote(LEAD)}", [("what", "suppress"), ("reason", "x")]),
    ("/review/review:0001", [("what", "confirm"), ("reason", "x")]),
    ("/review/review:0001", [("what", "dismiss"), ("reason", "x")]),
    ("/queues/hubspot_proposal", [("what", "approve"), ("key", "x")]),
]


@pytest.mark.parametrize(("path", "form"), ACTS)
async def test_who_may_only_read_changes_nothing_and_is_offered_nothing(place, rob, path, form):
    with ledger_of(place) as ledger:
        reviews(ledger, 2)
    answer = await rob.act(path, form)
    assert (answer.status, "rob may look, but not act" in answer.text) == (403, True)
    assert not audit_of(place)
    page = Page((await rob.get(path)).text)
    assert [form["action"] for form in page.all("form", method="post")] == ["/logout"]


@pytest.mark.parametrize(("path", "form"), ACTS)
async def test_a_form_of_elsewhere_changes_nothing(place, ann, path, form):
    other = Browser(place)
    await other.log_in()
    foreign = [("form_token", await other.form_token("/settings")), *form]
    answers = [await ann.post(path, each) for each in (form, foreign, [("form_token", ""), *form])]
    answers.append(await ann.act(path, form, **{"Sec-Fetch-Site": "cross-site"}))
    answers.append(await ann.act(path, form, Origin="https://evil.example"))
    assert [answer.status for answer in answers] == [403] * 5
    assert not audit_of(place)


async def test_a_script_gets_the_words_in_the_place_of_the_item(place, ann):
    path = f"/review/{review_of(place, DOUBTFUL)}"
    refused = await ann.act(path, [("what", "dismiss")], **HTMX)
    assert (refused.status, refused.headers["hx-reswap"]) == (200, "beforebegin")
    done = await ann.act(path, [("what", "dismiss"), ("reason", "x")], **HTMX)
    assert said(done).startswith("Dismissed")
    assert "hx-reswap" not in done.headers
    assert "<html" not in done.text
    assert Page(done.text).all("b", id="waiting-review")[0]["hx-swap-oob"] == "true"
    second = await ann.act(path, [("what", "dismiss"), ("reason", "x")], **HTMX)
    assert (second.status, "problem" in second.text) == (200, True)
    assert "hx-reswap" not in second.headers
    assert not said(await ann.get("/review"))


async def test_a_script_is_told_of_errors_without_losing_the_item(place, ann, rob):
    path, form = f"/review/{review_of(place, DOUBTFUL)}", [("what", "dismiss"), ("reason", "x")]
    answer = await rob.act(path, form, **HTMX)
    assert (answer.status, answer.headers["hx-reswap"]) == (403, "beforebegin")
    assert "<html" not in answer.text
    gone = await Browser(place).post(path, form, **HTMX)
    assert (gone.status, gone.headers["hx-redirect"]) == (401, "/login")
    lost = await ann.get("/addresses/none", **HTMX)
    assert (lost.status, lost.headers["hx-reswap"]) == (400, "none")


async def test_whom_another_login_let_in_logs_out_there(tmp_path):
    async with site(tmp_path, CONFIG, proxy_user="X-Remote-User") as running:
        page = (await Browser(running, {"X-Remote-User": "ann"}).get("/")).text
    assert "ann (read only)" in page
    assert "Log out" not in page


async def test_what_was_said_is_said_once_to_a_person_and_not_to_a_script(place, ann):
    await ann.act(f"/review/{review_of(place, DOUBTFUL)}", [("what", "dismiss"), ("reason", "x")])
    assert not said(await ann.get("/", **HTMX))
    await place.ask("/", "HEAD", headers=ann._headers({}))
    assert said(await ann.get("/"))
    assert not said(await ann.get("/"))


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Content-Type": "multipart/form-data; boundary=b"}, b"--b--", 415),
        ({"Content-Type": "application/json"}, b"{}", 415),
        (FORM, b"a=" + b"x" * MOST_FORM, 413),
        (FORM, b"a=1&" * 1000, 413),
        (FORM, b"\xff=%ff&%00=\xed\xa0\x80", 401),
    ],
)
@pytest.mark.parametrize("path", ["/login", "/logout"])
async def test_a_form_is_read_to_a_bound(place, ann, path, headers, body, status):
    kept = ann._headers({}) if path == "/logout" else {}
    answer = await place.ask(path, "POST", body, headers | kept)
    assert answer.status == (403 if (status, path) == (401, "/logout") else status)


async def walk(browser: Browser, path: str) -> list[Page]:
    """Go from page to page by the links that lead on."""
    pages = []
    while path:
        page = Page((await browser.get(path)).text)
        pages.append(page)
        more = [each["href"] for each in page.all("a", rel="next")]
        path = (path.partition("?")[0] if more and more[0].startswith("?") else "") + "".join(more)
    return pages


async def test_pages_show_each_of_120_once(place, ann):
    with ledger_of(place) as ledger:
        reviews(ledger, 120)
        kind = ActionKind.SMARTLEAD_REMOVAL
        ledger.add_actions([Action(f"{kind}:n{n}", kind, NOW) for n in range(120)])
    seen = [
        each["action"].rpartition("/")[2]
        for page in await walk(ann, "/review")
        for each in page.all("form", method="post")
        if "review" in each["action"]
    ]
    wanted = [quote(key, safe="") for key in keys(place.ledger.parent, ActionKind.REVIEW)]
    assert sorted(seen) == sorted(wanted)
    assert len(seen) > 2 * PAGE
    priorities = [int(key[-4:]) % 3 + 1 for key in seen if re.search(r"%3A\d{4}$", key)]
    assert priorities == sorted(priorities)
    boxes = [
        unquote(box["value"])
        for page in await walk(ann, f"/queues/{kind}")
        for box in page.all("input", type="checkbox")
    ]
    assert sorted(boxes) == sorted(keys(place.ledger.parent, kind))


async def test_lists_of_addresses_and_events_show_each_once_and_filter(place, ann):

    names = [f"n{n:03}@list.example.org" for n in range(120)]
    with ledger_of(place) as ledger:
        Engine(ledger, CONFIG).record([failed(name) for name in names])

    async def addresses(path: str) -> list[str]:
        pages = await walk(ann, path)
        return [
            link.rpartition("/")[2].replace("%40", "@")
            for page in pages
            for link in page.links()
            if link.startswith("/addresses/")
        ]

    assert await addresses("/suppressed") == sorted([*names, LEAD])
    assert await addresses("/suppressed?q=n00") == names[:10]
    assert await addresses("/suppressed?reason=manual") == []
    assert await addresses("/suppressed?reason=hard&q=lead") == [LEAD]
    assert sorted(await addresses("/bounces")) == sorted([*names, LEAD, DOUBTFUL])
    assert sorted(await addresses("/bounces?domain=list.example.org&severity=HARD")) == names
    assert await addresses("/bounces?category=mailbox_full") == []
    assert await addresses("/bounces?rule=smtp-5.1.1&domain=example.net") == []
    export = await ann.get("/suppressed.csv")
    assert export.headers["content-disposition"] == 'attachment; filename="suppressed.csv"'
    lines = export.text.splitlines()
    assert [line.partition(",")[0] for line in lines] == ["address", *sorted([*names, LEAD])]


async def test_a_search_leads_to_an_address_or_to_those_that_begin_so(ann):
    whole = await ann.get("/addresses?q=%20LEAD@Example.org")
    assert (whole.status, whole.headers["location"]) == (303, "/addresses/lead%40example.org")
    some = Page((await ann.get("/addresses?q=lea")).text)
    assert "/addresses/lead%40example.org" in some.links()
    assert "None is known" in (await ann.get("/addresses?q=zz")).text


@pytest.mark.parametrize(
    "address", ["a/b?c#d%2f@example.org", "ü@example.org", "..%2f@example.org"]
)
async def test_an_address_of_whatever_characters_has_its_page(place, ann, address):
    with ledger_of(place) as ledger:
        ledger.add_actions([Action(f"review:x:{address}", ActionKind.REVIEW, NOW, address=address,
                                   payload={"why": "unknown"})])  # fmt: skip
    page = Page((await ann.get("/review")).text)
    paths = [link for link in page.links() if "review%3Ax" in link]
    assert [(await ann.get(path)).status for path in paths] == [200]
    whole = await ann.get(f"/addresses/{quote(address, safe='')}")
    assert address in Page(whole.text).text
    acted = await ann.act(paths[0], [("what", "dismiss"), ("reason", "x")])
    assert acted.status == 303
    assert action_of(place, f"review:x:{address}").state is not None


async def test_trends_show_rates_with_their_interval_and_what_an_alarm_is(place, ann):
    with ledger_of(place) as ledger:
        ledger.put_send_counts([SendCount(NOW.date(), "june", "sales@example.com", "x.test", 200)])
    for days in ("", "?days=7", "?days=365", "?days=-1", "?days=nine"):
        text = (await ann.get(f"/trends{days}")).text
    page = Page(text)
    (row,) = [attrs for tag, attrs in page.elements if tag == "tr" and "data-rate" in attrs]
    assert (float(row["data-low"]), float(row["data-high"])) == (0.0, pytest.approx(1.88, abs=0.01))
    (chart,) = page.all("figure", **{"data-chart": "interval"})
    assert (chart["data-warn"], chart["data-act"]) == ("2.0", "3.0")


async def test_our_files_are_kept_for_as_long_as_they_are_the_same(place, ann):
    page = Page((await ann.get("/")).text)
    ours = [each["src"] for each in page.all("script")] + [
        each["href"] for each in page.all("link")
    ]
    assert len(ours) == 6
    for path in ours:
        answer = await place.ask(path)
        assert answer.status == 200
        assert "immutable" in answer.headers["cache-control"]
        again = await place.ask(path, headers={"If-None-Match": answer.headers["etag"]})
        assert again.status == 304
    assert (await place.ask("/static/page.css")).headers["cache-control"] == "no-cache"
    assert (await place.ask("/static/page.css?v=old")).headers["cache-control"] == "no-cache"


async def test_an_error_of_ours_is_told_in_a_page_and_logged(tmp_path, monkeypatch):
    def broken(*_: object) -> None:
        raise ZeroDivisionError("s3cret")

    monkeypatch.setattr("bouncesink.web.pages.overview.problems", broken)
    with capture_logs() as logs:
        async with site(tmp_path, CONFIG, users=users_file(tmp_path)) as running:
            browser = Browser(running)
            await browser.log_in()
            answer = await browser.get("/")
    assert (answer.status, "s3cret" in answer.text) == (500, False)
    assert len(Page(answer.text).all("h1")) == 1
    assert [each["route"] for each in logs if each["event"] == "web.failed"] == ["/"]


SECRET = "s3cret-marker"


async def test_no_page_shows_a_secret(tmp_path):
    path = tmp_path / "secret"
    path.write_text(SECRET)
    url = f"https://user:{SECRET}@hooks.example.net/{SECRET}?key={SECRET}#{SECRET}"
    config = replace(
        CONFIG,
        mailboxes=(
            MailboxConfig(
                "sales@example.com",
                imap=ImapConfig("imap.example.com", "", path, path, path),
            ),
        ),
        trust=TrustConfig(
            verp_key_file=path, dkim_keys={"one._domainkey.example.com": f"k={SECRET}"}
        ),
        sheets=SheetsConfig("id", credentials=path, api=url),
        hubspot=HubSpotConfig(path, base_url=url),
        smartlead=SmartLeadConfig(path, base_url=url),
        webhooks=WebhooksConfig((url, url), path),
        providers=(ProviderConfig("postmark", secret_file=path, url=url, header="X-Postmark"),),
        alerts=AlertsConfig(webhook=url, secret_file=path),
    )
    async with site(
        tmp_path, replace(config, trust=replace(config.trust, verp_key_file=None)),
        users=users_file(tmp_path), tokens=tokens(tmp_path),
    ) as running:  # fmt: skip
        ann = Browser(running)
        await ann.log_in()
        for each in ALL:
            assert SECRET not in (await ann.get(each)).text, each
        shown = (await ann.get("/settings")).text
    names = Page(shown).text
    for section in fields(config):
        assert section.name in names
        value = getattr(config, section.name)
        for each in value if isinstance(value, tuple) else (value,):
            assert is_dataclass(each)
            assert all(key.name in names for key in fields(each))
    assert "https://hooks.example.net/…" in names
    assert "one._domainkey.example.com" in names
    assert "imap.password_file" in names


def tokens(folder: Path) -> Path:
    path = folder / "tokens"
    path.write_text(f"gate:sha256:{'0' * 64}\n")
    return path
