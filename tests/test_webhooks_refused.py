"""What is not the provider's, or not in order, is refused over real HTTP, and nothing of it kept."""

import asyncio
import gzip
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given, settings
from hypothesis import strategies as st
from webhook_support import (
    CERTIFICATE,
    CONFIRM,
    PROVIDERS,
    TOPIC,
    Post,
    Web,
    cases,
    certificate,
    confirmation,
    ec_key,
    golden,
    hooks,
    mailgun,
    mandrill,
    outcomes,
    post,
    providers,
    signed,
    sns,
    sns_post,
    text,
)

from bouncesink.engine import utcnow
from bouncesink.errors import LedgerError
from bouncesink.intake.webhooks import Means, Refused, Request, open_accounts
from bouncesink.web.webhooks import MAX_AT_ONCE

DAY = 86_400
Bad = tuple[str, Post, int]

SIGNATURES = {
    "sendgrid": "X-Twilio-Email-Event-Webhook-Signature",
    "postmark": "Authorization",
    "mandrill": "X-Mandrill-Signature",
    "smartlead": "X-Smartlead-Signature",
    "generic": "webhook-signature",
}


def good(provider: str) -> Post:
    return golden(provider, cases(provider)[0])


def of_any(provider: str) -> Iterator[Bad]:
    right = good(provider)
    yield "wrong content type", right.but(Content_Type="text/html"), 415
    yield "no content type", right.but(Content_Type=""), 415
    yield (
        "compressed",
        replace(right, body=gzip.compress(right.body)).but(Content_Encoding="gzip"),
        415,
    )
    yield "nobody's name", replace(right, path="nobody"), 404
    yield "a path below", replace(right, path=f"{provider}/more"), 404
    yield "empty", replace(right, body=b""), REFUSED[provider]


REFUSED = {
    "ses": 400,
    "sendgrid": 403,
    "postmark": 400,
    "mailgun": 400,
    "mandrill": 403,
    "smartlead": 403,
    "generic": 403,
}
"""What an empty body with the header fields of a good one gets."""


def of_signed_header(provider: str) -> Iterator[Bad]:
    right, name = good(provider), SIGNATURES[provider]
    status = 401 if provider == "postmark" else 403
    yield "no signature", right.but(**{name: ""}), status
    yield "a signature that is none", right.but(**{name: "v1,!!!"}), status
    yield "a signature of other octets", right.but(**{name: "sha256=\xe9\xff"}), status
    other = good(provider).headers[name]
    if provider not in ("postmark", "generic"):
        yield (
            "the signature of nothing",
            replace(right, body=b"").but(**{name: other}),
            REFUSED[provider],
        )
    if provider != "postmark":
        for number, old in ((1, b"lead@"), (2, b"lead%40")):
            if old in right.body:
                altered = replace(right, body=right.body.replace(old, b"evil" + old[4:], 1))
                yield f"altered {number}", altered, 403


@pytest.mark.parametrize(
    ("provider", "event"),
    [
        ("sendgrid", [{"event": ["open"]}]),
        ("postmark", {"RecordType": {}}),
        ("mailgun", {"event": ["opened"]}),
        ("mandrill", [{"event": {}}]),
        ("smartlead", {"event_type": []}),
        ("generic", {"email": []}),
        ("ses", {"eventType": ["Open"]}),
    ],
)
async def test_an_event_without_a_name_is_not_lost(
    tmp_path: Path, provider: str, event: Any
) -> None:
    async with hooks(tmp_path) as running:
        assert (await running.send(post(provider, event))).json["taken"] == 1
        assert len(running.stored()) == 1


def of_json(provider: str) -> Iterator[Bad]:
    """Well signed, and still not in order."""
    for name, body in (
        ("no JSON", b"{oops"),
        ("not UTF-8", b'{"a": "\xff"}'),
        ("no number", b'{"a": NaN}'),
        ("deep", b"[" * 200_000),
        ("a text", b'"a text"'),
        ("a number of many digits", b'{"a": ' + b"7" * 5000 + b"}"),
        ("events that are none", b"[1, 2]"),
    ):
        if provider == "mandrill":
            yield name, mandrill(body.decode("latin-1")), 400
        else:
            yield name, post(provider, body), 400


