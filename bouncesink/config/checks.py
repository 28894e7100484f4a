"""What a config must hold beyond its types: bounds, addresses, and keys that go together."""

import difflib
import os
import re
from collections.abc import Mapping
from zoneinfo import ZoneInfo

from bouncesink.address import normalise
from bouncesink.config.exposure import refusal
from bouncesink.config.providers import check_providers
from bouncesink.config.reading import Reader
from bouncesink.config.sections import Config, Policy
from bouncesink.model import Category


def check(config: Config, reader: Reader) -> None:
    _check_positive(config, reader)
    _check_listen(config, reader)
    if not re.fullmatch(r"0?[0-7]{3}", config.lmtp.socket_mode):
        raise reader.error(("lmtp", "socket_mode"), 'octal digits are wanted, as in "0660"')
    if not config.watch.warn_percent <= config.watch.act_percent <= 100:
        raise reader.error(
            ("watch", "act_percent"), "is from watch.warn_percent to 100: it is the later alarm"
        )
    _check_policy(config.policy, reader)
    _check_trust(config, reader)
    _check_addresses(config, reader)
    _check_sheets(config, reader)
    _check_export(config, reader)
    _check_queues(config, reader)
    _check_imap(config, reader)
    check_providers(config, reader)


def _check_positive(config: Config, reader: Reader) -> None:
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
        ("retention", "raw_days"): config.retention.raw_days,
        ("retention", "events_months"): config.retention.events_months,
        ("sheets", "timeout"): config.sheets.timeout,
        ("gate", "export_every"): config.gate.export_every,
        ("watch", "window_days"): config.watch.window_days,
        ("watch", "warn_percent"): config.watch.warn_percent,
        ("watch", "min_bounces"): config.watch.min_bounces,
        ("watch", "min_blocks"): config.watch.min_blocks,
        ("alerts", "silence_after"): config.alerts.silence_after,
        ("alerts", "flush_failing_after"): config.alerts.flush_failing_after,
        ("alerts", "trouble_after"): config.alerts.trouble_after,
        ("alerts", "review_above"): config.alerts.review_above,
        ("web", "max_body_size"): config.web.max_body_size,
        ("web", "max_connections"): config.web.max_connections,
        ("web", "timeout"): config.web.timeout,
    }
    for keys, number in positive.items():
        if not number > 0:
            raise reader.error(keys, "a number above zero is wanted")


def _check_addresses(config: Config, reader: Reader) -> None:
    addresses = [(("lmtp", "recipients"), address) for address in config.lmtp.recipients]
    addresses += [(("mailboxes", "address"), mailbox.address) for mailbox in config.mailboxes]
    if config.trust.bounce_address:
        addresses.append((("trust", "bounce_address"), config.trust.bounce_address))
    addresses += [(("alerts", "mail_to"), address) for address in config.alerts.mail_to]
    if config.alerts.mail_from:
        addresses.append((("alerts", "mail_from"), config.alerts.mail_from))
    for keys, address in addresses:
        if normalise(address) is None:
            raise reader.error(keys, f"{address!r} is not an e-mail address")


def _check_sheets(config: Config, reader: Reader) -> None:
    if config.sheet.flush_every < 0:
        raise reader.error(("sheet", "flush_every"), "seconds are wanted, or 0 for never")
    if not re.fullmatch(r"[\w-]{10,200}|", config.sheets.spreadsheet, re.ASCII):
        raise reader.error(
            ("sheets", "spreadsheet"), "the id between /d/ and /edit of its address is wanted"
        )
    if not re.fullmatch(r"https://[^/]+|http://(127\.0\.0\.1|localhost)(:\d+)?", config.sheets.api):
        raise reader.error(
            ("sheets", "api"), "https://HOST is wanted: the key must not travel in the clear"
        )
    try:
        ZoneInfo(config.sheet.time_zone)
    except (OSError, ValueError, KeyError):
        raise reader.error(
            ("sheet", "time_zone"),
            f'{config.sheet.time_zone!r} is not a time zone; as in "Europe/Berlin"',
        ) from None


def _check_listen(config: Config, reader: Reader) -> None:
    for part, key, listens in (
        ("lmtp", "listen", config.lmtp.listen),
        ("web", "listen", config.web.listen),
        ("gate", "postfix", config.gate.postfix),
    ):
        for listen in listens:
            if not re.fullmatch(r"unix:.+|(\[[0-9a-fA-F:.%\w]+\]|[^:\[\]]+):\d{1,5}", listen):
                raise reader.error((part, key), f"{listen!r} is neither HOST:PORT nor unix:/PATH")
    if not re.fullmatch(r"[A-Za-z0-9-]{0,100}", config.web.proxy_user):
        raise reader.error(("web", "proxy_user"), 'a field is wanted, as in "X-Remote-User"')
    for listen in config.web.listen:
        if why := refusal(listen, config.web):
            raise reader.error(("web", "listen"), why)


