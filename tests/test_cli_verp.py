"""`bouncesink verp`, and the way from a signed return path to a proven bounce."""

import re
from pathlib import Path

import pytest
from commands import Run

from bouncesink.config import load

LEAD = "lead@example.org"
CONFIG = '[lmtp]\nrecipients = ["bounces@example.com"]\n[trust]\nverp_key_file = "verp.key"\n'


@pytest.fixture
def configured(run: Run) -> tuple[str, str]:
    Path("verp.key").write_text("k" * 64 + "\n")
    Path("c.toml").write_text(CONFIG)
    return ("--config", "c.toml")


def test_what_is_signed_verifies_and_nothing_else_does(run: Run, configured: tuple) -> None:
    path = run("verp", "sign", "Lead@EXAMPLE.org", *configured).out.strip()
    assert re.fullmatch(r"bounces\+[a-z2-7]{32}@example\.com", path)
    for recipient in (path, path.upper()):
        good = run("verp", "verify", recipient, LEAD, *configured)
        assert (good.code, f"we mailed {LEAD}" in good.out) == (0, True)
    other = run("verp", "verify", path, "other@example.org", *configured)
    assert (other.code, "not for other@example.org" in other.out) == (1, True)
    bare = run("verp", "verify", "bounces@example.com", LEAD, *configured)
    assert (bare.code, "no token" in bare.out) == (1, True)
    Path("verp.key").write_text("n" * 64)
    changed = run("verp", "verify", path, LEAD, *configured)
    assert (changed.code, "not signed by us" in changed.out) == (1, True)
    Path("verp.key").write_text("n" * 64 + "\n" + "k" * 64)
    assert run("verp", "verify", path, LEAD, *configured).code == 0
    assert run("verp", "verify", path, LEAD, *configured, "--json").lines[0]["check"] == "valid"


def test_many_are_signed_in_their_order(run: Run, configured: tuple) -> None:
    several = run("verp", "sign", "-", *configured, "--json", stdin="a@x.test\n\nb@x.test\n").lines
    assert [line["address"] for line in several] == ["a@x.test", "b@x.test"]
    for line in several:
        assert run("verp", "verify", line["return_path"], line["address"], *configured).code == 0
    dashed = run("verp", "sign", LEAD, "--separator", "-", *configured).out
    assert dashed.startswith("bounces-")
    elsewhere = run("verp", "sign", LEAD, "--bounce-address", "b@home.test", *configured).out
    assert elsewhere.endswith("@home.test\n")


def test_the_bounce_address_of_the_config_goes_before_the_recipients(
    run: Run, configured: tuple
) -> None:
    Path("c.toml").write_text(CONFIG + 'bounce_address = "home@example.net"\n')
    assert run("verp", "sign", LEAD, *configured).out.startswith("home+")


@pytest.mark.parametrize(
    ("config", "args", "message"),
    [
        ("", ["sign", LEAD], "openssl rand"),
        (CONFIG, ["sign", "nobody"], "'nobody' is not an e-mail address"),
        (CONFIG, ["verify", "b+x@example.com", "nobody"], "'nobody' is not an e-mail address"),
        (
            CONFIG.replace("bounces@example.com", "x" * 40 + "@example.com"),
            ["sign", LEAD],
            "no address that a token can be put into",
        ),
        ('[trust]\nverp_key_file = "verp.key"\n', ["sign", LEAD], "bounce_address"),
        (CONFIG.replace("verp.key", "none"), ["sign", LEAD], "none"),
        ('[trust]\nbounce_address = "nobody"\n', ["sign", LEAD], "trust.bounce_address"),
    ],
)
def test_mistakes_end_in_one_clear_line(
    run: Run, configured: tuple, config: str, args: list, message: str
) -> None:
    Path("c.toml").write_text(config)
    result = run("verp", *args, *configured)
    assert (result.code, message in result.err) == (2, True), result.err
    assert "Traceback" not in result.err


def test_the_recipe_is_a_config_that_loads(run: Run) -> None:
    recipe = (Path(__file__).parents[1] / "deploy" / "verp.md").read_text()
    blocks = re.findall(r"```toml\n(.*?)```", recipe, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        Path("c.toml").write_text(block)
        load(Path("c.toml"))
    (sends,) = re.findall(r"```\n(message_id,.*?)```", recipe, re.DOTALL)
    Path("sends.csv").write_text(sends)
    assert "1 new" in run("sends", "import", "sends.csv").out
