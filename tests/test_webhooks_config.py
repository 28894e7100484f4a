"""[[providers]]: what is asked for, what is refused, and what another bouncesink tells."""

import asyncio
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from commands import Run
from queue_support import NOW, opened
from webhook_support import KEY, TOPIC, hooks

from bouncesink.config import Config, WebhooksConfig, parse
from bouncesink.engine import Engine, utcnow
from bouncesink.errors import ConfigError
from bouncesink.fold import announce
from bouncesink.ledger import open_ledger
from bouncesink.model import ActionKind, ActionState, Contact, Reason, Severity
from bouncesink.outbox.webhook import Webhooks
from bouncesink.reader import ReaderPool

SES = f'[[providers]]\nprovider = "ses"\ntopics = ["{TOPIC}"]\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('provider = "postman"', "line 2: providers.provider: one of 'ses'"),
        ('provider = "ses"', "providers.topics: is needed for ses"),
        ('provider = "ses"\ntopics = ["bounces"]', "is no topic, as in"),
        (
            f'provider = "ses"\ntopics = ["{TOPIC}"]\nsecret_file = "x"',
            "providers.secret_file: is nothing that ses has",
        ),
        ('provider = "sendgrid"', "providers.secret_file: is needed for sendgrid"),
        (
            'provider = "mandrill"\nsecret_file = "x"',
            "providers.url: is needed for mandrill",
        ),
        ('provider = "mandrill"\nsecret_file = "x"\nurl = "/hooks"', "https://HOST/... is wanted"),
        ('provider = "postmark"\nsecret_file = "x"\nheader = "a b"', "the name of a header field"),
        ('provider = "generic"\nsecret_file = "x"\nmax_age = 0', "a number above zero is wanted"),
        ('provider = "generic"\nsecret_file = "x"\nname = "A/b"', "small letters, digits, - and _"),
        (f'provider = "ses"\ntopics = ["{TOPIC}"]\n{SES}', "'ses' is there twice"),
    ],
)
def test_what_is_wrong_is_said(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(f"[[providers]]\n{text}\n", Path("c.toml"))
    assert message in str(caught.value)


def test_an_account_has_a_source_of_its_own() -> None:
    config = parse(SES + SES.replace("[[providers]]", '[[providers]]\nname = "eu"'), Path("c.toml"))
    assert [each.source for each in config.providers] == ["webhook:ses", "webhook:ses/eu"]


@pytest.mark.parametrize(
    ("provider", "secret", "message"),
    [
        ("sendgrid", "not a key", "the verification key of SendGrid is wanted"),
        ("postmark", "no colon", "USER:PASSWORD is wanted"),
        ("generic", "short", "at least 24 octets are wanted"),
        ("mailgun", "\n \n", "there is no secret in this file"),
        ("smartlead", None, "the secret cannot be read"),
    ],
)
def test_the_doctor_says_what_is_wrong_with_a_secret(
    run: Run, provider: str, secret: str | None, message: str
) -> None:
    if secret is not None:
        Path("secret").write_text(secret)
    table = f'[[providers]]\nprovider = "{provider}"\nsecret_file = "secret"\n'
    Path("c.toml").write_text(f'[web]\nlisten = "127.0.0.1:0"\n{table}{SES}')
    result = run("doctor", "--config", "c.toml", "--json")
    found = {each["what"]: each["message"] for each in result.lines}
    assert message in found[f"webhook {provider}"]
    assert found["webhook ses"] == "is heard at /hooks/ses"


async def test_another_bouncesink_tells_what_it_blocks(tmp_path: Path) -> None:
    address = "lead@example.org"
    before = Contact(address)
    after = replace(before, bounce_type=Severity.HARD, suppressed=frozenset({Reason.HARD}))
    async with hooks(tmp_path) as running:
        url = f"http://127.0.0.1:{running.site.port}/hooks/generic"

        def tell() -> ActionState:
            with opened(tmp_path, ActionKind.WEBHOOK) as queue:
                (tmp_path / "their.secret").write_text(KEY)
                (action,) = announce(before, after, [], [url], NOW)
                queue.ledger.add_actions([action])
                sink = Webhooks(WebhooksConfig((url,), tmp_path / "their.secret"), utcnow)
                queue.work(sink)
                return queue.get(action.key).state

        assert await asyncio.to_thread(tell) is ActionState.DONE
        (arrival,) = running.stored()
        config = running.site.context.config
    assert arrival.source == "webhook:generic"
    assert blocked(config) == {address}


def blocked(config: Config) -> set[str]:
    """Drain a ledger, and give the addresses that must not be mailed then."""
    with ReaderPool(config.parse) as pool, closing(open_ledger(config.ledger.path)) as ledger:
        Engine(ledger, config).drain(pool)
        return {each.address for part in ledger.suppressed_contacts(10) for each in part}