def _check_export(config: Config, reader: Reader) -> None:
    """Refuse what is needed: the file is written over without a question."""
    if config.gate.export is None:
        return
    export, ledger = (os.path.realpath(path) for path in (config.gate.export, config.ledger.path))
    for what, needed in (
        ("the ledger", ledger),
        *(("a part of the ledger", f"{ledger}{side}") for side in ("-wal", "-shm", ".key")),
        ("sheet.path", os.path.realpath(config.sheet.path)),
        ("this config", os.path.realpath(reader.path)),
    ):
        if export == needed:
            raise reader.error(("gate", "export"), f"is {what}; choose a file of its own")


def _check_policy(policy: Policy, reader: Reader) -> None:
    for name in ("requalify_days", "reverify_after_days"):
        if getattr(policy, name) < 0:
            raise reader.error(("policy", name), "days are wanted, or 0 for never")
    for name in policy.reverify:
        if name not in list(Category):
            near = difflib.get_close_matches(name, Category, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise reader.error(("policy", "reverify"), f"{name!r} is no category{hint}")


def _check_trust(config: Config, reader: Reader) -> None:
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


def _check_queues(config: Config, reader: Reader) -> None:
    urls = [
        (("hubspot", "base_url"), config.hubspot.base_url),
        (("smartlead", "base_url"), config.smartlead.base_url),
        *((("webhooks", "urls"), url) for url in config.webhooks.urls),
        *((("alerts", "webhook"), url) for url in (config.alerts.webhook,) if url),
    ]
    for keys, url in urls:
        if not re.fullmatch(
            r"(https://[^/@\s]+|http://(127\.0\.0\.1|localhost)(:\d+)?)(/\S*)?", url
        ):
            raise reader.error(keys, "https://HOST/... is wanted: nothing may travel in the clear")
    if config.webhooks.urls and config.webhooks.secret_file is None:
        raise reader.error(("webhooks", "secret_file"), "is needed: what is told is signed with it")
    alerts = config.alerts
    if alerts.webhook and alerts.secret_file is None:
        raise reader.error(("alerts", "secret_file"), "is needed: what is told is signed with it")
    if alerts.mail_to and not alerts.mail_from:
        raise reader.error(("alerts", "mail_from"), "is needed: mail comes from somebody")
    if not re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[\w.-]+):\d{1,5}", alerts.smtp, re.ASCII):
        raise reader.error(("alerts", "smtp"), f"{alerts.smtp!r} is not HOST:PORT")


def _check_imap(config: Config, reader: Reader) -> None:
    mined: set[str | None] = set()
    for mailbox in config.mailboxes:
        if (imap := mailbox.imap) is None:
            continue
        keys, of = ("mailboxes", "imap"), f"of {mailbox.address}: "
        if normalise(mailbox.address) in mined:
            raise reader.error(keys, f"{of}is there twice; once is enough")
        mined.add(normalise(mailbox.address))
        host = re.fullmatch(r"([\w.-]+|\[[0-9a-fA-F:.]+\])(:\d{1,5})?", imap.host, re.ASCII)
        if not host:
            raise reader.error((*keys, "host"), f"{of}{imap.host!r} is neither HOST nor HOST:PORT")
        if imap.tls == "none" and host[1] not in ("localhost", "127.0.0.1", "[::1]"):
            raise reader.error((*keys, "tls"), f'{of}"none" is for loopback only')
        secrets = (imap.password_file, imap.oauth_file, imap.service_account)
        if sum(each is not None for each in secrets) != 1:
            raise reader.error(
                keys, f"{of}one of password_file, oauth_file, service_account is wanted"
            )
        if not imap.poll_every >= 1:
            raise reader.error((*keys, "poll_every"), f"{of}at least one second is wanted")
        if imap.move_to.upper() == "INBOX" or not re.fullmatch(
            r"[^*%\x00-\x1f\x7f]{0,200}", imap.move_to
        ):
            raise reader.error(
                (*keys, "move_to"),
                f"{of}{imap.move_to!r} is no folder to move to: a name like Bounces is wanted,"
                " without * and %, and not the inbox",
            )
