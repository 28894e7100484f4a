"""The web server over real HTTP: what it answers, what it refuses, whom it does not wait for."""

import asyncio
import threading
import time
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web
from lmtp_support import sink
from structlog.testing import capture_logs
from web_support import Site, site

from bouncesink.errors import InputError, LedgerBusy
from bouncesink.ledger import open_ledger
from bouncesink.model import Arrival
from bouncesink.web.context import AppContext
from bouncesink.web.server import ROUTES

SECRET = "s3cret"


def trial_routes(context: AppContext) -> list[web.RouteDef]:
    """Routes as a module adds them, each with a way of its own to go wrong."""

    async def echo(request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    async def endless(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async def half(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"half")
        raise ValueError("in the middle")

    async def broken(_: web.Request) -> web.Response:
        raise ValueError(SECRET)

    async def wrong(_: web.Request) -> web.Response:
        raise InputError("no such day")

    async def moved(_: web.Request) -> web.Response:
        raise web.HTTPSeeOther("/healthz")

    async def busy(_: web.Request) -> web.Response:
        def work(_: object) -> web.Response:
            raise LedgerBusy(f"/{SECRET}/x.db: is locked")

        return await context.ledgers.read(work)

    async def big(_: web.Request) -> web.Response:
        return web.Response(body=bytes(30_000_000))

    async def store(request: web.Request) -> web.Response:
        raw = await request.read()
        await context.submit(
            [Arrival(raw.decode(), "webhook", "", "", datetime(2026, 3, 2, tzinfo=UTC), raw)]
        )
        return web.Response(status=204)

    async def count(_: web.Request) -> web.Response:
        totals = await context.ledgers.read(lambda ledger: ledger.totals())
        assert context.ledgers.quick.totals() == totals
        return web.json_response(sum(totals.arrivals.values()))

    return [
        web.post("/echo/{token}", echo),
        web.get("/endless", endless),
        web.get("/half", half),
        web.get("/broken", broken),
        web.get("/wrong", wrong),
        web.get("/moved", moved),
        web.get("/busy", busy),
        web.get("/big", big),
        web.post("/store", store),
        web.get("/count", count),
    ]


TRIAL = (*ROUTES, trial_routes)


async def test_alive_and_ready_say_so_and_why_not(tmp_path: Path) -> None:
    async with site(tmp_path) as it:
        starting = await it.ask("/readyz")
        assert (starting.status, starting.json["reasons"]) == (503, ["bouncesink is starting"])
        it.health.expect("engine", 60, vital=True)
        it.health.started()
        assert (await it.ask("/readyz")).status == 200
        it.health.trouble("engine", "the disk is full")
        ready, alive = await it.ask("/readyz"), await it.ask("/healthz")
        assert (ready.status, ready.json["reasons"]) == (503, ["engine: the disk is full"])
        (part,) = alive.json["parts"]
        assert (alive.status, alive.json["alive"]) == (200, True)
        assert (part["part"], part["ok"], part["text"]) == ("engine", False, "the disk is full")
        it.health.expect("engine", -1, vital=True)
        assert (await it.ask("/healthz")).status == 503


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "said"),
    [
        ("GET", "/nowhere", {}, 404, "not found"),
        ("GET", f"/{SECRET}?{SECRET}", {}, 404, "not found"),
        ("POST", "/healthz", {}, 405, "method not allowed"),
        ("GET", "/healthz", {"Host": "rebound.example.com"}, 421, "web.hosts"),
        ("GET", "/healthz", {"Host": ""}, 421, "web.hosts"),
        ("POST", "/echo/1", {"Content-Encoding": "gzip"}, 415, "compressed"),
        ("POST", "/echo/1", {"Content-Length": "1001"}, 413, "at most 1,000 octets"),
        ("GET", "/broken", {}, 500, "bouncesink's own"),
        ("GET", "/wrong", {}, 400, "no such day"),
        ("GET", "/busy", {}, 503, "the ledger cannot be used now"),
        ("GET", "/endless", {}, 503, "too long"),
    ],
)
async def test_an_error_is_one_line_of_json(
    tmp_path: Path, method: str, path: str, headers: dict[str, str], status: int, said: str
) -> None:
    with capture_logs() as logs:
        # Only what never ends is to run out of time, however busy the machine.
        limits = {"timeout": 0.2} if path == "/endless" else {}
        async with site(tmp_path, routes=TRIAL, max_body_size=1000, **limits) as it:
            answer = await it.ask(path, method, headers=headers)
    assert (answer.status, set(answer.json)) == (status, {"error"})
    assert said in answer.json["error"]
    assert SECRET not in answer.body.decode()
    assert answer.headers["server"] == "bouncesink"
    told = next(each for each in logs if each["event"] == "web.request")
    assert told["status"] == status
    assert SECRET not in str(told)


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:80", "[::1]:8025", "127.0.0.1", "my.test"]
)
async def test_it_is_asked_for_by_its_names(tmp_path: Path, host: str) -> None:
    async with site(tmp_path, hosts=("My.test",)) as it:
        answer = await it.ask("/healthz", headers={"Host": host})
        assert answer.status == 200
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert (await it.ask("/healthz", "HEAD", headers={"Host": host})).body == b""


