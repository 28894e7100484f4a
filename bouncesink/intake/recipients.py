"""PURE. Which envelope recipients are ours: the bounce addresses, the mailboxes, what is below."""

from collections.abc import Iterable

from bouncesink.address import normalise


class Recipients:
    """Bounce addresses with sub-addresses behind "+" and "-" (VERP), mailboxes behind "+" only.

    Behind "-" another person's mailbox may begin.
    """

    def __init__(self, bounces: Iterable[str], mailboxes: Iterable[str]) -> None:
        bounces = [address for each in bounces if (address := normalise(each))]
        mailboxes = [address for each in mailboxes if (address := normalise(each))]
        self._exact = frozenset((*bounces, *mailboxes))
        self._below = {"+": self._exact, "-": frozenset(bounces)}

    def __contains__(self, address: str) -> bool:
        ours = normalise(address)
        if ours is None:
            return False
        if ours in self._exact:
            return True
        local, _, domain = ours.rpartition("@")
        return any(
            f"{local[:end]}@{domain}" in self._below[mark]
            for end, mark in enumerate(local)
            if mark in self._below
        )
