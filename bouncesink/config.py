"""One TOML file -> one frozen Config, loaded once and passed down.

Strict: an unknown key is refused with the nearest right name, a wrong type with the right one.
Paths are relative to the folder of the file. Durations are in seconds unless the key says `days`.
"""

import dataclasses
import difflib
import os
import re
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from bouncesink.address import normalise
from bouncesink.errors import ConfigError
from bouncesink.model import Category

Profile = Literal["careful", "rfc5321"]
Require = Literal["proven", "plausible", "doubtful"]


@dataclass(frozen=True, slots=True)
class LedgerConfig:
    path: Path = Path("bouncesink.db")


@dataclass(frozen=True, slots=True)
class LmtpConfig:
    """`listen` is `HOST:PORT`, `[V6]:PORT` or `unix:PATH`, one or several. Sizes are in octets."""

    listen: tuple[str, ...] = ("127.0.0.1:8024",)
    recipients: tuple[str, ...] = ()
    max_message_size: int = 50_000_000
    max_connections: int = 1000
    max_recipients: int = 100
    idle_timeout: float = 300.0
    data_timeout: float = 180.0
    shutdown_timeout: float = 20.0
    socket_mode: str = "0660"


@dataclass(frozen=True, slots=True)
class MailboxConfig:
    """One of the addresses that outreach is sent from.

    `verp` is whether its mail carries our signed return path, once there is a key: Gmail's cannot.
    """

    address: str
    verp: bool = True


@dataclass(frozen=True, slots=True)
class Policy:
    """How events become the state of an address; see the rules in `bouncesink.fold`.

    `suppress_domains` blocks all addresses of a domain that turned out not to exist.
    `requalify_days` after it was suppressed by hand, `suppress requalify` lets an address go; 0 is
    never. An address that is HARD for one of the categories in `reverify` is to be asked by another
    way: they say more of the sender than of the address. So is one that shows a sign of life (an
    automatic reply, a receipt) `reverify_after_days` or more after it became HARD; 0 is never.
    """

    profile: Profile = "careful"
    strikes: int = 3
    decay_days: int = 30
    suppress_domains: bool = False
    requalify_days: int = 0
    reverify: tuple[str, ...] = (Category.POLICY, Category.RECIPIENT_RESTRICTED)
    reverify_after_days: int = 30


@dataclass(frozen=True, slots=True)
class TrustConfig:
    """`require` is the least trust with which a bounce changes anything about an address.

    `verp_key_file` holds the keys of signed return paths: see `bouncesink.verp`; they are put into
    `bounce_address`, by default the first of `lmtp.recipients`. `sends_complete` says that the
    `sends` table knows all that was sent, so that what it does not know is doubtful.

    `dkim_keys` are the DNS records of the keys that sign what the mailboxes send, by name, as in
    `selector._domainkey.example.org`; with `dkim_dns`, others are looked up. `dkim_domains` sign
    for the mailboxes, too, besides the domains of these and of `dkim_keys`. `authserv_id` is what
    our own mail server calls itself in Authentication-Results (RFC 8601); "" believes none.
    """

    require: Require = "plausible"
    verp_key_file: Path | None = None
    verp_max_age_days: int = 45
    bounce_address: str = ""
    sends_complete: bool = False
    dkim_keys: Mapping[str, str] = field(default_factory=dict)
    dkim_dns: bool = False
    dkim_domains: tuple[str, ...] = ()
    authserv_id: str = ""


@dataclass(frozen=True, slots=True)
class SheetConfig:
    """The Lead Details sheet. `path` is the embedded default: a local CSV file."""

    path: Path = Path("lead_details.csv")
    key_column: str = "LEAD ID"
    email_column: str = "EMAIL"
    time_zone: str = "UTC"
    flush_every: float = 60.0


@dataclass(frozen=True, slots=True)
class SheetsConfig:
    """Lead Details in Google Sheets, in place of the CSV file once `spreadsheet` is set.

    `spreadsheet` is the id between `/d/` and `/edit` of its address. `credentials` is the JSON key
    of a service account: a file, or a systemd credential of that name. `timeout` is for one
    request. `api` is where the Sheets API answers.
    """

    spreadsheet: str = ""
    tab: str = "Lead Details"
    credentials: Path = Path("google.json")
    timeout: float = 60.0
    api: str = "https://sheets.googleapis.com"


@dataclass(frozen=True, slots=True)
class LeadsConfig:
    """`act_on_unknown` lets a HARD address that is no lead start HubSpot and SmartLead actions."""

    act_on_unknown: bool = False


