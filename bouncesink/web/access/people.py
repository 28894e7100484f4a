"""Who is in and who tried: what outlives a reload of the config."""

from dataclasses import dataclass, field

from bouncesink.web.access.attempts import Attempts
from bouncesink.web.access.sessions import Session, Sessions


@dataclass(frozen=True, slots=True)
class People:
    """Belongs to the web server's event loop; `proxied` are sessions by the name of the user."""

    sessions: Sessions = field(default_factory=Sessions)
    attempts: Attempts = field(default_factory=Attempts)
    proxied: dict[str, Session] = field(default_factory=dict)