def of_ses() -> Iterator[Bad]:
    now = time.time()
    right = json.loads(good("ses").body)
    yield "altered", sns_post(right | {"Message": right["Message"].replace("lead", "evil")}), 403
    yield "altered subject", sns_post(right | {"Subject": "new"}), 403
    yield "no signature", sns_post({k: v for k, v in right.items() if k != "Signature"}), 403
    yield "a signature that is none", sns_post(right | {"Signature": "!"}), 403
    yield "another version", sns_post(right | {"SignatureVersion": "3"}), 403
    yield "the other version", sns_post(right | {"SignatureVersion": "2"}), 403
    stranger = rsa.generate_private_key(65537, 2048)
    yield "another key", sns_post(signed(right, stranger)), 403
    yield "foreign topic", sns("{}", now, TopicArn=TOPIC.replace("bounces", "others")), 403
    yield "topic of another account", sns("{}", now, TopicArn=TOPIC.replace("1234", "4321")), 403
    yield "old", sns("{}", now - 2 * DAY), 403
    yield "of the future", sns("{}", now + 3600), 403
    yield "no time", sns("{}", now, Timestamp="soon"), 403
    yield "no topic", sns_post({k: v for k, v in right.items() if k != "TopicArn"}), 400
    yield "raw delivery", sns_post(json.loads(right["Message"])), 400
    yield "no JSON", Post("ses", b"{oops", good("ses").headers), 400
    yield "an array", sns_post([right]), 400
    yield "a type that is none", sns_post(right | {"Type": ["Notification"]}), 400
    for url in (
        "http://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef0123.pem",
        "https://evil.example.com/SimpleNotificationService-0123456789abcdef0123.pem",
        "https://sns.eu-west-1.amazonaws.com.evil.test/SimpleNotificationService-0123456789abcdef.pem",
        "https://sns.eu-west-1.amazonaws.com@evil.test/SimpleNotificationService-0123456789abcdef.pem",
        "https://evil.test/sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem",
        "https://sns.eu-west-1.amazonaws.com:8443/SimpleNotificationService-0123456789abcdef0123.pem",
        "https://s3.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef0123.pem",
        "https://sns.eu-west-1.amazonaws.com/../evil.pem",
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef0123.pem?x",
        "https://127.0.0.1/SimpleNotificationService-0123456789abcdef0123.pem",
        f"{CERTIFICATE}\n",
        "",
        7,
    ):
        yield f"certificate at {url!r}", sns("{}", now, SigningCertURL=url), 403
    for kind in ("SubscriptionConfirmation", "UnsubscribeConfirmation"):
        foreign = confirmation(Type=kind, TopicArn=TOPIC.replace("bounces", "others"))
        yield f"{kind} of a foreign topic", foreign, 403
    for url in (
        CONFIRM.replace("https:", "http:"),
        CONFIRM.replace("sns.eu-west-1.amazonaws.com", "127.0.0.1"),
        CONFIRM.replace("sns.eu-west-1.amazonaws.com", "169.254.169.254"),
        CONFIRM.replace("sns.eu-west-1.amazonaws.com", "sns.eu-west-1.amazonaws.com.evil.test"),
        CONFIRM.replace("sns.eu-west-1.amazonaws.com", "sns.eu-west-1.amazonaws.com@evil.test"),
        CONFIRM.replace("amazonaws.com/", "amazonaws.com:22/"),
        CONFIRM.replace("/?", "/latest/?"),
        CONFIRM.replace("ConfirmSubscription", "Publish"),
        CONFIRM.replace(":bounces", ":others"),
        CONFIRM + f"&TopicArn={TOPIC}",
        CONFIRM + "#@evil.test/",
        "file:///etc/passwd",
        "",
    ):
        yield f"SubscribeURL {url!r}", confirmation(SubscribeURL=url), 403


def of_sendgrid() -> Iterator[Bad]:
    now, body = time.time(), cases("sendgrid")[0]["body"]
    yield "old", post("sendgrid", body, now - 700), 403
    yield "of the future", post("sendgrid", body, now + 3600), 403
    stamp = {"X-Twilio-Email-Event-Webhook-Timestamp": str(int(now - 1))}
    yield "another time than the signed", good("sendgrid").but(**stamp), 403
    stamp = {"X-Twilio-Email-Event-Webhook-Timestamp": ""}
    yield "no time", good("sendgrid").but(**stamp), 403
    yield "too many events", post("sendgrid", [{}] * 5001), 413