@dataclass(frozen=True, slots=True)
class HubSpotConfig:
    """Proposals are carried out by API once `token_file` holds a private app's token.

    Only approved ones are; "auto" approves each by itself.
    """

    token_file: Path | None = None
    approve: Literal["manual", "auto"] = "manual"
    base_url: str = "https://api.hubapi.com"


@dataclass(frozen=True, slots=True)
class SmartLeadConfig:
    """Removals are carried out by API once `key_file` holds a key and `dry_run` is off."""

    key_file: Path | None = None
    dry_run: bool = True
    base_url: str = "https://server.smartlead.ai/api/v1"


@dataclass(frozen=True, slots=True)
class PostcardsConfig:
    """A lead is eligible when each of `required_columns` of the sheet is filled."""

    required_columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WebhooksConfig:
    """Each of `urls` is told of each change of an address, signed with `secret_file`'s secret."""

    urls: tuple[str, ...] = ()
    secret_file: Path | None = None


@dataclass(frozen=True, slots=True)
class ParseConfig:
    """Bounds on reading one arrival. `memory_limit` is in octets of address space a worker."""

    time_limit: float = 2.0
    memory_limit: int = 1_500_000_000
    workers: int = 1
    campaign_headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ClassifyConfig:
    """`rules` is a file of your own rules, which go before ours."""

    rules: Path | None = None


@dataclass(frozen=True, slots=True)
class LogConfig:
    format: Literal["auto", "console", "json"] = "auto"
    level: Literal["debug", "info", "warning", "error"] = "info"


@dataclass(frozen=True, slots=True)
class Config:
    ledger: LedgerConfig = field(default_factory=LedgerConfig)
    lmtp: LmtpConfig = field(default_factory=LmtpConfig)
    mailboxes: tuple[MailboxConfig, ...] = ()
    policy: Policy = field(default_factory=Policy)
    trust: TrustConfig = field(default_factory=TrustConfig)
    sheet: SheetConfig = field(default_factory=SheetConfig)
    sheets: SheetsConfig = field(default_factory=SheetsConfig)
    leads: LeadsConfig = field(default_factory=LeadsConfig)
    hubspot: HubSpotConfig = field(default_factory=HubSpotConfig)
    smartlead: SmartLeadConfig = field(default_factory=SmartLeadConfig)
    postcards: PostcardsConfig = field(default_factory=PostcardsConfig)
    webhooks: WebhooksConfig = field(default_factory=WebhooksConfig)
    parse: ParseConfig = field(default_factory=ParseConfig)
    classify: ClassifyConfig = field(default_factory=ClassifyConfig)
    log: LogConfig = field(default_factory=LogConfig)


def load(path: Path) -> Config:
    """Read a config file. Raises ConfigError with the file, the key and where it can, the line."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: no such file. `bouncesink init {path}` writes one to start from."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    return parse(text, path)


def read_secret(path: Path) -> bytes:
    """Read a secret from its file. Raises ConfigError.

    A bare name that is not there is looked for among systemd's credentials (LoadCredential=).
    """
    passed = os.environ.get("CREDENTIALS_DIRECTORY")
    if passed and not path.exists():
        path = Path(passed, path.name)
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: the secret cannot be read: {error.strerror}") from None


def find_secret(path: Path) -> Path:
    """Give the file of a secret: the systemd credential of that name, if there is one.

    See systemd.exec(5), LoadCredential=.
    """
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    credential = Path(folder) / path.name if folder else path
    return credential if credential.exists() else path


def parse(text: str, path: Path) -> Config:
    """Make a Config of TOML text; `path` is for messages and for relative paths."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    reader = _Reader(text, path)
    config: Config = reader.table(Config, data, ())
    _check(config, reader)
    return config


