"""PURE. Which folders of a mailbox may hold bounces, by SPECIAL-USE (RFC 6154)."""

from collections.abc import Iterable
from dataclasses import dataclass

_NEVER = frozenset({"\\noselect", "\\nonexistent"})
_OWN = frozenset({"\\sent", "\\drafts"})
"""What their owner writes."""
_BESIDE_ALL = frozenset({"\\junk", "\\trash"})
"""What a folder with all mail leaves out."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder and its attributes, in lower case (RFC 3501, section 7.2.2)."""

    name: str
    attributes: frozenset[str]


def folders_to_mine(listed: Iterable[Folder]) -> list[str]:
    """Choose folders, the one in which new mail shows first.

    Where one holds all mail (Gmail), that and those that it leaves out; elsewhere INBOX and every
    other but those in which its owner writes: filters and people move bounces anywhere.
    """
    usable = [each for each in listed if not each.attributes & _NEVER]
    if everything := next((each for each in usable if "\\all" in each.attributes), None):
        beside = [each.name for each in usable if each.attributes & _BESIDE_ALL]
        return [everything.name, *(name for name in beside if name != everything.name)]
    theirs = [each.name for each in usable if not each.attributes & _OWN]
    # INBOX is INBOX in any case of letters (RFC 3501, section 5.1).
    return sorted(dict.fromkeys(theirs), key=lambda name: name.upper() != "INBOX")