async def test_a_probe_may_leave_the_host_out(tmp_path: Path) -> None:
    async with site(tmp_path) as it:
        assert (await talk(it, b"GET /healthz HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.0 200 ")


async def test_what_the_world_says_is_no_error_of_ours(tmp_path: Path) -> None:
    with capture_logs() as logs:
        async with site(tmp_path, timeout=0.2) as it:
            for line in (
                b"Expect: \xa4",
                b"Content-Length: -1",
                b"Host: \xff",
                b"X: " + b"a" * 9000,
            ):
                await talk(it, b"GET /healthz HTTP/1.1\r\n" + line + b"\r\n\r\n")
            assert (await it.ask("/healthz")).status == 200
    assert not [each for each in logs if each["log_level"] == "error"]


async def test_what_goes_well_is_logged_and_counted_by_its_template(tmp_path: Path) -> None:
    with capture_logs() as logs:
        async with site(tmp_path, routes=TRIAL) as it:
            assert (await it.ask(f"/echo/{SECRET}?{SECRET}", "POST", b"x" * 999)).body == b"x" * 999
            assert (await it.ask("/moved")).headers["location"] == "/healthz"
            await it.ask("/nowhere", "PROPFIND")
    seen = [(route, method, status) for route, method, status, _ in it.requests]
    assert seen == [
        ("/echo/{token}", "POST", 200),
        ("/moved", "GET", 303),
        ("(none)", "other", 404),
    ]
    assert SECRET not in str(logs)
    assert next(each for each in logs if each["event"] == "web.request")["ms"] >= 0


async def test_a_body_without_a_length_is_bounded_too(tmp_path: Path) -> None:
    async with site(tmp_path, routes=TRIAL, max_body_size=1000) as it:
        chunks = b"3e9\r\n" + b"x" * 1001 + b"\r\n0\r\n\r\n"
        head = b"POST /echo/1 HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert (await talk(it, head + chunks)).startswith(b"HTTP/1.1 413 ")


async def test_an_answer_that_breaks_off_is_not_made_whole(tmp_path: Path) -> None:
    async with site(tmp_path, routes=TRIAL) as it:
        answer = await talk(it, b"GET /half HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert not answer.endswith(b"0\r\n\r\n")
    assert answer.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"GET /healthz HTTP/1.1\r\nHost: local",
        b"POST /echo/1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nx",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01 no HTTP at all\r\n\r\n",
    ],
    ids=["silent", "half a head", "half a body", "keeps the line", "speaks no HTTP"],
)
async def test_a_peer_that_says_no_more_is_let_go(tmp_path: Path, said: bytes) -> None:
    async with site(tmp_path, routes=TRIAL, timeout=0.2) as it:
        heard = await talk(it, said)
    assert heard.startswith(b"HTTP/1.") or not heard


