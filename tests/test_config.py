"""The config: strict, and its errors are for people."""

import re
from pathlib import Path

import pytest

from bouncesink.config import Config, load, parse
from bouncesink.errors import ConfigError

PATH = Path("/etc/bouncesink/bouncesink.toml")


def test_so_much_is_enough() -> None:
    config = parse(
        '[ledger]\npath = "bouncesink.db"\n'
        '[lmtp]\nlisten = "127.0.0.1:8024"\nrecipients = ["bounces@example.com"]\n',
        PATH,
    )
    assert config.ledger.path == Path("/etc/bouncesink/bouncesink.db")
    assert config.lmtp.listen == ("127.0.0.1:8024",)
    assert config.lmtp.recipients == ("bounces@example.com",)
    assert config.policy == Config().policy


def test_paths_are_relative_to_the_file_also_the_defaults() -> None:
    config = parse("", PATH)
    assert config.ledger.path == PATH.parent / "bouncesink.db"
    assert config.sheet.path == PATH.parent / "lead_details.csv"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[lmtp]\nlisen = 1", "line 2: lmtp.lisen: there is no such key; did you mean listen?"),
        ("[lmtpp]", "line 1: lmtpp: there is no such key; did you mean lmtp?"),
        ("[lmtp]\nzzz = 1", "known: listen, recipients"),
        ('[lmtp]\nlisten = "nowhere"', "'nowhere' is neither HOST:PORT nor unix:/PATH"),
        ("lmtp = 3", "line 1: lmtp: a table is wanted, as in [lmtp]"),
        ("[lmtp]\nrecipients = 3", "line 2: lmtp.recipients: a list is wanted, not 3"),
        ('[lmtp]\nrecipients = ["x"]', "line 2: lmtp.recipients: 'x' is not an e-mail address"),
        ('[[mailboxes]]\naddress = "x"', "mailboxes.address: 'x' is not an e-mail address"),
        ("[lmtp]\nmax_connections = true", "a whole number is wanted, not True"),
        ('[gate]\nexport = "bouncesink.db"', "line 2: gate.export: is the ledger; choose"),
        ('[gate]\nexport = "bouncesink.db.key"', "gate.export: is a part of the ledger"),
        ('[gate]\nexport = "./lead_details.csv"', "gate.export: is sheet.path"),
        ("[lmtp]\nidle_timeout = 0", "lmtp.idle_timeout: a number above zero is wanted"),
        ("[lmtp]\nidle_timeout = nan", "lmtp.idle_timeout: at most 1,000,000,000 is wanted"),
        ("[lmtp]\nidle_timeout = inf", "lmtp.idle_timeout: at most 1,000,000,000 is wanted"),
        ("[lmtp]\nmax_message_size = 99999999999999", "at most 1,099,511,627,776 is wanted"),
        ("[policy]\ndecay_days = 99999", "line 2: policy.decay_days: at most 36,500 is wanted"),
        ("[parse]\nworkers = 1000", "parse.workers: at most 256 is wanted"),
        ("[[mailboxes]]\nverp = true", "mailboxes.address: this key is missing"),
        ('[lmtp]\nsocket_mode = "rw"', "octal digits are wanted"),
        ('[policy]\nprofile = "kind"', "one of 'careful', 'rfc5321' is wanted"),
        ('[sheet]\ntime_zone = "Mars/Base"', "'Mars/Base' is not a time zone"),
        ("[ledger\n", "not valid TOML"),
        ('[hubspot]\nbase_url = "http://api.example.com"', "nothing may travel in the clear"),
        ('[smartlead]\nbase_url = "https://user@example.com"', "smartlead.base_url: https://HOST"),
        ('[webhooks]\nurls = ["ftp://x"]', "webhooks.urls: https://HOST"),
        ('[trust]\ndkim_keys = "x"', "line 2: trust.dkim_keys: a table is wanted, as in [trust.dk"),
        (
            '[trust]\ndkim_keys = {"s1.example.com" = "x"}',
            "'s1.example.com' is not the name of a k",
        ),
        ('[trust]\ndkim_keys = {"s._domainkey.example.com" = 1}', "text is wanted, not 1"),
        (
            '[trust.dkim_keys]\n"s._domainkey.example.com" = "x"',
            "what [[mailboxes]] send, and there",
        ),
        ("[trust]\ndkim_dns = true", "line 2: trust.dkim_dns: is about what [[mailboxes]] send"),
        ('[trust]\ndkim_domains = ["x"]', "trust.dkim_domains: 'x' is not a domain"),
        ('[trust]\nauthserv_id = "a; b"', 'a name is wanted, as in "mx.example.com"'),
        ('[alerts]\nmail_to = "ops@example.com"', "alerts.mail_from: is needed"),
        ('[alerts]\nmail_to = "ops"', "alerts.mail_to: 'ops' is not an e-mail address"),
        ('[alerts]\nsmtp = "mail"', "alerts.smtp: 'mail' is not HOST:PORT"),
        ('[alerts]\nwebhook = "http://example.com/"', "alerts.webhook: https://HOST/... is wanted"),
        ('[alerts]\nwebhook = "https://example.com/"', "alerts.secret_file: is needed"),
        ('[web]\nlisten = "8025"', "web.listen: '8025' is neither HOST:PORT nor unix:/PATH"),
        ('[web]\nlisten = "0.0.0.0:80"', "line 2: web.listen: 0.0.0.0:80 is open to other machin"),
        ('[web]\nlisten = "[::]:80"', "web.listen: [::]:80 is open to other machines"),
        ('providers = ["ses"]', "a table is wanted, as in [[providers]]"),
        ('[web]\nlisten = "example.com:80"', "web.listen: example.com:80 is open to other mach"),
        ("[web]\ntimeout = 0", "web.timeout: a number above zero is wanted"),
        ('[webhooks]\nurls = "https://hooks.example.com/x"', "webhooks.secret_file: is needed"),
    ],
)
def test_errors_say_what_and_where(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, PATH)
    assert str(caught.value).startswith(str(PATH))
    assert message in str(caught.value)


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="bouncesink init"):
        load(tmp_path / "none.toml")


def test_the_example_is_valid_and_tells_the_defaults() -> None:
    """Each key that is commented out in the example stands there with its default."""
    example = Path(__file__).parents[1] / "bouncesink" / "bouncesink.example.toml"
    text = example.read_text(encoding="utf-8")
    uncommented = "\n".join(
        line.removeprefix("# ") if "=" in line or line.startswith("# [") else line
        for line in text.splitlines()
        if not line.startswith("# bouncesink: every key")
    )
    as_it_is = parse(text, PATH)
    assert as_it_is.lmtp.recipients == ("bounces@example.com",)
    of_files = r'(?m)^(rules|users|tokens|export|\w+_file) = "[\w.]+".*$'
    all_keys = parse(re.sub(of_files, "", uncommented), PATH)
    assert len(all_keys.mailboxes) == 1
    sections = "ledger lmtp policy trust sheet sheets leads hubspot smartlead postcards webhooks web alerts gate watch"
    for section in (*sections.split(), "parse", "retention", "classify", "log"):
        assert getattr(all_keys, section) == getattr(as_it_is, section)
