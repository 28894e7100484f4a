"""The operator's page in a real Chromium: keys, mouse, phone, dark, without scripts, and axe."""

import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from private_postfix import wait_until
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait
from serving import Serving, serving

SAMPLES = Path(__file__).parents[2] / "samples"
PASSWORD = "correct horse"
AXE = "axe-core@4.14.1"
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip

CONFIG = """\
[ledger]
path = "ledger.db"
[lmtp]
listen = "127.0.0.1:0"
[[mailboxes]]
address = "hello@example.com"
[[mailboxes]]
address = "sales@example.com"
[web]
listen = "127.0.0.1:0"
users = "users"
"""

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("page")
    config = folder / "c.toml"
    config.write_text(CONFIG)

    def run(*words: str, stdin: str = "") -> None:
        command = [sys.executable, "-m", "bouncesink", *words, "--config", str(config)]
        subprocess.run(command, cwd=folder, input=stdin, text=True, check=True, stdout=-3)

    (folder / "sends.csv").write_text(
        "message_id,recipient,sent_at,campaign,mailbox\n"
        + "".join(
            f"s{n}@example.com,p{n}@example.org,2026-06-01T10:00:00Z,june-lamps,hello@example.com\n"
            for n in range(300)
        )
    )
    run("user", "add", "ann", "--role", "act", stdin=PASSWORD)
    run("sends", "import", "sends.csv")
    mails = map(str, sorted(SAMPLES.glob("*.eml")))
    run("replay", *mails, "--leads", str(SAMPLES / "lead_details.csv"))
    with serving(config) as running:
        yield running


@pytest.fixture(scope="module")
def base(service: Serving) -> str:
    wait_until(lambda: '"web.listening"' in service.log(), 30, "the page is not served")
    lines = [json.loads(line) for line in service.log().splitlines() if line.startswith("{")]
    return "http://" + next(each["on"] for each in lines if each["event"] == "web.listening")


@contextmanager
def chromium(*flags: str) -> Iterator["Chromium"]:
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "chromium"
    for flag in (*FLAGS, *flags):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
    try:
        yield Chromium(driver)
    finally:
        driver.quit()


class Chromium:
    """A browser with what several tests do in it."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver
        self.base = ""

    def log_in(self, base: str) -> None:
        self.base = base
        self.go("/login")
        self.one("[name=name]").send_keys("ann")
        self.one("[name=password]").send_keys(PASSWORD, Keys.ENTER)
        self.until(lambda: self.all(".who"))

    def go(self, path: str) -> None:
        self.driver.get(self.base + path)

    def one(self, css: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, css)

    def all(self, css: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def script(self, text: str, *values: object) -> object:
        return self.driver.execute_script(text, *values)

    def press(self, keys: str) -> None:
        self.driver.switch_to.active_element.send_keys(keys)

    def until(self, found: object) -> None:
        WebDriverWait(self.driver, 10, 0.02).until(lambda _: found())  # type: ignore[operator]

    def size(self, width: int, height: int = 900) -> None:
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)

    def dark(self, on: bool) -> None:
        value = "dark" if on else "light"
        scheme = {"features": [{"name": "prefers-color-scheme", "value": value}]}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", scheme)

    def complaints(self) -> list[str]:
        """Errors and violations of the policy that the browser has logged since it was asked."""
        return [str(each["message"]) for each in self.driver.get_log("browser")]


@pytest.fixture(scope="module")
def ann(base: str) -> Iterator[Chromium]:
    with chromium() as browser:
        browser.size(1280)
        browser.log_in(base)
        yield browser


@pytest.fixture(scope="module")
def pages(service: Serving) -> list[str]:
    ((arrival,),) = service.ask("SELECT id FROM arrivals WHERE kind = 'forwarding_confirmation'")
    ((review,),) = service.ask("SELECT key FROM actions WHERE address = 'pitch@hay-loft.test'")
    return [
        "/", "/review", f"/review/{review}", "/queues", "/queues/hubspot_proposal", "/bounces",
        "/addresses?q=a", "/addresses/team%40mail-lock.test", "/addresses/orders%40harbor-lamps.test",
        f"/arrivals/{arrival}", "/trends?days=365", "/suppressed", "/settings", "/nothing",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The script of axe-core (MPL-2.0), from its registry: no test here ships it."""
    folder = tmp_path_factory.mktemp("axe")
    subprocess.run(["npm", "pack", "--silent", AXE], cwd=folder, check=True, timeout=120)
    with tarfile.open(next(folder.glob("*.tgz"))) as packed:
        script = packed.extractfile("package/axe.min.js")
        assert script is not None
        return script.read().decode()