def of_postmark() -> Iterator[Bad]:
    right = good("postmark")
    yield "another password", right.but(Authorization="Basic cG9zdG1hcms6d3Jvbmc="), 401
    yield "another scheme", right.but(Authorization="Bearer x"), 401
    yield (
        "the secret in a header field that is not asked for",
        right.but(Authorization="", X_Bounce_Secret="postmark:a long password"),
        401,
    )


def of_mailgun() -> Iterator[Bad]:
    now, event = time.time(), cases("mailgun")[0]["body"]
    yield "old", mailgun(event, now - 700, "t-old"), 403
    yield "of the future", mailgun(event, now + 3600, "t-future"), 403
    yield "no signature", mailgun(event, now, "t-1", {"signature": ""}), 403
    yield "another token", mailgun(event, now, "t-2", {"token": "t-3"}), 403
    yield "another time", mailgun(event, now, "t-4", {"timestamp": str(int(now) - 1)}), 403
    yield "no token", mailgun(event, now, ""), 403
    yield (
        "a signature of other characters",
        mailgun(event, now, "t-5", {"signature": "\ud800é"}),
        403,
    )
    yield "no event", mailgun([event], now, "t-6"), 400
    yield "no JSON", Post("mailgun", b"{oops", good("mailgun").headers), 400
    yield "an array", Post("mailgun", b"[]", good("mailgun").headers), 400
    yield (
        "no signature at all",
        Post("mailgun", text({"event-data": event}), good("mailgun").headers),
        403,
    )


def of_mandrill() -> Iterator[Bad]:
    events = json.dumps(cases("mandrill")[0]["body"])
    yield "another URL", mandrill(events, url="https://bounces.example.com/hooks/other"), 403
    yield "another key", mandrill(events, key="another"), 403
    yield "the key of tests", mandrill(events, key="test-webhook"), 403
    right = good("mandrill")
    yield "a field more", replace(right, body=right.body + b"&more=1"), 403
    yield "a field twice", replace(right, body=right.body + b"&" + right.body), 400
    yield "no form", replace(right, body=b"just text"), 400
    yield "fields without end", replace(right, body=b"&".join([b"a=1"] * 100)), 400
    yield "an object", mandrill("{}"), 400
    yield "too many events", mandrill(json.dumps([{}] * 5001)), 413


def of_smartlead() -> Iterator[Bad]:
    right = good("smartlead")
    bare = right.headers["X-Smartlead-Signature"]
    yield "a digest cut short", right.but(X_Smartlead_Signature=bare[:-1]), 403
    yield "another body under the same request id", replace(right, body=b"{}"), 403


def of_generic() -> Iterator[Bad]:
    now, body = time.time(), cases("generic")[0]["body"]
    yield "old", post("generic", body, now - 700), 403
    yield "of the future", post("generic", body, now + 3600), 403
    yield "another id", good("generic").but(webhook_id="msg-2"), 403
    yield "another time", good("generic").but(webhook_timestamp=str(int(now) - 1)), 403
    version = good("generic").headers["webhook-signature"].replace("v1,", "v0,")
    yield "another version", good("generic").but(webhook_signature=version), 403


OF: dict[str, Callable[[], Iterator[Bad]]] = {
    "ses": of_ses,
    "sendgrid": of_sendgrid,
    "postmark": of_postmark,
    "mailgun": of_mailgun,
    "mandrill": of_mandrill,
    "smartlead": of_smartlead,
    "generic": of_generic,
}


