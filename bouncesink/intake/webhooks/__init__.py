"""Providers that tell us by webhook: what is verified becomes arrivals, one an event.

PURE but for what is passed in (the clock, secrets, a way to fetch). One provider a file, which says
whether a request is really the provider's, and takes the events out of it; what they mean is read
later, by `bouncesink.parse.providers`. An event is kept as JSON with sorted keys, so that one that
is sent again, in a request of whatever make, is the same arrival. What only tells that a mail was
sent, opened or clicked is no bounce, and not kept.

HTTP itself is in `bouncesink.web.webhooks`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from typing import NoReturn

from bouncesink.config import ProviderConfig
from bouncesink.errors import ConfigError
from bouncesink.identity import arrival_id
from bouncesink.intake.webhooks.generic import Generic
from bouncesink.intake.webhooks.mailgun import Mailgun
from bouncesink.intake.webhooks.mandrill import Mandrill
from bouncesink.intake.webhooks.postmark import Postmark
from bouncesink.intake.webhooks.request import Means, Provider, Refused, Request, Told
from bouncesink.intake.webhooks.sendgrid import SendGrid
from bouncesink.intake.webhooks.ses import Ses
from bouncesink.intake.webhooks.smartlead import SmartLead
from bouncesink.model import Arrival

__all__ = ["Account", "Means", "Refused", "Request", "Told", "check_account", "open_accounts"]

PROVIDERS: Mapping[str, Callable[[ProviderConfig, Means], Provider]] = {
    "ses": Ses,
    "sendgrid": SendGrid,
    "postmark": Postmark,
    "mailgun": Mailgun,
    "mandrill": Mandrill,
    "smartlead": SmartLead,
    "generic": Generic,
}
_SIGN_WITH_KEYS = ("ses", "sendgrid")


@dataclass(frozen=True, slots=True)
class Account:
    """One of `[[providers]]`: a name in the path, and who speaks there."""

    name: str
    source: str
    provider: Provider

    def arrivals(self, told: Told, received_at: datetime) -> Iterator[Arrival]:
        for raw in told.events:
            yield Arrival(
                id=arrival_id(raw, ""),
                source=self.source,
                envelope_from="",
                envelope_to="",
                received_at=received_at,
                raw=raw,
                media_type="application/json",
            )


def open_accounts(configs: Sequence[ProviderConfig], means: Means) -> dict[str, Account]:
    """Give each account by its name. Raises ConfigError where a secret cannot be used."""
    return {each.path_name: _open(each, means) for each in configs}


def check_account(config: ProviderConfig) -> None:
    """Raise ConfigError if an account could not be opened."""

    async def nothing(*_: object) -> NoReturn:
        raise NotImplementedError

    _open(config, Means(nothing, nothing))


def _open(config: ProviderConfig, means: Means) -> Account:
    if config.provider in _SIGN_WITH_KEYS and find_spec("cryptography") is None:
        raise ConfigError(
            f"[[providers]] {config.path_name}: what checks its signatures is not installed: "
            "pip install 'bouncesink[web]'"
        )
    return Account(config.path_name, config.source, PROVIDERS[config.provider](config, means))
