"""What a hostile bounce says shows as text, on every page, and quickly."""

import time
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pages import CONFIG, NOW, UNSEEN, Page, arrival, failed, filled
from web_support import Browser, site, users_file

from bouncesink.config import LedgerConfig
from bouncesink.engine import Engine
from bouncesink.ledger import ArrivalState, AuditLine, Ledger, SendCount, Settlement, open_ledger
from bouncesink.model import (
    OPEN,
    Act,
    Action,
    ActionKind,
    ActionState,
    Category,
    DsnAction,
    Event,
    Kind,
    Lead,
    Report,
    Trust,
    TrustLevel,
    Verdict,
)  # fmt: skip
from bouncesink.web.pages.render import marked, path_of, plain

NASTY = (
    "<script>alert(1)</script>\"'><img src=x onerror=alert(2)><svg/onload=alert(3)>"
    "<!--<style>*{display:none}</style></textarea></title>"
    "{{7*191}}{%raw%}${7*191}<%=7*191%>&lt;b&gt;"
    '=HYPERLINK("https://evil.example") \x00\x1b[2J\u202egnp.exe\u2066\u200b\ufeff\U000e0041 '
    "javascript:alert(4) \ud800 \r\n\r\nSet-Cookie: a=b "
)  # fmt: skip
LONG = NASTY + "x" * 20_000
WHO = 'x"><svg/onload=alert(1)>{{7*191}}\u202e@evil.example'
ARRIVAL, EVENT = "e" * 64, "event-1"


def hostile(ledger: Ledger, text: str) -> None:
    """Put the text into every field, also those that the world has no say in."""
    own = text.replace("\ud800", "?")  # of these fields we alone choose the words
    ledger.put_leads([Lead(f"L{text}", WHO, WHO)])
    report = Report(WHO, DsnAction.FAILED, own, text, text[:40], 550, text, text, text)
    event = failed(
        WHO,
        id=EVENT,
        arrival_id=ARRIVAL,
        report=report,
        verdict=Verdict(Category.UNKNOWN, own[:500], text[:60]),
        trust=Trust(TrustLevel.DOUBTFUL, (text, text)),
        message_id=text,
        sender=text,
        subject=text,
        campaign=text,
        lead_id=f"L{text}",
    )
    act = Event("act-1", Act.SUPPRESS, WHO, NOW, NOW, own, actor=text, reason=text, target=text)
    ledger.append([replace(arrival(text), id=ARRIVAL, envelope_from=text, envelope_to=text)])
    Engine(ledger, CONFIG).record([event, replace(event, id="hard", verdict=_hard()), act])
    ledger.settle(
        [
            Settlement(ARRIVAL, ArrivalState.REVIEW, Kind.FORWARDING_CONFIRMATION, own, text, text,
                       text, text, f"https://evil.example/{text}", (text,))
        ]
    )  # fmt: skip
    payload = {"why": text, "note": text, "diagnostic": text, text[:200]: text}
    ledger.add_actions(
        [
            Action(f"{kind}:{text[:300]}", kind, NOW, WHO, text, EVENT, ARRIVAL, payload)
            for kind in ActionKind
        ]
        + [Action("review:nobody", ActionKind.REVIEW, NOW, None, text, None, ARRIVAL, payload)]
    )
    key = f"{ActionKind.HUBSPOT_PROPOSAL}:{text[:300]}"
    told = {"actor": text, "reason": text, "error": text}
    ledger.move_action(key, OPEN, ActionState.FAILED, at=NOW, **told)
    ledger.put_trouble(text[:60], text, NOW)
    ledger.add_audit([AuditLine(NOW, text, own, text, text, text, text)])
    ledger.put_send_counts([SendCount(NOW.date(), own, own, own, 100)])


def _hard() -> Verdict:
    return Verdict(Category.USER_UNKNOWN, "smtp-5.1.1", "")


PAGES = ("/", "/review", "/bounces", "/trends", "/suppressed", "/settings", "/addresses?q=x", "/queues",
         *(f"/queues/{kind}" for kind in ActionKind if kind is not ActionKind.REVIEW),
         f"/arrivals/{ARRIVAL}", path_of(WHO), "/review/review:nobody")  # fmt: skip


async def looked_at(folder: Path, readers, text: str) -> dict[str, Page]:
    with closing(filled(folder, readers)) as ledger:
        hostile(ledger, text)
        async with site(folder, CONFIG, users=users_file(folder)) as running:
            ann, found = Browser(running), {}
            await ann.log_in()
            for path in PAGES:
                answer = await ann.get(path)
                assert answer.status == 200, (path, answer.text)
                assert "set-cookie" not in answer.headers
                found[path] = Page(answer.text)
            # A review item of whatever key can be looked at from the list.
            for link in found["/review"].links():
                if link.startswith(("/review/", "/arrivals/", "/addresses/", "/bounces")):
                    answer = await ann.get(link)
                    assert answer.status == 200, (link, answer.text)
                    found[link] = Page(answer.text)
            return found


