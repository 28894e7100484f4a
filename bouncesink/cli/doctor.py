"""`bouncesink doctor`: whether the config is right, and all that it points to."""

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

import click

from bouncesink.cli.options import config_options, json_option, print_json
from bouncesink.cli.show import plural, safe
from bouncesink.config import Config
from bouncesink.errors import BouncesinkError


@dataclass(frozen=True, slots=True)
class Finding:
    """`state` is ok, warn or fail."""

    what: str
    state: str
    message: str


@click.command()
@config_options
@json_option
def command(config: Config, *, as_json: bool) -> int:
    """Check the config and what it points to: the ledger, sockets, rules, sheet and secrets.

    Exits with 2 when something fails. It may run beside the service.
    """
    findings = [finding for check in _CHECKS for finding in check(config)]
    for finding in findings:
        if as_json:
            print_json({"what": finding.what, "state": finding.state, "message": finding.message})
        else:
            click.echo(f"{finding.state:4}  {finding.what}: {safe(finding.message)}")
    return 2 if any(finding.state == "fail" for finding in findings) else 0


def _ledger(config: Config) -> Iterator[Finding]:
    from bouncesink.ledger import open_ledger

    path = config.ledger.path
    try:
        if path.exists():
            with closing(open_ledger(path)) as ledger:
                count = sum(ledger.totals().arrivals.values())
                ledger.forgotten(())  # its key is there, if it needs one
            yield Finding("ledger", "ok", f"{path} holds {count:,} arrivals")
        elif os.access(path.parent, os.W_OK):
            yield Finding("ledger", "ok", f"{path} will be made at the first start")
        else:
            yield Finding("ledger", "fail", f"{path.parent} is no folder that we may write to")
    except BouncesinkError as error:
        yield Finding("ledger", "fail", str(error))


def _recipients(config: Config) -> Iterator[Finding]:
    if config.lmtp.recipients or config.mailboxes:
        accepted = (*config.lmtp.recipients, *(each.address for each in config.mailboxes))
        yield Finding("recipients", "ok", ", ".join(accepted))
    elif config.providers:
        yield Finding("recipients", "ok", "none: bounces come by webhook only")
    else:
        yield Finding("recipients", "fail", "lmtp.recipients is empty: no mail would be accepted")
    if not config.mailboxes:
        yield Finding(
            "mailboxes",
            "warn",
            "none is configured, so a bounce has nothing to be compared with: any is acted on, "
            "also a forged one",
        )


def _listen(config: Config) -> Iterator[Finding]:
    from bouncesink.intake.listeners import open_listeners

    wanted = (
        *(("lmtp", each) for each in config.lmtp.listen),
        *(("web", each) for each in config.web.listen),
        *(("gate", each) for each in config.gate.postfix),
    )
    taken = []  # by us: none may be wanted twice
    for what, listen in wanted:
        try:
            taken += open_listeners((listen,), int(config.lmtp.socket_mode, 8), {})
            yield Finding(what, "ok", f"{listen} is free")
        except BouncesinkError as error:
            yield Finding(what, "warn", f"{error} (as it should be if the service runs)")
    for listener in taken:
        listener.close()


def _rules(config: Config) -> Iterator[Finding]:
    from bouncesink.classify import check_rules, load_rules

    path = config.classify.rules
    try:
        problems = check_rules(path) if path else []
        count = sum(1 for _ in load_rules(path))
    except BouncesinkError as error:
        yield Finding("rules", "fail", str(error))
        return
    for problem in problems:
        yield Finding("rules", "warn", str(problem))
    yield Finding("rules", "ok", f"{count:,} rules")


