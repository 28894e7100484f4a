"""A mail server that says of each recipient what its name asks for, as `gone.1@` of "gone"."""

from collections.abc import Iterator
from contextlib import contextmanager

from aiosmtpd.controller import Controller
from private_postfix import free_port

DOMAIN = "reject.test"

_REPLIES = {
    "gone": "550 5.1.1 <{}>: Recipient address rejected: User unknown in virtual mailbox table",
    "full": "552 5.2.2 <{}>: The mailbox is over quota",
    "busy": "452 4.2.2 <{}>: Mailbox full, try again later",
    "slow": "451 4.3.0 <{}>: Temporary lookup failure",
    "late": "451 4.3.0 <{}>: Temporary lookup failure",
    "blocked": "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using bl.example.net",
    "odd": "550 rejected",
    "good": "250 2.1.5 OK",
    "björn": "550 5.1.1 <{}>: User unknown",
}


class Refusing:
    def __init__(self) -> None:
        # It would take no other name than an address for itself.
        self._controller = Controller(self, hostname="127.0.0.1", port=free_port())
        self.port = int(self._controller.port)
        self.relented: set[str] = set()
        """Those who come "late" and are taken now."""

    async def handle_RCPT(self, _server, _session, envelope, address, _options):  # noqa: N802 - the name that aiosmtpd calls
        name = address.partition("@")[0].partition(".")[0]
        reply = _REPLIES["good" if address in self.relented else name]
        if reply.startswith("250"):
            envelope.rcpt_tos.append(address)
        return reply.format(address)

    async def handle_DATA(self, _server, _session, _envelope):  # noqa: N802 - likewise
        return "250 2.0.0 OK"


@contextmanager
def refusing() -> Iterator[Refusing]:
    made = Refusing()
    made._controller.start()
    try:
        yield made
    finally:
        made._controller.stop()
