"""Sessions: who is logged in, for how long, and the token that each form of theirs carries.

They are in memory, by the hash of what the cookie holds: a restart logs everybody out.
"""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

from bouncesink.web.access.users import User

IDLE = 8 * 3600.0
LONGEST = 7 * 24 * 3600.0
"""Seconds without a request, and altogether, after which a session ends."""

MOST = 1000
"""Sessions at a time; the one that was idle for longest makes way."""


@dataclass(slots=True)
class Session:
    """`form_token` is what a form of this session must bring back (CSRF).

    `said` is what the next page is to say of the last act, and whether it went well. Whoever a web
    server in front has let in (`proxied`) logs out there.
    """

    user: User
    began: float
    seen: float
    form_token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    said: tuple[str, bool] | None = None
    proxied: bool = False


class Sessions:
    """Belongs to one thread."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._sessions: dict[str, Session] = {}

    def begin(self, user: User) -> tuple[str, Session]:
        """Begin a session; give what its cookie holds, which nobody has seen before."""
        now = self._clock()
        self._sessions = {key: each for key, each in self._sessions.items() if not _over(each, now)}
        if len(self._sessions) >= MOST:
            del self._sessions[min(self._sessions, key=lambda key: self._sessions[key].seen)]
        cookie = secrets.token_urlsafe(32)
        session = self._sessions[_key(cookie)] = Session(user, now, now)
        return cookie, session

    def of(self, cookie: str, *, idle: bool = False) -> Session | None:
        """Give the session of a cookie, if it is not over; unless `idle`, it counts as seen."""
        session, now = self._sessions.get(_key(cookie)), self._clock()
        if session is None or _over(session, now):
            return None
        if not idle:
            session.seen = now
        return session

    def end(self, cookie: str) -> None:
        self._sessions.pop(_key(cookie), None)

    def end_all_of(self, name: str) -> None:
        """End what a user has open, as when the password changes."""
        self._sessions = {k: each for k, each in self._sessions.items() if each.user.name != name}


def _over(session: Session, now: float) -> bool:
    return now - session.seen > IDLE or now - session.began > LONGEST


def _key(cookie: str) -> str:
    return hashlib.sha256(cookie.encode("utf-8", "surrogatepass")).hexdigest()