def test_the_pages_fit_a_phone_and_complain_of_nothing(ann: Chromium, pages: list[str]) -> None:
    ann.complaints()
    for width in (1280, 390):
        ann.size(width)
        for path in [*pages, "/login"]:
            ann.go(path)
            widest = ann.script("return document.documentElement.scrollWidth - innerWidth")
            assert widest <= 0, (path, width)  # type: ignore[operator]
            missing = path == "/nothing"
            heard = [each for each in ann.complaints() if not (missing and "404" in each)]
            assert not heard, (path, width)
    ann.size(1280)


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_axe_finds_no_serious_fault(
    ann: Chromium, pages: list[str], axe: str, width: int, dark: bool
) -> None:
    ann.dark(dark)
    ann.size(width)
    found = {}
    for path in pages:
        ann.go(path)
        ann.script(axe)
        found[path] = violations(ann)
    ann.driver.delete_all_cookies()
    ann.go("/login")
    ann.script(axe)
    found["/login"] = violations(ann)
    ann.dark(False)
    ann.size(1280)
    ann.log_in(ann.base)
    ann.complaints()  # of the page that is not there
    assert {place: faults for place, faults in found.items() if faults} == {}


def violations(browser: Chromium) -> list[tuple[str, str]]:
    """What axe calls serious or critical, and where."""
    results = browser.driver.execute_async_script(
        "const done = arguments[0];"
        "axe.run({resultTypes: ['violations']}).then(r => done(r.violations), e => done(String(e)))"
    )
    assert isinstance(results, list), results
    return [
        (each["id"], each["nodes"][0]["html"][:200])
        for each in results
        if each["impact"] in ("serious", "critical")
    ]


def test_the_review_is_worked_through_by_keys(ann: Chromium, service: Serving) -> None:
    ann.go("/review")
    before = len(ann.all("article"))
    first, second = (
        each.find_element(By.CSS_SELECTOR, "h2").text for each in ann.all("article")[:2]
    )
    ann.press("j")
    assert focused(ann) == first
    ann.press("d")
    ann.until(lambda: len(ann.all("article")) == before - 1)
    ann.until(lambda: focused(ann) == second)
    assert ann.one(".said.well").text.startswith("Dismissed")
    left = service.ask("SELECT count(*) FROM actions WHERE kind = 'review' AND state = 'pending'")
    assert int(ann.one("#waiting-review").text) == left[0][0]
    ann.press("j")
    ann.press("k")
    assert focused(ann) == second
    ann.press("/")
    assert ann.driver.switch_to.active_element.get_attribute("name") == "q"
    ann.press("j")  # typed, and no command
    ann.press(Keys.ESCAPE)
    ann.go("/review")
    for _ in range(30):
        ann.press("j")
        row = ann.driver.switch_to.active_element
        if row.find_elements(By.CSS_SELECTOR, "[data-key=c]") and "@" in row.text:
            break
    address = row.find_element(By.CSS_SELECTOR, ".address").text
    ann.press("c")
    ann.until(lambda: ann.all(".said"))
    assert address in ann.one(".said.well").text
    assert service.ask(f"SELECT mailable FROM contacts WHERE address = '{address}'") == [(0,)]
    ann.press("o")
    ann.until(lambda: "/review/" in ann.driver.current_url)
    assert not ann.complaints()


def focused(browser: Chromium) -> str:
    found = browser.driver.switch_to.active_element.find_elements(By.CSS_SELECTOR, "h2")
    return found[0].text if found else ""


def test_what_is_refused_stays_and_says_why(ann: Chromium) -> None:
    ann.go("/review")
    item = next(each for each in ann.all("article") if "Which address" in each.text)
    count = len(ann.all("article"))
    item.find_element(By.CSS_SELECTOR, "[data-key=c]").click()
    ann.until(lambda: ann.all(".said.problem"))
    item.find_element(By.CSS_SELECTOR, "[data-key=c]").click()
    ann.until(lambda: len(ann.all(".said.problem")) == 1)
    assert len(ann.all("article")) == count
    assert "names no address" in ann.one(".said.problem").text


