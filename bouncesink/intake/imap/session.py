"""A connection to one mailbox: the only importer of imapclient.

What reads leaves a mailbox as it is: folders are opened with EXAMINE and messages fetched with
BODY.PEEK. What changes it, where that is configured, names each message by its UID. A server may
send anything at any moment; whatever that is ends in Refused or Broken, and never in an exception
of imapclient or of a socket.
"""

import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import imapclient
from imapclient import imap_utf7
from imapclient.exceptions import IMAPClientAbortError, IMAPClientError, LoginError, ProtocolError

from bouncesink.config import ImapConfig
from bouncesink.errors import BouncesinkError, MailboxError
from bouncesink.intake.imap.folders import Folder
from bouncesink.intake.imap.login import Login

TIMEOUT = 60.0
"""Seconds without an octet after which a connection is given up."""

_MAX_UID = 2**32 - 1
"""Of a UID and of UIDVALIDITY (RFC 3501, section 2.3.1.1)."""

_LONGEST_IDLE = 30.0
"""Seconds after which IDLE is begun anew: what came together with the server's consent to it lies
in a buffer where waiting does not see it. A dead connection shows, too."""

_HEADER = 200_000
"""Octets of a header section that are looked at: long ones must not fill our memory."""

_NOT_OURS = "-in:sent -in:draft"
"""Gmail's words for what the mailbox's owner did not write; all mail is in one folder there."""


class Refused(MailboxError):
    """The server said no to a command; the connection is as good as before."""


class Broken(MailboxError):
    """The connection is gone, or what comes over it makes no sense."""


class Unreachable(Broken):
    """There is no such host, nobody listens there, or its certificate is not good."""


@dataclass(frozen=True, slots=True)
class Examined:
    """A folder as it was when it was opened; `uidnext` is 0 where the server does not say."""

    uidvalidity: int
    uidnext: int


@dataclass(frozen=True, slots=True)
class Glance:
    """What a message looks like from outside; `header` is its header section."""

    uid: int
    size: int
    received_at: datetime
    header: bytes
    gmail_id: str | None