async def test_a_peer_that_drips_gains_nothing_by_it(tmp_path: Path) -> None:
    async with site(tmp_path, timeout=0.3) as it:
        _, writer = await asyncio.open_connection("127.0.0.1", it.port)
        began = time.monotonic()
        writer.write(b"GET /healthz HTTP/1.1\r\n")
        with suppress(ConnectionError):
            while time.monotonic() < began + 10:
                writer.write(b"X: y\r\n")
                await writer.drain()
                await asyncio.sleep(0.01)
        assert time.monotonic() - began < 5
        writer.close()


async def test_a_peer_that_does_not_read_is_let_go(tmp_path: Path) -> None:
    async with site(tmp_path, routes=TRIAL, timeout=0.3, max_connections=1) as it:
        with closing(it.connect()) as peer:
            peer.sendall(b"GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await until_let_in(it)
    assert it.requests[0][:3] == ("/big", "GET", 200)


async def test_only_so_many_come_in(tmp_path: Path) -> None:
    async with site(tmp_path, max_connections=2) as it:
        with closing(it.connect()) as first, closing(it.connect()):
            assert (await it.ask("/healthz")).status == 503
            first.close()
            await until_let_in(it)


async def test_what_is_submitted_is_durable_when_it_is_answered(tmp_path: Path) -> None:
    async with site(tmp_path, routes=TRIAL) as it:
        for name in (b"a", b"b"):
            assert (await it.ask("/store", "POST", name)).status == 204
            with closing(open_ledger(it.ledger, read_only=True)) as ledger:
                assert ledger.pending(10)[-1].raw == name
        assert (await it.ask("/count")).json == 2
        await it.committer.close()
        assert (await it.ask("/store", "POST", b"c")).status == 503


async def test_a_page_that_holds_its_loop_up_delays_no_mail(tmp_path: Path) -> None:
    held, release = threading.Event(), threading.Event()

    def routes(_: AppContext) -> list[web.RouteDef]:
        async def hold(_: web.Request) -> web.Response:
            held.set()
            release.wait(60)
            return web.Response()

        return [web.get("/hold", hold)]

    async with site(tmp_path, routes=(routes,)) as it, sink(tmp_path) as mail:
        page = asyncio.create_task(it.ask("/hold"))
        await asyncio.to_thread(held.wait, 10)
        async with mail.peer() as peer:
            (reply,) = await peer.deliver(b"Subject: x\r\n\r\nx\r\n")
        assert reply.startswith("250 ")
        release.set()
        assert (await page).status == 200


async def test_a_stop_waits_for_a_request_but_not_for_long(tmp_path: Path) -> None:
    begun, release = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def routes(_: AppContext) -> list[web.RouteDef]:
        async def wait(_: web.Request) -> web.Response:
            loop.call_soon_threadsafe(begun.set)
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(released(), loop))
            return web.Response(text="done")

        return [web.get("/wait", wait)]

    async def released() -> None:
        await release.wait()

    async with site(tmp_path, routes=(routes,)) as it:
        asked = asyncio.create_task(it.ask("/wait"))
        await begun.wait()
        began = time.monotonic()
        await asyncio.to_thread(it.server.stop, 0.2)
        assert time.monotonic() - began < 5
        with pytest.raises(ConnectionRefusedError):
            it.connect()
        release.set()
        assert (await asked).body == b"done"


async def talk(it: Site, said: bytes) -> bytes:
    """Say something, and hear what comes until the server ends it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
    writer.write(said)
    heard = b""
    async with asyncio.timeout(60):
        with suppress(ConnectionError):
            while chunk := await reader.read(65536):
                heard += chunk
    writer.close()
    return heard


async def until_let_in(it: Site) -> None:
    """Wait until there is room for one more."""
    async with asyncio.timeout(60):
        while (await it.ask("/healthz")).status == 503:
            pass