async def test_hostile_words_show_as_words_on_every_page(tmp_path, readers):
    (tmp_path / "tame").mkdir()
    tame = await looked_at(tmp_path / "tame", readers, "some quiet words ")
    found = await looked_at(tmp_path, readers, LONG)
    known = set().union(*(page.shape for page in tame.values()))
    shown = 0
    for path, page in found.items():
        assert page.shape <= known, path
        assert not page.unseen, path
        assert "1337" not in page.text
        for tag, name, value in (
            (tag, name, value) for tag, attrs in page.elements for name, value in attrs.items()
        ):
            assert not name.startswith("on")
            assert name != "style"
            if name in ("href", "src", "action", "hx-post", "hx-get"):
                assert value.startswith(("/", "?", "#")), (path, tag, value)
                assert not value.startswith("//"), (path, tag, value)
        shown += "<script>alert(1)</script>" in page.text
    assert shown > 10
    assert {"/", "/review", "/bounces", "/settings", path_of(WHO)} <= found.keys()


async def test_the_link_of_a_confirmation_is_words(tmp_path, readers):
    page = (await looked_at(tmp_path, readers, "quiet"))[f"/arrivals/{ARRIVAL}"]
    assert "https://evil.example/quiet" in page.text
    assert not [link for link in page.links() if "quiet" in link and not link.startswith("/")]


REPORT = """\
From: {nasty} <MAILER-DAEMON@mx.evil.example>
To: bounces@example.com
Subject: {nasty}
Message-ID: <{nasty}@evil.example>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b
Content-Type: text/html

<h1 onclick="alert(1)">{nasty}</h1>
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; {nasty}

{groups}
--b
Content-Type: message/rfc822

From: sales@example.com
To: {nasty}
Subject: {nasty}
Message-ID: <original@example.com>
X-Campaign: {nasty}

--b--
"""
GROUP = """\
Final-Recipient: rfc822; n{number}@evil.example
Action: failed
Status: 5.1.1
Remote-MTA: dns; {nasty}
Diagnostic-Code: smtp; 550 5.1.1 {nasty}
"""


async def test_a_notification_of_10_000_recipients_shows_quickly(tmp_path, readers):
    nasty = " ".join(NASTY.replace("\r", " ").replace("\n", " ").split())
    groups = "\n".join(GROUP.format(number=n, nasty=nasty) for n in range(10_000))
    mail = arrival(REPORT.format(nasty=nasty, groups=groups))
    config = replace(CONFIG, ledger=LedgerConfig(tmp_path / "ledger.db"))
    with closing(open_ledger(tmp_path / "ledger.db")) as ledger:
        ledger.append([mail])
        Engine(ledger, config).drain(readers)
        assert ledger.totals().events > 50
        async with site(tmp_path, CONFIG, users=users_file(tmp_path)) as running:
            ann = Browser(running)
            await ann.log_in()
            paths = ["/", "/review", "/bounces", "/trends", f"/arrivals/{mail.id}"]
            (flood,) = {link for link in Page((await ann.get("/review")).text).links()
                        if link.startswith("/review/")} or {"/review"}  # fmt: skip
            for path in [*paths, flood, path_of("n7@evil.example")]:
                began = time.monotonic()
                answer = await ann.get(path)
                assert time.monotonic() - began < 5, path  # of a minute, were it not bounded
                page = Page(answer.text)
                assert (answer.status, page.unseen) == (200, set()), path
                assert len(answer.body) < 2_000_000, path
                assert not page.all("img"), path


async def test_the_story_of_a_crowded_address_is_bounded(tmp_path, readers):
    with closing(open_ledger(tmp_path / "ledger.db")) as ledger:
        many = [
            failed("crowd@example.org", id=f"e{n}", occurred_at=NOW - timedelta(minutes=n),
                   message_id=f"m{n}")
            for n in range(5000)
        ]  # fmt: skip
        Engine(ledger, CONFIG).record(many)
        async with site(tmp_path, CONFIG, users=users_file(tmp_path)) as running:
            ann = Browser(running)
            await ann.log_in()
            text = (await ann.get(path_of("crowd@example.org"))).text
    assert "4,996 older events are not shown" in text
    assert len(Page(text).all("blockquote")) == 4


@given(st.text(), st.integers(0, 20))
def test_plain_text_hides_and_reorders_nothing(text, width):
    import unicodedata

    shown = plain(text, width)
    assert not {c for c in shown if unicodedata.category(c) in UNSEEN} - {"\n", "\t"}
    assert not width or len(shown) <= width


@given(st.text(), st.text())
def test_marked_words_are_those_that_were_there(text, words):
    html = str(marked(text, words))
    page = Page(html)
    assert page.shape <= {("mark", "")}
    assert page.text == plain(text)


@pytest.mark.parametrize(
    ("text", "words", "html"),
    [
        ("550 User Unknown <b>", "user unknown", "550 <mark>User Unknown</mark> &lt;b&gt;"),
        ("550 <script>", "<script>", "550 <mark>&lt;script&gt;</mark>"),
        ("550 none", "other", "550 none"),
        ("550 none", "", "550 none"),
    ],
)
def test_the_words_that_a_rule_spoke_about_are_marked(text, words, html):
    assert str(marked(text, words)) == html