class Session:
    """See the module. Open it with `connect`; it belongs to one thread at a time."""

    def __init__(self, client: imapclient.IMAPClient, name: str) -> None:
        self._client = client
        self._name = name
        self.is_gmail = client.has_capability("X-GM-EXT-1")
        self.can_idle = client.has_capability("IDLE")

    def close(self) -> None:
        _shut(self._client)

    def folders(self) -> list[Folder]:
        """List the owner's folders, each by the name that it has on the wire (modified UTF-7)."""
        with self._speaking():
            others = self._others()
            return [
                Folder(_text(name), frozenset(_text(each).lower() for each in attributes))
                for attributes, _, name in self._client.list_folders()
                if not _text(name).startswith(others)
            ]

    def _others(self) -> tuple[str, ...]:
        """Give what the names of folders begin with that other people share (RFC 2342)."""
        if not self._client.has_capability("NAMESPACE"):
            return ()
        names = self._client.namespace()
        shared = (*(names.other or ()), *(names.shared or ()))
        return tuple(_text(prefix) for prefix, _ in shared if prefix)

    def examine(self, folder: str) -> Examined:
        """Open a folder for reading only."""
        return self._open(folder, readonly=True)

    def select(self, folder: str) -> Examined:
        """Open a folder for `mark_read` and `move`."""
        return self._open(folder, readonly=False)

    def _open(self, folder: str, *, readonly: bool) -> Examined:
        if not (folder.isascii() and folder.isprintable()):
            raise Refused(f"{self._name}: {folder!r} is no name of a folder (RFC 3501, 5.1.3)")
        with self._speaking():
            answer = self._client.select_folder(folder, readonly=readonly)
            return Examined(_number(answer[b"UIDVALIDITY"]), _number(answer.get(b"UIDNEXT", 0)))

    def search(self, since: date, after: int) -> list[int]:
        """Give the UIDs of what was received on `since` or later, or has a UID above `after`.

        No header field is searched for: servers differ in what they find then. An `after` of 0
        is none.
        """
        when: list[Any] = ["SINCE", since]
        if 0 < after < _MAX_UID:
            # Not "*", which would find the last message, too, when all are below.
            when = ["OR", when, ["UID", f"{after + 1}:{_MAX_UID}"]]
        if self.is_gmail:
            with suppress(Refused):  # then it is only more to look at
                return self._search([*when, "X-GM-RAW", _NOT_OURS])
        return self._search(when)

    def glance(self, uids: Sequence[int]) -> dict[int, Glance]:
        """Look at messages; those that are gone, or that the server does not show, are left out."""
        wanted = ["RFC822.SIZE", "INTERNALDATE", f"BODY.PEEK[HEADER]<0.{_HEADER}>"]
        if self.is_gmail:
            wanted.append("X-GM-MSGID")
        with self._speaking():
            answer = self._client.fetch(uids, wanted)
            looks = (_glance(uid, found) for uid, found in answer.items() if uid in uids)
            return {look.uid: look for look in looks if look is not None}

    def whole(self, uids: Sequence[int], most: int | None = None) -> dict[int, bytes]:
        """Fetch messages, or the first `most` octets of each."""
        part = f"<0.{most}>" if most else ""
        with self._speaking():
            answer = self._client.fetch(uids, [f"BODY.PEEK[]{part}"])
            return {
                uid: raw
                for uid, found in answer.items()
                if isinstance(raw := _section(found, b"BODY[]"), bytes) and raw and uid in uids
            }

    def those_left(self, uids: Sequence[int]) -> set[int]:
        """Of these messages, those that are still there."""
        return set(self._search(["UID", ",".join(map(str, uids))]))

    def make_folder(self, name: str) -> None:
        """Make a folder, if there is none of that name, and have mail programs show it."""
        on_wire = _text(imap_utf7.encode(name))
        with self._speaking():
            if self._client.folder_exists(on_wire):
                return
            self._client.create_folder(on_wire)
        with suppress(Refused), self._speaking():
            self._client.subscribe_folder(on_wire)

    def mark_read(self, uids: Sequence[int]) -> None:
        """Mark messages of the selected folder as read; those that are gone do not matter."""
        with self._speaking():
            self._client.add_flags(uids, [imapclient.SEEN], silent=True)

    def move(self, uids: Sequence[int], source: str, target: str) -> None:
        """Move messages of the selected folder, which is `source`, into another.

        In Gmail's folder of all mail they stay: there the label changes. Raises Refused, too, where
        the server has no way that takes away these messages and no others.
        """
        on_wire = _text(imap_utf7.encode(target))
        with self._speaking():
            if source.upper() != "INBOX":
                if not self.is_gmail or on_wire == source:
                    raise Refused(f"{self._name}: nothing is moved out of {source}, only of INBOX")
                self._client.add_gmail_labels(uids, [target], silent=True)
                self._client.remove_gmail_labels(uids, ["\\Inbox"], silent=True)
            elif self._client.has_capability("MOVE"):
                self._client.move(uids, on_wire)
            elif self._client.has_capability("UIDPLUS"):
                # A copy has the flags, also those of an attempt that was broken off.
                self._client.remove_flags(uids, [imapclient.DELETED], silent=True)
                self._client.copy(uids, on_wire)
                self._client.delete_messages(uids, silent=True)
                self._client.uid_expunge(uids)
            else:
                raise Refused(
                    f"{self._name}: nothing is moved: the server has neither MOVE nor UIDPLUS, and "
                    "a plain EXPUNGE would also end what somebody else marked as deleted"
                )

    def idle(self, folder: str, uidnext: int, seconds: float, goes_on: Callable[[], bool]) -> bool:
        """Wait until mail comes into a folder whose UIDNEXT was this; whether it did (RFC 2177).

        Looks at `goes_on` once a second. Raises MailboxError.
        """
        if self.examine(folder).uidnext > uidnext:
            return True  # it came meanwhile, and IDLE tells of what comes later
        deadline, turn = time.monotonic() + seconds, 1.0
        while (left := deadline - time.monotonic()) > 0 and goes_on():
            if self._idle_once(min(turn, left), goes_on):
                return True
            turn = min(2 * turn, _LONGEST_IDLE)
        return False

    def _idle_once(self, seconds: float, goes_on: Callable[[], bool]) -> bool:
        deadline = time.monotonic() + seconds
        try:
            with self._speaking():
                self._client.idle()
                happened = False
                while not happened and goes_on():
                    begun = time.monotonic()
                    wait = min(1.0, deadline - begun)
                    if wait <= 0:
                        break
                    told = self._client.idle_check(wait)
                    happened = _has_come(told)
                    if not told and time.monotonic() - begun < wait * 0.9:
                        break  # something to read that is no line: the end of the connection
                return _has_come(self._client.idle_done()[1]) or happened
        except Refused as error:  # something came before IDLE began, which imapclient cannot take
            raise Broken(str(error)) from None

    def _search(self, criteria: Sequence[Any]) -> list[int]:
        with self._speaking():
            return sorted(set(map(_number, self._client.search(criteria))))

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        try:
            yield
        except BouncesinkError:
            raise
        except (IMAPClientAbortError, ProtocolError) as error:
            raise Broken(f"{self._name}: the connection broke: {_one_line(str(error))}") from None
        except IMAPClientError as error:
            raise Refused(f"{self._name}: {_one_line(str(error))}") from None
        except OSError as error:
            raise Broken(f"{self._name}: {_of_socket(error)}") from None
        except Exception as error:
            raise Broken(f"{self._name}: its answer makes no sense: {error!r}") from None