@dataclass(frozen=True, slots=True)
class _Reader:
    text: str
    path: Path

    def error(self, keys: tuple[str, ...], message: str) -> ConfigError:
        line = self._line(keys)
        where = f"{self.path}, line {line}" if line else str(self.path)
        return ConfigError(f"{where}: {'.'.join(keys)}: {message}")

    def table(self, cls: type[Any], data: object, keys: tuple[str, ...]) -> Any:
        if not isinstance(data, dict):
            raise self.error(keys, f"a table is wanted, as in [{'.'.join(keys)}]")
        types_of = typing.get_type_hints(cls)
        for name in data:
            if name not in types_of:
                near = difflib.get_close_matches(name, types_of, n=1)
                hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(types_of)}"
                raise self.error((*keys, name), f"there is no such key; {hint}")
        sections: dict[str, object] = {
            name: {}
            for name, wanted in types_of.items()
            if isinstance(wanted, type) and dataclasses.is_dataclass(wanted)
        }
        for each in dataclasses.fields(cls):
            if each.name not in data and _is_required(each):
                raise self.error((*keys, each.name), "this key is missing")
        made = cls(
            **{
                name: self.value(types_of[name], value, (*keys, name))
                for name, value in (sections | data).items()
            }
        )
        paths = {
            each.name: self.path.parent / path
            for each in dataclasses.fields(made)
            if isinstance(path := getattr(made, each.name), Path)
        }
        return dataclasses.replace(made, **paths)

    def value(self, wanted: Any, value: object, keys: tuple[str, ...]) -> Any:
        if isinstance(wanted, types.UnionType):
            wanted = next(arm for arm in typing.get_args(wanted) if arm is not types.NoneType)
        if dataclasses.is_dataclass(wanted) and isinstance(wanted, type):
            return self.table(wanted, value, keys)
        origin = typing.get_origin(wanted)
        if origin is Literal:
            choices = typing.get_args(wanted)
            if value not in choices:
                raise self.error(keys, f"one of {', '.join(map(repr, choices))} is wanted")
            return value
        if origin is tuple:
            return self._several(typing.get_args(wanted)[0], value, keys)
        if origin is Mapping:
            if not isinstance(value, dict):
                raise self.error(keys, f"a table is wanted, as in [{'.'.join(keys)}]")
            wanted = typing.get_args(wanted)[1]
            return {name: self.value(wanted, each, (*keys, name)) for name, each in value.items()}
        return self._one(wanted, value, keys)

    def _one(self, wanted: Any, value: object, keys: tuple[str, ...]) -> Any:
        if wanted is Path and isinstance(value, str) and value:
            return Path(value)
        if wanted in (int, float) and type(value) in (int, float):
            most = _most(keys[-1], wanted)
            if not typing.cast("float", value) <= most:
                raise self.error(keys, f"at most {most:,} is wanted, not {value!r}")
        if wanted is float and type(value) in (int, float):
            return float(typing.cast("float", value))
        if type(value) is not wanted:
            name = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
            raise self.error(keys, f"{name.get(wanted, 'text')} is wanted, not {value!r}")
        return value

    def _several(self, wanted: Any, value: object, keys: tuple[str, ...]) -> tuple[Any, ...]:
        items = [value] if isinstance(value, str) else value
        if not isinstance(items, list):
            raise self.error(keys, f"a list is wanted, not {value!r}")
        return tuple(self.value(wanted, item, keys) for item in items)

    def _line(self, keys: tuple[str, ...]) -> int | None:
        """Find the line of a key by its table header: tomllib does not tell."""
        table, wanted = "", ".".join(keys[:-1])
        for number, line in enumerate(self.text.splitlines(), 1):
            if header := re.match(r"\s*\[+\s*([\w.-]+)\s*\]+", line):
                table = header[1]
                if table == ".".join(keys):
                    return number
            elif table == wanted and re.match(rf"\s*\"?{re.escape(keys[-1])}\"?\s*=", line):
                return number
        return None


def _is_required(field_: "dataclasses.Field[Any]") -> bool:
    missing = dataclasses.MISSING
    return field_.default is missing and field_.default_factory is missing


def _most(key: str, wanted: type) -> int:
    """Give the largest number that a key may have: beyond it, clocks and counters overflow."""
    if key.endswith("_days"):
        return 36_500
    if key == "workers":
        return 256
    return 1_000_000_000 if wanted is float else 2**40