def _sheet(config: Config) -> Iterator[Finding]:
    from bouncesink.outbox import open_sheet

    try:
        sheet = open_sheet(config)
        if sheet is None:
            yield Finding("sheet", "warn", f"there is no {config.sheet.path} yet, so no leads")
            return
        reading = sheet.read()
    except BouncesinkError as error:
        yield Finding("sheet", "fail", str(error))
        return
    for problem in reading.problems:
        yield Finding("sheet", "warn", f"{sheet.name}: {problem}")
    for column in reading.missing:
        yield Finding("sheet", "warn", f"{sheet.name}: no column {column!r}; it will be added")
    yield Finding("sheet", "ok", f"{sheet.name} has {plural(len(reading.rows), 'row')}")


def _trust(config: Config) -> Iterator[Finding]:
    from bouncesink import auth_results
    from bouncesink.dkim_check import Signatures
    from bouncesink.engine import verp_keys

    try:
        if keys := verp_keys(config):
            yield Finding("verp", "ok", f"{plural(len(keys), 'key')} for signed return paths")
        if ours := Signatures.of(config):
            dns = ", others from the DNS" if ours.dns else ""
            of = ", ".join(sorted(ours.domains))
            yield Finding("dkim", "ok", f"{plural(len(ours.keys), 'key')}{dns}; signatures of {of}")
        if config.trust.authserv_id:
            auth_results.require()
            yield Finding("authserv_id", "ok", config.trust.authserv_id)
    except BouncesinkError as error:
        yield Finding("trust", "fail", str(error))


def _queues(config: Config) -> Iterator[Finding]:
    from bouncesink.engine import utcnow
    from bouncesink.outbox.sinks import only_shows, open_sinks

    for sink in open_sinks(config, utcnow):
        try:
            sink.check()
        except BouncesinkError as error:
            yield Finding(sink.name, "fail", str(error))
            continue
        dry = " (dry_run: only shows what it would do)" if only_shows(config, sink) else ""
        yield Finding(sink.name, "ok", f"what it needs is there{dry}")


def _web(config: Config) -> Iterator[Finding]:
    from bouncesink.web import require

    if not config.web.listen:
        return
    try:
        require()
    except BouncesinkError as error:
        yield Finding("web", "fail", str(error))
        return
    if config.web.users is None and not config.web.proxy_user:
        yield Finding("web", "warn", "nobody may see the page: web.users names no file of users")


def _imap(config: Config) -> Iterator[Finding]:
    from bouncesink.intake import imap

    mined = [(mailbox, mailbox.imap) for mailbox in config.mailboxes if mailbox.imap]
    if not mined:
        return
    try:
        imap.require()
    except BouncesinkError as error:
        yield Finding("imap", "fail", str(error))
        return
    from bouncesink.intake.imap.folders import folders_to_mine
    from bouncesink.intake.imap.login import Login
    from bouncesink.intake.imap.session import connect

    for mailbox, how in mined:
        what = f"{mailbox.address} over IMAP"
        try:
            with closing(connect(how, Login(mailbox))) as session:
                names = folders_to_mine(session.folders())
        except BouncesinkError as error:
            yield Finding(what, "fail", str(error))
        else:
            told = "the server tells of new mail" if session.can_idle else "no IDLE: it is polled"
            yield Finding(what, "ok", f"{plural(len(names), 'folder')} to read; {told}")


def _providers(config: Config) -> Iterator[Finding]:
    from bouncesink.intake.webhooks import check_account

    for each in config.providers:
        try:
            check_account(each)
        except BouncesinkError as error:
            yield Finding(f"webhook {each.path_name}", "fail", str(error))
            continue
        yield Finding(f"webhook {each.path_name}", "ok", f"is heard at /hooks/{each.path_name}")
    if config.providers and not config.web.listen:
        yield Finding(
            "webhooks", "warn", "[[providers]] tell it over HTTP, and [web] listen is not set"
        )


_CHECKS: tuple[Callable[[Config], Iterator[Finding]], ...] = (
    _ledger,
    _recipients,
    _listen,
    _web,
    _rules,
    _trust,
    _sheet,
    _queues,
    _providers,
    _imap,
)