def connect(imap: ImapConfig, login: Login) -> Session:
    """Connect and log in.

    Raises Broken when there is no connection (Unreachable if that may last), MailboxError when the
    login is refused, and ConfigError for a secret that is none.
    """
    host, port = _address(imap)
    name = f"{login.user} at {host}"
    secret = login.token() if login.by_token else login.password()
    context = None if imap.tls == "none" else ssl.create_default_context()
    with _connecting(f"{name}, port {port}"):
        client = imapclient.IMAPClient(
            host, port, ssl=imap.tls == "tls", ssl_context=context, timeout=TIMEOUT
        )
    try:
        with _connecting(name):
            # A command goes out in pieces, each of which would wait for the last to arrive.
            client.socket().setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if imap.tls == "starttls":
                client.starttls(context)
            client.normalise_times = False
            client.folder_encode = False  # a name that is wrongly encoded must not end it all
            _log_in(client, login, secret)
            return Session(client, name)
    except BaseException:
        _shut(client)
        raise


def _log_in(client: imapclient.IMAPClient, login: Login, secret: str) -> None:
    refused: list[str] = []

    def initial(challenge: bytes) -> str:
        """Give what XOAUTH2 wants; a second challenge says why not, and wants an empty answer."""
        if not challenge:
            return f"user={login.user}\1auth=Bearer {secret}\1\1"
        refused.append(_text(challenge))
        return ""

    try:
        if login.by_token:
            client.sasl_login("XOAUTH2", initial)
        elif client.has_capability("AUTH=PLAIN"):
            client.plain_login(login.user, secret)  # which takes any letter
        else:
            client.login(login.user, secret)
    except LoginError as error:
        if isinstance(error.__context__, IMAPClientAbortError | OSError):
            raise error.__context__ from None
        login.forget_token()
        words = " ".join([_one_line(str(error)), *map(_one_line, refused)])
        raise MailboxError(
            f"{client.host}: the login of {login.user} was refused: {words}"
        ) from None


@contextmanager
def _connecting(name: str) -> Iterator[None]:
    try:
        yield
    except BouncesinkError:
        raise
    except OSError as error:
        lasting = isinstance(
            error, socket.gaierror | ConnectionRefusedError | ssl.SSLCertVerificationError
        )
        raise (Unreachable if lasting else Broken)(f"{name}: {_of_socket(error)}") from None
    except Exception as error:
        raise Broken(f"{name}: no IMAP server as we know it: {_one_line(str(error))}") from None


def _shut(client: imapclient.IMAPClient) -> None:
    with suppress(OSError, IMAPClientError):
        client.shutdown()


def _address(imap: ImapConfig) -> tuple[str, int]:
    host, colon, port = imap.host.rpartition(":")
    if not colon or host.endswith(":") or imap.host.endswith("]"):
        host, port = imap.host, "993" if imap.tls == "tls" else "143"
    return host.strip("[]"), int(port)


def _of_socket(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not good: {error.verify_message}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, socket.gaierror):
        return f"no such host: {error.strerror}"
    return _one_line(error.strerror or str(error))


def _section(found: Mapping[bytes, Any], name: bytes) -> object:
    """Find a section of a message; servers add to its name what part of it they gave."""
    return next((value for key, value in found.items() if key.upper().startswith(name)), None)


def _glance(uid: int, found: Mapping[bytes, Any]) -> Glance | None:
    header, size = _section(found, b"BODY[HEADER]"), found.get(b"RFC822.SIZE")
    if not isinstance(header, bytes) or not isinstance(size, int):
        return None
    gmail_id = found.get(b"X-GM-MSGID")
    return Glance(
        uid,
        size,
        _utc(found.get(b"INTERNALDATE")),
        header,
        None if gmail_id is None else str(gmail_id)[:40],
    )


def _utc(time: object) -> datetime:
    """Give a time; now where the server gave none that is one."""
    with suppress(OverflowError, ValueError):
        if isinstance(time, datetime):
            return time.astimezone(UTC)
    return datetime.now(UTC)


def _number(given: object) -> int:
    if not isinstance(given, int) or not 0 <= given <= _MAX_UID:
        raise ValueError(f"{given!r} is no number of a message")
    return given


def _has_come(told: Sequence[tuple[Any, ...]]) -> bool:
    return any(b"EXISTS" in each or b"RECENT" in each for each in told)


def _text(octets: bytes | str) -> str:
    return octets if isinstance(octets, str) else octets.decode("utf-8", "replace")


def _one_line(words: str) -> str:
    return " ".join(words.split())[:300]