def test_queues_are_worked_by_mouse_on_a_phone(ann: Chromium, service: Serving) -> None:
    ann.size(390, 844)
    ann.go("/queues")
    ann.one("a[href='/queues/hubspot_proposal']").click()
    boxes = ann.all("input[type=checkbox]")[:2]
    for box in boxes:
        box.click()
    ann.one("button[value=approve]").click()
    ann.until(lambda: ann.all(".said"))
    assert ann.one(".said").text == "2 approved"
    ann.driver.find_element(By.LINK_TEXT, "Choose all on this page").click()
    ann.one("[name=reason]").send_keys("all by hand")
    ann.one("button[value=done]").click()
    ann.until(lambda: "done" in ann.one(".said").text)
    ann.size(1280)
    states = dict(
        service.ask(
            "SELECT state, count(*) FROM actions WHERE kind = 'hubspot_proposal' GROUP BY state"
        )
    )
    assert set(states) == {"done"}
    assert not ann.complaints()


def test_a_queue_is_worked_by_keys_alone(ann: Chromium, service: Serving) -> None:
    ann.go("/queues/advisory")
    ann.press("j")
    ann.press("x")
    ann.press("j")
    ann.press("x")
    ann.one("button[value=done]").send_keys(Keys.ENTER)
    ann.until(lambda: ann.all(".said"))
    assert ann.one(".said").text == "2 done"
    actors = service.ask("SELECT actor FROM actions WHERE kind = 'advisory' AND state = 'done'")
    assert actors == [("ann",), ("ann",)]


def test_the_focus_can_be_seen_wherever_tab_leads(ann: Chromium) -> None:
    ann.go("/review")
    for _ in range(25):
        ann.press(Keys.TAB)
        style = ann.script(
            "const s = getComputedStyle(document.activeElement);"
            "return [s.outlineStyle, s.outlineWidth, document.activeElement.outerHTML]"
        )
        assert isinstance(style, list)
        assert style[0] != "none", style
        assert style[1] != "0px", style


def test_charts_are_drawn_and_follow_the_width_and_the_scheme(ann: Chromium) -> None:
    ann.go("/trends?days=365")
    assert len(ann.all(".plot canvas")) == len(ann.all("[data-chart]")) == 4
    wide = pixels(ann)
    ann.dark(True)
    ann.until(lambda: pixels(ann) != wide)
    ann.dark(False)
    ann.size(390, 844)
    ann.until(lambda: ann.one(".plot canvas").size["width"] < 390)
    ann.size(1280)
    assert not ann.complaints()


def pixels(browser: Chromium) -> object:
    return browser.script("return document.querySelector('.plot canvas').toDataURL()")


def test_who_is_logged_out_meanwhile_is_led_to_the_login(ann: Chromium) -> None:
    ann.go("/review")
    ann.driver.delete_all_cookies()
    ann.one("article [data-key=d]").click()
    ann.until(lambda: "/login" in ann.driver.current_url)
    ann.complaints()  # of the 401, which leads there
    ann.log_in(ann.base)


def test_everything_works_without_scripts(base: str, service: Serving) -> None:
    with chromium("--blink-settings=scriptEnabled=false") as plain:
        plain.log_in(base)
        plain.go("/review")
        address = next(each.text for each in plain.all("article h2 .address"))
        article = next(each for each in plain.all("article") if address in each.text)
        article.find_element(By.CSS_SELECTOR, "button[value=dismiss]").click()
        plain.until(lambda: plain.all(".said"))
        assert plain.one(".said.well").text.startswith("Dismissed")
        assert address not in [each.text for each in plain.all("article h2 .address")]
        plain.go("/addresses/orders%40harbor-lamps.test")
        plain.one("[name=reason]").send_keys("answered by phone")
        plain.one("button[value=reinstate]").click()
        plain.until(lambda: plain.all(".said"))
        assert "may be mailed" in plain.one(".card .well").text
        plain.go("/queues/postcard?all")
        plain.one("button[value=done]").click()
        plain.until(lambda: plain.all(".said"))
        assert plain.one(".said").text.endswith("done")
        plain.one(".who button").click()
        plain.until(lambda: plain.all("[name=password]"))
    reason = service.ask("SELECT actor, reason FROM events WHERE kind = 'reinstate'")
    assert reason == [("ann", "answered by phone")]
