"""PURE. What our own mail server found out about who sent a bounce (RFC 8601): authres's one door.

Anyone can write an Authentication-Results field. Ours are told by the configured authserv-id, and
only at the top: what came with the message stands below what our server put there. It must remove
those that came with its own id (section 5): here, nobody can tell them apart.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bouncesink.errors import ConfigError

_ID = re.compile(r"\s*([^\s;()\"]{1,255})")
_MAX_FIELDS = 10
_MAX_FIELD = 2000
_IDENTITIES = {
    "dkim": ("header.d", "header.i"),
    "spf": ("smtp.mailfrom", "smtp.helo"),
    "dmarc": ("header.from",),
}
"""The methods that count, and where they say whom it is about, most telling first."""


@dataclass(frozen=True, slots=True)
class Results:
    """`domains` are those that a method passed for; DMARC is about what From says."""

    domains: frozenset[str] = frozenset()
    dmarc_failed: bool = False


def require() -> None:
    """Raise ConfigError if the package is not installed."""
    try:
        import authres  # noqa: F401 - only whether it is there
    except ImportError as error:
        raise ConfigError(
            f"[trust] authserv_id needs a package that is not installed ({error.name}): "
            "pip install 'bouncesink[auth]'"
        ) from None


def read(fields: Sequence[str], authserv_id: str) -> Results | None:
    """Read the fields of our own server, given from the top; None where there are none.

    Of each method its topmost field counts: a server that writes several writes each method once.
    """
    if not authserv_id:
        return None
    passed: set[str] = set()
    seen: set[str] = set()
    dmarc_failed = False
    for field in _own(fields, authserv_id.lower()):
        results = [each for each in _parsed(field) if each.method not in seen]
        seen |= {each.method for each in results}
        for each in results:
            if each.result == "pass":
                passed |= set(_domains(each))
            elif each.method == "dmarc" and each.result == "fail":
                dmarc_failed = True
    return Results(frozenset(passed), dmarc_failed) if seen else None


def _own(fields: Sequence[str], authserv_id: str) -> Iterator[str]:
    for field in fields[:_MAX_FIELDS]:
        found = _ID.match(field)
        if found is None or found[1].lower() != authserv_id:
            return
        yield field


def _parsed(field: str) -> list[Any]:
    import authres

    # Whoever read the mail may have cut it: the last result is whole only if the field is.
    for text in (field[:_MAX_FIELD], field[:_MAX_FIELD].rpartition(";")[0]):
        try:
            results = authres.AuthenticationResultsHeader.parse_value(text).results
        except Exception:  # noqa: S112 - hostile text; it also runs out of stack, and out of index
            continue
        return [each for each in results if each.method in _IDENTITIES]
    return []


def _domains(result: Any) -> Iterator[str]:
    said = {f"{each.type}.{each.name}": str(each.value or "") for each in result.properties}
    for name in _IDENTITIES[result.method]:
        if said.get(name):
            yield said[name].rpartition("@")[2].rstrip(".").lower()
            return
