"""Who gets in, who may act, and how others try: over real HTTP, with the cookies of a browser."""

import asyncio
import re
from pathlib import Path

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from web_support import CHEAP, PASSWORD, Browser, site, users_file

from bouncesink.config import load
from bouncesink.errors import ConfigError, InputError
from bouncesink.web.access.attempts import FREE, LONGEST_WAIT, Attempts
from bouncesink.web.access.guard import AT_ONCE, Guard
from bouncesink.web.access.sessions import IDLE, LONGEST, MOST, Sessions
from bouncesink.web.access.users import Role, User, hashed, matches, parse
from bouncesink.web.pages import login

PAGE, ACT = "/page", "/act"


def routes(context):
    """The login, a page to see, and an act to do."""
    guard = Guard(context.config.web)

    async def see(request: web.Request) -> web.Response:
        session = guard.require(request)
        token = f'<input type="hidden" name="form_token" value="{session.form_token}">'
        return web.Response(text=f"{session.user.name} {token}", content_type="text/html")

    async def act(request: web.Request) -> web.Response:
        session = await guard.require_act(request)
        return web.json_response({"actor": session.user.name})

    return [*login.routes(guard), web.get(PAGE, see), web.post(ACT, act)]


@pytest.fixture
def users(tmp_path) -> Path:
    return users_file(tmp_path)


@pytest.fixture
async def place(tmp_path, users):
    async with site(tmp_path, routes=(routes,), users=users) as running:
        yield running


async def test_who_is_not_logged_in_is_led_to_the_login_and_back(place):
    browser = Browser(place)
    answer = await browser.get(PAGE + "?a=1&b=2")
    assert (answer.status, answer.headers["location"]) == (
        303,
        "/login?next=/page?a%3D1%26b%3D2",
    )
    form = await browser.get(answer.headers["location"])
    assert b'name="next" value="/page?a=1&amp;b=2"' in form.body
    answer = await browser.log_in(back=PAGE)
    assert (answer.status, answer.headers["location"]) == (303, PAGE)
    assert (await browser.get(PAGE)).text.startswith("ann ")


@pytest.mark.parametrize(
    ("name", "password"),
    [("ann", "wrong password"), ("nobody", PASSWORD), ("", ""), ("ann", ""), ("ann", "x" * 50_000)],
)
async def test_a_wrong_name_and_a_wrong_password_are_answered_alike(place, name, password):
    browser = Browser(place)
    answer = await browser.log_in(name, password)
    assert answer.status == 401
    assert b"The name or the password is wrong." in answer.body
    assert not browser.cookies


@pytest.mark.parametrize(
    "back",
    [
        "https://evil.example", "//evil.example", "/\\evil.example", "\\\\evil.example",
        "javascript:alert(1)", "/\t/evil.example", "/a\r\nSet-Cookie: a=b", "evil", "",
    ],
)  # fmt: skip
async def test_the_login_leads_nowhere_else(place, back):
    fields = {"name": "ann", "password": PASSWORD, "next": back}
    answer = await Browser(place).post("/login", fields)
    assert (answer.status, answer.headers["location"]) == (303, "/")


async def test_a_session_that_somebody_else_chose_is_not_taken_over(place):
    browser = Browser(place, cookies={"bouncesink": "chosen-by-another"})
    await browser.log_in()
    assert browser.cookies["bouncesink"] != "chosen-by-another"
    first = browser.cookies["bouncesink"]
    await browser.log_in()
    assert browser.cookies["bouncesink"] != first
    old = Browser(place, cookies={"bouncesink": first})
    assert (await old.get(PAGE)).status == 303


async def test_a_cookie_is_for_http_alone_and_over_https_for_this_host_alone(place):
    answer = await Browser(place).log_in()
    assert re.fullmatch(
        r"bouncesink=[\w-]{43}; HttpOnly; Path=/; SameSite=Lax", answer.headers["set-cookie"]
    )
    behind = Browser(place, {"X-Forwarded-Proto": "https"})
    answer = await behind.log_in()
    assert answer.headers["set-cookie"].startswith("__Host-bouncesink=")
    assert "Secure" in answer.headers["set-cookie"]
    assert (await behind.get(PAGE)).status == 200