def bad_ones(provider: str) -> list[Bad]:
    found = [*of_any(provider), *OF[provider]()]
    if provider in SIGNATURES:
        found += [*of_signed_header(provider), *of_json(provider)]
    return found


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_bad_one_gets_its_code_and_leaves_nothing(
    tmp_path: Path, provider: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with hooks(tmp_path) as running:
        bad = bad_ones(provider)
        assert len(bad) >= 12
        got = [(name, (await running.send(each)).status) for name, each, _ in bad]
        assert got == [(name, status) for name, _, status in bad]
        assert running.stored() == []
        assert set(running.web.asked) <= {CERTIFICATE}
        found = outcomes(running.told)
        assert sum(found.values()) == sum(s != 404 and n != "compressed" for n, _, s in bad)
        assert all(outcome.startswith("refused: ") for outcome in found)
        # The good one is still taken.
        assert (await running.send(good(provider))).status == 200
        assert running.stored()
    logged = capsys.readouterr().out
    assert logged.count("webhook.refused") == sum(found.values())
    for secret in ("lead@", "evil@", "must-not", "a key that", "a long password", "mx.example"):
        assert secret not in logged


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
async def test_only_post_is_for_providers(tmp_path: Path, method: str) -> None:
    async with hooks(tmp_path) as running:
        answer = await running.send(good("postmark"), method)
        assert (answer.status, answer.headers["allow"]) == (405, "POST")
        assert (await running.send(good("postmark"), "HEAD")).status == 405


FIFTY = 50_000_000


async def flood(running: Any, head: str, chunk: bytes, count: int) -> bytes:
    """Send much, and give what is answered meanwhile."""
    reader, writer = await asyncio.open_connection("127.0.0.1", running.site.port)
    try:
        writer.write(head.encode())
        answer = asyncio.create_task(reader.readline())
        for _ in range(count):
            if answer.done():
                break
            writer.write(chunk)
            await writer.drain()
        return await answer
    except ConnectionError:
        return await answer
    finally:
        writer.close()


async def test_fifty_megabytes_are_not_read(tmp_path: Path) -> None:
    async with hooks(tmp_path, timeout=1.0) as running:
        for provider in PROVIDERS:
            fields = "".join(f"{n}: {value}\r\n" for n, value in good(provider).headers.items())
            head = f"POST /hooks/{provider} HTTP/1.1\r\nHost: localhost\r\n{fields}"
            plain = f"{head}Content-Length: {FIFTY}\r\n\r\n"
            assert b" 413 " in await flood(running, plain, b" " * 100_000, 500)
            chunked = f"{head}Transfer-Encoding: chunked\r\n\r\n"
            piece = b"186a0\r\n" + b" " * 100_000 + b"\r\n"
            assert b" 413 " in await flood(running, chunked, piece, 500)
        assert running.stored() == []


@pytest.mark.parametrize("provider", ["ses", "sendgrid", "mailgun", "generic"])
async def test_an_old_copy_of_what_is_stored_is_refused(tmp_path: Path, provider: str) -> None:
    """A replay in time is harmless; one after it is refused, though we have it."""
    body = cases(provider)[0]["body"]
    body = json.dumps(body) if provider == "ses" else body
    old = 2 * DAY if provider == "ses" else 700
    async with hooks(tmp_path) as running:
        now = time.time()
        taken = (await running.send(post(provider, body, now))).json["taken"]
        assert taken > 0
        assert (await running.send(post(provider, body, now - old))).status == 403
        assert len(running.stored()) == taken


async def test_a_token_of_mailgun_is_good_for_one_event(tmp_path: Path) -> None:
    """The event is not signed: a signature that was seen must not carry another. Also after a start."""
    now, event = time.time(), cases("mailgun")[0]["body"]
    right, altered = (
        mailgun(event, now, "t"),
        mailgun(event | {"recipient": "evil@example.org"}, now, "t"),
    )
    async with hooks(tmp_path) as running:
        assert (await running.send(right)).status == 200
        assert (await running.send(altered)).status == 403
        assert (await running.send(right)).status == 200
        assert outcomes(running.told)["refused: replay"] == 1
    async with hooks(tmp_path) as running:
        assert (await running.send(altered)).status == 403
        assert (await running.send(right)).status == 200
        assert len(running.stored()) == 1


@pytest.mark.parametrize(
    ("name", "pem"),
    [
        ("expired", certificate(age=30, days=-1)),
        ("of another name", certificate("www.example.com")),
        ("of a name that only looks like it", certificate("sns.amazonaws.com.evil.test")),
        ("of another kind of key", certificate(key=ec_key())),
        ("none", b"<html>"),
        ("empty", b""),
    ],
)
async def test_a_certificate_must_be_of_sns_and_in_time(
    tmp_path: Path, name: str, pem: bytes
) -> None:
    web = Web(pages={CERTIFICATE: pem})
    async with hooks(tmp_path, web=web) as running:
        assert (await running.send(good("ses"))).status == 403
        assert outcomes(running.told) == {"refused: certificate": 1}
        assert running.stored() == []


async def test_a_subscription_that_cannot_be_confirmed_is_told(tmp_path: Path) -> None:
    async with hooks(tmp_path, web=Web(pages={CERTIFICATE: certificate()})) as running:
        assert (await running.send(confirmation())).status == 403
        assert outcomes(running.told) == {"refused: url": 1}


async def test_nobody_makes_us_fetch_without_end(tmp_path: Path) -> None:
    now = time.time()
    async with hooks(tmp_path) as running:
        for number in range(20):
            url = CERTIFICATE.replace("0123.pem", f"{number:04}.pem")
            answer = await running.send(sns("{}", now, SigningCertURL=url))
            assert answer.status == (403 if number < 10 else 503)
        assert len(running.web.asked) == 10


async def test_trouble_with_the_ledger_asks_for_another_try(tmp_path: Path) -> None:
    async def submit(_: Any) -> None:
        raise LedgerError("the disk is full")

    async with hooks(tmp_path, submit=submit) as running:
        for provider in PROVIDERS:
            answer = await running.send(good(provider))
            assert answer.status == 503
            assert int(answer.headers["retry-after"]) > 0
        assert running.told == []


async def test_too_much_at_once_asks_for_another_try(tmp_path: Path) -> None:
    waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
    all_there = asyncio.Event()
    home = asyncio.get_running_loop()

    async def submit(_: Any) -> None:
        mine = asyncio.Event()
        waiting.append((asyncio.get_running_loop(), mine))
        if len(waiting) == MAX_AT_ONCE:
            home.call_soon_threadsafe(all_there.set)
        await mine.wait()

    right = good("generic")
    fields = "".join(f"{name}: {value}\r\n" for name, value in right.headers.items())
    head = (
        f"POST /hooks/generic HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(right.body)}\r\n"
    )
    request = f"{head}{fields}\r\n".encode() + right.body

    async with hooks(tmp_path, submit=submit) as running:
        streams = []
        for _ in range(MAX_AT_ONCE):
            stream = await asyncio.open_connection("127.0.0.1", running.site.port)
            stream[1].write(request)
            streams.append(stream)
        await all_there.wait()
        answer = await running.send(right)
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")
        for loop, mine in waiting:
            loop.call_soon_threadsafe(mine.set)
        for reader, writer in streams:
            assert b" 200 " in await reader.readline()
            writer.close()
        await running.send(replace(right, path="nobody"))
        assert outcomes(running.told)["refused: busy"] == 1


ODD = st.one_of(
    st.text(max_size=30),
    st.sampled_from(["é", "\udcff", "Basic =", "Basic é", "nan", "inf", "-1", "1e400", "9" * 30]),
)


@settings(max_examples=15, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("provider", PROVIDERS)
def test_whatever_is_sent_is_heard_or_refused(
    tmp_path_factory: pytest.TempPathFactory, provider: str, data: st.DataObject
) -> None:
    right = good(provider)
    name = data.draw(st.sampled_from(sorted(right.headers)))
    sent = data.draw(
        st.sampled_from(
            [
                right,
                replace(right, headers=right.headers | {name: data.draw(ODD)}),
                replace(right, body=data.draw(st.binary(max_size=60))),
                replace(right, body=text({"signature": data.draw(ODD), "Type": data.draw(ODD)})),
            ]
        )
    )
    headers = {field.lower(): value for field, value in sent.headers.items()}

    async def stored(*_: object) -> list[bytes]:
        return []

    async def status() -> int:
        means = Means(Web().fetch, stored)
        account = open_accounts(providers(tmp_path_factory.getbasetemp()), means)[provider]
        try:
            await account.provider.told(Request(headers, sent.body, utcnow()))
        except Refused as refused:
            return refused.status
        return 200

    assert asyncio.run(status()) in {200, 400, 401, 403}
