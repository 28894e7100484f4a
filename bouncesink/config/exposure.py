"""PURE. Where the web server may listen: who could reach it, and what must be set before."""

import ipaddress

from bouncesink.config.sections import WebConfig


def refusal(listen: str, web: WebConfig) -> str | None:
    """Say why the web server may not listen at `listen` (HOST:PORT or unix:PATH); None if it may.

    Also asked of each socket that is really there, as of one that systemd passed.
    """
    if is_local(listen):
        return None
    missing = [name for name in ("users", "tokens") if getattr(web, name) is None]
    if not missing:
        return None
    return (
        f"{listen} is open to other machines, and nothing says who may come in: set "
        f"{' and '.join(f'web.{name}' for name in missing)}; or listen on 127.0.0.1 or on "
        "unix:/PATH, and put a web server with a login in front"
    )


def is_local(listen: str) -> bool:
    """Whether only this very machine can reach it. A name other than localhost may be anywhere."""
    if listen.startswith("unix:"):
        return True
    host = listen.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False