async def test_an_act_needs_the_form_of_this_very_session(place):
    ann, other = Browser(place), Browser(place)
    await ann.log_in()
    await other.log_in()
    token = await ann.form_token(PAGE)
    assert (await ann.post(ACT, {"form_token": token})).json == {"actor": "ann"}
    for fields in ({}, {"form_token": ""}, {"form_token": await other.form_token(PAGE)}):
        assert (await ann.post(ACT, fields)).status == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
)
async def test_a_form_of_another_site_is_refused_even_with_the_token(place, headers):
    browser = Browser(place)
    await browser.log_in()
    token = await browser.form_token(PAGE)
    assert (await browser.post(ACT, {"form_token": token}, **headers)).status == 403
    assert (await Browser(place).log_in(**headers)).status == 403


async def test_who_may_only_read_sees_and_does_not_act(place):
    rob = Browser(place)
    await rob.log_in("rob")
    token = await rob.form_token(PAGE)
    answer = await rob.post(ACT, {"form_token": token})
    assert (answer.status, answer.json["error"]) == (403, "rob may look, but not act")


async def test_who_logs_out_is_out_wherever_the_cookie_went(place):
    browser = Browser(place)
    await browser.log_in()
    stolen = Browser(place, cookies=dict(browser.cookies))
    token = await browser.form_token(PAGE)
    assert (await browser.post("/logout", {})).status == 403
    assert (await browser.post("/logout", {"form_token": token})).status == 303
    assert not browser.cookies
    assert (await stolen.get(PAGE)).status == 303


async def test_who_guesses_has_to_wait_and_so_does_who_guesses_for_many_names(place):
    browser = Browser(place)
    for number in range(FREE):
        assert (await browser.log_in(("ann", "rob")[number % 2], "wrong one")).status == 401
    answer = await browser.log_in()
    assert answer.status == 429
    assert int(answer.headers["retry-after"]) >= 1
    elsewhere = Browser(place, {"X-Forwarded-For": "192.0.2.9"})
    assert (await elsewhere.log_in()).status == 303


async def test_who_is_taken_off_the_list_is_out(place, users):
    browser = Browser(place)
    await browser.log_in("rob")
    users.write_text(
        "\n".join(line for line in users.read_text().splitlines() if "rob" not in line)
    )
    while (await browser.get(PAGE)).status == 200:
        pass


async def test_whose_password_changes_is_out_and_whose_role_changes_has_it_at_once(place, users):
    ann, rob = Browser(place), Browser(place)
    await ann.log_in("ann")
    await rob.log_in("rob")
    token = await rob.form_token(PAGE)
    text = users.read_text().replace("rob:read", "rob:act")
    users.write_text(re.sub(r"ann:act:.*", f"ann:act:{hashed('another one', CHEAP)}", text))
    while (await rob.post(ACT, {"form_token": token})).status == 403:
        pass
    assert (await ann.get(PAGE)).status == 303


async def test_a_file_of_users_that_breaks_later_leaves_those_who_were_there(place, users):
    users.write_text("nonsense\n")
    assert (await Browser(place).log_in()).status == 303


async def test_without_users_the_page_is_closed_and_says_how_to_open_it(tmp_path):
    async with site(tmp_path, routes=(routes,)) as running:
        answer = await Browser(running).get(PAGE)
        assert answer.status == 403
        assert "bouncesink user add" in answer.json["error"]
        assert (await Browser(running).log_in()).status == 403


async def test_a_web_server_in_front_names_who_it_is(tmp_path):
    settings = {"proxy_user": "X-Remote-User", "proxy_actors": ("ann",)}
    async with site(tmp_path, routes=(routes,), **settings) as running:
        ann = Browser(running, {"X-Remote-User": "ann"})
        rob = Browser(running, {"X-Remote-User": "rob"})
        token = await ann.form_token(PAGE)
        assert (await ann.post(ACT, {"form_token": token})).json == {"actor": "ann"}
        assert (await ann.post(ACT, {})).status == 403
        assert (await rob.post(ACT, {"form_token": token})).status == 403
        assert (await rob.post(ACT, {"form_token": await rob.form_token(PAGE)})).status == 403
        assert (await Browser(running).get(PAGE)).status == 403