def _check(config: Config, reader: _Reader) -> None:
    positive: Mapping[tuple[str, ...], float] = {
        ("lmtp", "max_message_size"): config.lmtp.max_message_size,
        ("lmtp", "max_connections"): config.lmtp.max_connections,
        ("lmtp", "max_recipients"): config.lmtp.max_recipients,
        ("lmtp", "idle_timeout"): config.lmtp.idle_timeout,
        ("lmtp", "data_timeout"): config.lmtp.data_timeout,
        ("lmtp", "shutdown_timeout"): config.lmtp.shutdown_timeout,
        ("policy", "strikes"): config.policy.strikes,
        ("policy", "decay_days"): config.policy.decay_days,
        ("trust", "verp_max_age_days"): config.trust.verp_max_age_days,
        ("parse", "time_limit"): config.parse.time_limit,
        ("parse", "memory_limit"): config.parse.memory_limit,
        ("parse", "workers"): config.parse.workers,
        ("sheet", "flush_every"): config.sheet.flush_every,
        ("sheets", "timeout"): config.sheets.timeout,
    }
    for keys, number in positive.items():
        if not number > 0:
            raise reader.error(keys, "a number above zero is wanted")
    for listen in config.lmtp.listen:
        if not re.fullmatch(r"unix:.+|(\[[0-9a-fA-F:.%\w]+\]|[^:\[\]]+):\d{1,5}", listen):
            raise reader.error(
                ("lmtp", "listen"), f"{listen!r} is neither HOST:PORT nor unix:/PATH"
            )
    if not re.fullmatch(r"0?[0-7]{3}", config.lmtp.socket_mode):
        raise reader.error(("lmtp", "socket_mode"), 'octal digits are wanted, as in "0660"')
    _check_policy(config.policy, reader)
    _check_trust(config, reader)
    addresses = [(("lmtp", "recipients"), address) for address in config.lmtp.recipients]
    addresses += [(("mailboxes", "address"), mailbox.address) for mailbox in config.mailboxes]
    if config.trust.bounce_address:
        addresses.append((("trust", "bounce_address"), config.trust.bounce_address))
    for keys, address in addresses:
        if normalise(address) is None:
            raise reader.error(keys, f"{address!r} is not an e-mail address")
    if not re.fullmatch(r"[\w-]{10,200}|", config.sheets.spreadsheet, re.ASCII):
        raise reader.error(
            ("sheets", "spreadsheet"), "the id between /d/ and /edit of its address is wanted"
        )
    if not re.fullmatch(r"https://[^/]+|http://(127\.0\.0\.1|localhost)(:\d+)?", config.sheets.api):
        raise reader.error(
            ("sheets", "api"), "https://HOST is wanted: the key must not travel in the clear"
        )
    _check_queues(config, reader)
    try:
        ZoneInfo(config.sheet.time_zone)
    except (OSError, ValueError, KeyError):
        raise reader.error(
            ("sheet", "time_zone"),
            f'{config.sheet.time_zone!r} is not a time zone; as in "Europe/Berlin"',
        ) from None


def _check_policy(policy: Policy, reader: _Reader) -> None:
    for name in ("requalify_days", "reverify_after_days"):
        if getattr(policy, name) < 0:
            raise reader.error(("policy", name), "days are wanted, or 0 for never")
    for name in policy.reverify:
        if name not in list(Category):
            near = difflib.get_close_matches(name, Category, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise reader.error(("policy", "reverify"), f"{name!r} is no category{hint}")


def _check_trust(config: Config, reader: _Reader) -> None:
    trust = config.trust
    label = r"[\w-]{1,63}"
    for name in trust.dkim_keys:
        if not re.fullmatch(rf"({label}\.)+_domainkey(\.{label})+", name, re.ASCII):
            raise reader.error(
                ("trust", "dkim_keys"),
                f'{name!r} is not the name of a key, as in "selector._domainkey.example.com"',
            )
    for domain in trust.dkim_domains:
        if not re.fullmatch(rf"{label}(\.{label})+", domain, re.ASCII):
            raise reader.error(("trust", "dkim_domains"), f"{domain!r} is not a domain")
    if not re.fullmatch(r"[^\s;()\"]{1,255}|", trust.authserv_id):
        raise reader.error(("trust", "authserv_id"), 'a name is wanted, as in "mx.example.com"')
    used = next((key for key in ("dkim_keys", "dkim_dns") if getattr(trust, key)), None)
    if used and not config.mailboxes:
        raise reader.error(("trust", used), "is about what [[mailboxes]] send, and there are none")


def _check_queues(config: Config, reader: _Reader) -> None:
    urls = [
        (("hubspot", "base_url"), config.hubspot.base_url),
        (("smartlead", "base_url"), config.smartlead.base_url),
        *((("webhooks", "urls"), url) for url in config.webhooks.urls),
    ]
    for keys, url in urls:
        if not re.fullmatch(
            r"(https://[^/@\s]+|http://(127\.0\.0\.1|localhost)(:\d+)?)(/\S*)?", url
        ):
            raise reader.error(keys, "https://HOST/... is wanted: nothing may travel in the clear")
    if config.webhooks.urls and config.webhooks.secret_file is None:
        raise reader.error(("webhooks", "secret_file"), "is needed: what is told is signed with it")
