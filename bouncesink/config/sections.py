"""The tables of a config file, each a frozen dataclass with its defaults.

Durations are in seconds unless the key says `days`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bouncesink.model import WEBHOOK, Category

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
    max_message_size: int = 60_000_000
    max_connections: int = 1000
    max_recipients: int = 100
    idle_timeout: float = 300.0
    data_timeout: float = 180.0
    shutdown_timeout: float = 20.0
    socket_mode: str = "0660"


@dataclass(frozen=True, slots=True)
class ImapConfig:
    """How a mailbox is mined over IMAP: see `bouncesink.intake.imap`.

    `host` is `HOST` or `HOST:PORT`; `tls` "none" is for loopback only. `user` is by default the
    mailbox's address. One of the files is needed: `password_file` (also an app password),
    `oauth_file`, the JSON of a refresh token, or `service_account`, the JSON key of a Google
    service account that may act for the user. The mailbox is looked at every `poll_every` seconds,
    and where the server has IDLE, as soon as mail comes.

    Once a notification is in the ledger, `mark_read` marks it as read, and out of the inbox it
    goes to the folder `move_to`, if that is not "". All else in a mailbox stays as it is.
    """

    host: str
    user: str = ""
    password_file: Path | None = None
    oauth_file: Path | None = None
    service_account: Path | None = None
    tls: Literal["tls", "starttls", "none"] = "tls"
    poll_every: float = 300.0
    mark_read: bool = False
    move_to: str = ""


@dataclass(frozen=True, slots=True)
class MailboxConfig:
    """One of the addresses that outreach is sent from.

    `verp` is whether its mail carries our signed return path, once there is a key: Gmail's cannot.
    With `imap`, bounces are mined from it.
    """

    address: str
    verp: bool = True
    imap: ImapConfig | None = None


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
    """The Lead Details sheet. `path` is the embedded default: a local CSV file.

    With 0 for `flush_every` the service leaves the sheet alone: a timer has `bouncesink flush` run.
    """

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


ProviderName = Literal["ses", "sendgrid", "postmark", "mailgun", "mandrill", "smartlead", "generic"]


@dataclass(frozen=True, slots=True)
class ProviderConfig:
    """A provider that tells us by webhook, at `/hooks/NAME` of the web server.

    `name` is the provider's if it is not given. `secret_file` holds what it signs with, or the
    login, one a line: each counts. `topics` are the SNS topics that SES tells by. `url` is
    where Mandrill posts to, to the letter. With `header`, Postmark has the secret in that header
    field. `max_age` is how old a signed time may be; None is as the provider needs it.
    """

    provider: ProviderName
    name: str = ""
    secret_file: Path | None = None
    topics: tuple[str, ...] = ()
    url: str = ""
    header: str = ""
    max_age: float | None = None

    @property
    def path_name(self) -> str:
        return self.name or self.provider

    @property
    def source(self) -> str:
        """The source of what it tells: `webhook:ses`, or with another name `webhook:ses/NAME`."""
        own = "" if self.path_name == self.provider else f"/{self.path_name}"
        return f"{WEBHOOK}{self.provider}{own}"


@dataclass(frozen=True, slots=True)
class AlertsConfig:
    """Who is told at once of what cannot wait: by mail, by webhook, or both.

    `smtp` is the HOST:PORT of a mail server that takes mail of this machine without a login. What
    goes to `webhook` is signed with `secret_file`'s secret. See `bouncesink.service.alerts` for the
    rest.
    """

    mail_to: tuple[str, ...] = ()
    mail_from: str = ""
    smtp: str = "127.0.0.1:25"
    webhook: str = ""
    secret_file: Path | None = None
    silence_after: float = 21_600.0
    flush_failing_after: float = 1800.0
    trouble_after: float = 900.0
    review_above: int = 100

    @property
    def told(self) -> bool:
        """Whether there is anybody to tell."""
        return bool(self.mail_to or self.webhook)


@dataclass(frozen=True, slots=True)
class WebConfig:
    """`listen` is as in `LmtpConfig`; without any there is no web server. Sizes are in octets.

    `hosts` are the names under which it is asked for, besides localhost and addresses. `timeout` is
    for a request to come in whole, and again for its answer. `tokens` is a file of who may ask the
    gate, see `bouncesink token`; without it, whoever reaches us may.

    `users` is a file of who may see the page, see `bouncesink user`. Or a web server in front, on
    this machine, has seen to it, and names the person in the field `proxy_user` of each request: of
    those `proxy_actors` may act.
    """

    listen: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    tokens: Path | None = None
    users: Path | None = None
    proxy_user: str = ""
    proxy_actors: tuple[str, ...] = ()
    max_body_size: int = 10_000_000
    max_connections: int = 200
    timeout: float = 30.0


@dataclass(frozen=True, slots=True)
class GateConfig:
    """How others than people ask who may be mailed; over HTTP it is in `WebConfig`.

    `postfix` is where Postfix asks about recipients (as in `lmtp.listen`): see deploy/gate.md.
    `export` is a file that the suppression list is written to every `export_every` seconds, when it
    has changed: CSV, or JSON lines if it ends in .json or .jsonl.
    """

    postfix: tuple[str, ...] = ()
    export: Path | None = None
    export_every: float = 300.0


@dataclass(frozen=True, slots=True)
class WatchConfig:
    """When a rate of hard bounces is an alarm: see `bouncesink.watch`.

    A rate is over the last `window_days`. At `warn_percent` there is an alert, at `act_percent` the
    campaign is to be paused, too: "propose" asks a person first, "auto" does not, "off" never asks.
    Fewer hard bounces than `min_bounces` are no alarm, nor are fewer blocks in a day by one
    provider than `min_blocks`.
    """

    window_days: int = 7
    warn_percent: float = 2.0
    act_percent: float = 3.0
    min_bounces: int = 3
    min_blocks: int = 10
    pause: Literal["propose", "auto", "off"] = "propose"


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
class RetentionConfig:
    """How long what tells of people is kept; see deploy/privacy.md.

    After `raw_days` of a mail only the headers and the delivery status are, and the returned
    message's body until the next maintenance unless `keep_bodies`. After `events_months` of an
    address only what its state rests on is. `in_service`: `serve` sees to it every hour; without,
    run `bouncesink maintain` by a timer.
    """

    raw_days: int = 90
    events_months: int = 24
    keep_bodies: bool = False
    in_service: bool = True


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
    providers: tuple[ProviderConfig, ...] = ()
    alerts: AlertsConfig = field(default_factory=AlertsConfig)
    web: WebConfig = field(default_factory=WebConfig)
    gate: GateConfig = field(default_factory=GateConfig)
    watch: WatchConfig = field(default_factory=WatchConfig)
    parse: ParseConfig = field(default_factory=ParseConfig)
    classify: ClassifyConfig = field(default_factory=ClassifyConfig)
    retention: RetentionConfig = field(default_factory=RetentionConfig)
    log: LogConfig = field(default_factory=LogConfig)