@pytest.mark.parametrize(
    "path", ["/static/..%2fserver.py", "/static/../server.py", "/static/%00", "/static/none.css"]
)
async def test_only_our_own_files_are_served(tmp_path, path):
    async with site(tmp_path) as running:
        assert (await running.ask(path)).status == 404
        answer = await running.ask("/static/page.css")
        assert (answer.status, answer.headers["content-type"]) == (200, "text/css")


async def test_a_page_lets_nothing_inline_run(tmp_path, users):
    async with site(tmp_path, users=users) as running:
        answer = await running.ask("/login")
    policy = answer.headers["content-security-policy"]
    assert "'unsafe" not in policy
    assert "default-src 'none'" in policy
    assert not re.search(rb"<script|\son\w+=|style=", answer.body)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("ann", "line 1: NAME:ROLE:HASH"),
        pytest.param("ann:admin:" + hashed(PASSWORD, CHEAP), "line 1", id="no such role"),
        ("ann:act:plain", "line 1"),
        ("ann:act:scrypt$1048576$8$1$AAAA$AAAA", "line 1"),
        ("ann:act:scrypt$16384$8$1000000$AAAA$AAAA", "line 1"),
        ("ann:act:scrypt$16$8$1$*$*", "line 1"),
    ],
)
def test_a_line_that_is_none_or_costs_too_much_is_refused(line, why):
    with pytest.raises(ConfigError, match=why):
        parse(line, Path("users"))


@given(st.text(min_size=10, max_size=50), st.text(max_size=50))
def test_a_password_matches_itself_and_no_other(password, other):
    known = hashed(password, (2, 1, 1))
    assert matches(password, known)
    assert matches(other, known) == (other == password)


def test_nobody_has_no_password():
    assert not matches("", None)
    assert not matches(PASSWORD, None)


@pytest.mark.parametrize("password", ["", "short", "x" * 1001])
def test_a_password_has_a_length(password):
    with pytest.raises(InputError):
        hashed(password)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_session_ends_when_it_is_idle_and_when_it_is_old():
    clock = Clock()
    sessions = Sessions(clock)
    cookie, _ = sessions.begin(User("ann", Role.ACT))
    while clock.now - 1000 < LONGEST - IDLE:
        clock.now += IDLE - 1
        assert sessions.of(cookie)
    clock.now += IDLE - 1
    assert sessions.of(cookie) is None
    cookie, _ = sessions.begin(User("ann", Role.ACT))
    clock.now += IDLE + 1
    assert sessions.of(cookie) is None


def test_sessions_are_bounded_and_the_idlest_makes_way():
    clock = Clock()
    sessions = Sessions(clock)
    cookies = []
    for _ in range(MOST + 1):
        clock.now += 1
        cookies.append(sessions.begin(User("ann", Role.READ))[0])
    assert sessions.of(cookies[0]) is None
    assert sessions.of(cookies[1]) is not None


def test_each_failure_doubles_the_wait_up_to_a_limit_and_a_success_ends_it():
    clock = Clock()
    attempts = Attempts(clock)
    waits = []
    for _ in range(FREE + 12):
        attempts.failed("a")
        waits.append(attempts.wait("a", "b"))
    assert waits[: FREE - 1] == [0] * (FREE - 1)
    assert waits[FREE - 1 : FREE + 2] == [2, 4, 8]
    assert waits[-1] == LONGEST_WAIT
    attempts.succeeded("a")
    assert attempts.wait("a") == 0


def test_a_person_keeps_the_file(run, tmp_path):
    (tmp_path / "c.toml").write_text('[web]\nusers = "users"\n')
    config = ("--config", "c.toml")
    assert run("user", "add", "ann", "--role", "act", *config, stdin=f"{PASSWORD}\n").code == 0
    assert run("user", "add", "rob", *config, stdin=f"{PASSWORD}\n").code == 0
    path = tmp_path / "users"
    assert path.stat().st_mode & 0o777 == 0o600
    assert PASSWORD not in path.read_text()
    assert run("user", "list", "--json", *config).lines == [
        {"name": "ann", "role": "act"},
        {"name": "rob", "role": "read"},
    ]
    path.chmod(0o640)
    assert run("user", "remove", "rob", *config).code == 0
    assert path.stat().st_mode & 0o777 == 0o640
    assert run("user", "list", *config).out.endswith("1 user.\n")


@pytest.mark.parametrize(
    ("words", "stdin", "why"),
    [
        (("add", "a b"), PASSWORD, "without spaces"),
        (("add", "ann"), "short", "10 characters"),
        (("remove", "nobody"), "", "has no user"),
    ],
)
def test_a_mistake_about_users_is_told(run, tmp_path, words, stdin, why):
    (tmp_path / "c.toml").write_text('[web]\nusers = "users"\n')
    result = run("user", *words, "--config", "c.toml", stdin=stdin)
    assert result.code == 2
    assert why in result.err


def test_without_a_file_of_users_in_the_config_there_are_none(run):
    assert "web.users is not set" in run("user", "list").err


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ("", "set web.users and web.tokens"),
        ('users = "u"', "set web.tokens"),
        ('proxy_user = "X-User"', "set web.users and web.tokens"),
        ('users = "u"\ntokens = "t"', None),
    ],
)
def test_others_are_let_near_only_when_it_is_said_who_may_come_in(tmp_path, settings, why):
    path = tmp_path / "c.toml"
    path.write_text(f'[web]\nlisten = "192.0.2.1:8025"\n{settings}\n')
    if why is None:
        assert load(path).web.listen == ("192.0.2.1:8025",)
        return
    with pytest.raises(ConfigError, match=why):
        load(path)


async def test_guesses_at_once_wait_like_guesses_one_by_one(place):
    guesses = await asyncio.gather(
        *(Browser(place).log_in("ann", f"wrong password {n}") for n in range(4 * FREE))
    )
    assert {answer.status for answer in guesses} <= {401, 429}
    with capture_logs() as logs:
        assert (await Browser(place).log_in()).status == 429
    assert not [each for each in logs if each["event"] == "access.login"]


async def test_many_guesses_at_once_do_not_get_more_checked_than_are_free(tmp_path, users):
    with capture_logs() as logs:
        async with site(tmp_path, users=users) as running:
            await asyncio.gather(
                *(Browser(running).log_in("ann", f"wrong password {n}") for n in range(4 * FREE))
            )
    checked = [each for each in logs if each["event"] == "access.refused"]
    assert FREE <= len(checked) <= FREE + AT_ONCE - 1


def test_a_page_that_asks_by_itself_keeps_no_session_open():
    clock = Clock()
    sessions = Sessions(clock)
    cookie, _ = sessions.begin(User("ann", Role.READ))
    clock.now += IDLE - 1
    assert sessions.of(cookie, idle=True)
    clock.now += 2
    assert sessions.of(cookie, idle=True) is None


async def test_beside_a_web_server_in_front_users_can_log_in(tmp_path, users):
    async with site(tmp_path, routes=(routes,), users=users, proxy_user="X-Remote-User") as running:
        browser = Browser(running)
        assert (await browser.get(PAGE)).headers["location"].startswith("/login")
        await browser.log_in("rob")
        assert (await browser.get(PAGE)).text.startswith("rob ")
        ann = Browser(running, {"X-Remote-User": "ann"})
        token = await ann.form_token(PAGE)
        assert (await ann.post(ACT, {"form_token": token})).json == {"actor": "ann"}


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "", "localhost@evil.example"]
)
async def test_by_another_name_nothing_is_shown_and_nobody_is_led_there(place, host):
    browser = Browser(place, {"Host": host})
    for path in ("/login", PAGE, "/static/page.css"):
        answer = await browser.get(path)
        assert (answer.status, "location" in answer.headers) == (421, False)
        assert b"evil" not in answer.body
    assert (await browser.log_in()).status == 421


async def test_a_login_names_no_host_of_the_request(place):
    browser = Browser(place, {"X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"})
    answer = await browser.get(PAGE)
    assert answer.headers["location"].startswith("/login")
    assert "evil" not in (await browser.log_in()).headers["location"]


@pytest.mark.parametrize("cookie", ["", "x", "x" * 8000, "../../etc/passwd", '"; drop', "\x7f"])
async def test_no_cookie_of_ones_own_is_a_session(place, cookie):
    answer = await Browser(place, cookies={"bouncesink": cookie}).get(PAGE)
    assert answer.status in (303, 400)
