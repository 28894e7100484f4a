"""An IMAP server of few words, as Gmail's is or plain, that breaks where it is told; and tokens."""

import base64
import re
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

from http_service import Call, Reply, Service

from bouncesink.config import ImapConfig, MailboxConfig

PASSWORD = "correct horse"
PLAIN = "IMAP4rev1 NAMESPACE SPECIAL-USE IDLE AUTH=PLAIN AUTH=XOAUTH2"
GMAIL = f"{PLAIN} X-GM-EXT-1"


def mailbox_at(port: int, address: str, **login: Any) -> MailboxConfig:
    """The config of a mailbox on this machine; `login` says how to get in."""
    imap = ImapConfig(host=f"127.0.0.1:{port}", tls="none", **login)
    return MailboxConfig(address, imap=imap)


@dataclass
class Message:
    raw: bytes
    received_at: datetime
    gmail_id: int = 0
    labels: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()


@dataclass
class Box:
    """A folder: its messages by UID."""

    attributes: str = ""
    messages: dict[int, Message] = field(default_factory=dict)
    uidvalidity: int = 7
    _highest: int = 0

    def add(
        self, raw: bytes | str, gmail_id: int = 0, labels: tuple[str, ...] = (), days: float = 1
    ) -> int:
        """Put a message in, received so many days ago; gives its UID."""
        octets = raw if isinstance(raw, bytes) else raw.replace("\n", "\r\n").encode()
        received_at = datetime.now(UTC) - timedelta(days=days)
        return self.put(Message(octets, received_at, gmail_id, labels))

    def put(self, message: Message) -> int:
        self._highest = uid = self.uidnext
        self.messages[uid] = message
        return uid

    @property
    def uidnext(self) -> int:
        self._highest = max([self._highest, *self.messages])
        return self._highest + 1


class ImapServer:
    """`boxes` are the folders, by name.

    `cuts` are for connections to come: after how many octets each is cut off, None for never.
    `odd` is what happens to a UID in a FETCH: "no", "cut", "gone", "silent" or "nil". `tokens` are
    those that XOAUTH2 takes, by user. `refuses` has what is said to a command, by its name, instead
    of doing it; with "cut" it is done, and nothing said. `idles` is what happens to those who wait with IDLE: "cut", or news before it has begun ("early") or in the same packet ("at once").
    """

    def __init__(self, capabilities: str = PLAIN) -> None:
        self.capabilities = capabilities
        self.boxes: dict[str, Box] = {"INBOX": Box()}
        self.refuses: dict[str, str] = {}
        self.cuts: list[int | None] = []
        self.odd: dict[int, str] = {}
        self.searches_as_gmail = True
        self.idles = ""
        self.tokens: dict[str, str] = {}
        self.commands: list[str] = []
        self.sent = 0
        self.connections = 0
        self.idling = threading.Semaphore(0)
        self._changed = threading.Condition()
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def mailbox(self, address: str, **login: Any) -> MailboxConfig:
        return mailbox_at(self.port, address, **login)

    def deliver(self, folder: str, raw: str, **how: Any) -> None:
        """Put a message in, and tell those who wait for one."""
        with self._changed:
            self.boxes[folder].add(raw, **how)
            self._changed.notify_all()

    def wait_for_change(self, count: int, folder: str) -> None:
        with self._changed:
            self._changed.wait_for(lambda: len(self.boxes[folder].messages) != count, 30)

    def count(self, pattern: str) -> int:
        return sum(re.search(pattern, each) is not None for each in self.commands)

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Cut(Exception):
    pass


class _Conversation:
    def __init__(self, server: ImapServer, sock: socket.socket) -> None:
        self.server = server
        self.sock = sock
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.lines = sock.makefile("rb")
        self.left = server.cuts.pop(0) if server.cuts else None
        self.box = Box()
        self.folder = ""
        self.writable = False

    def send(self, octets: bytes | str) -> None:
        octets = octets.encode() if isinstance(octets, str) else octets
        if self.left is not None:
            octets, cut = octets[: self.left], len(octets) >= self.left
            self.left -= len(octets)
            self.sock.sendall(octets)
            if cut:
                raise _Cut
        else:
            self.sock.sendall(octets)
        self.server.sent += len(octets)

    def say(self, line: str) -> None:
        self.send(line + "\r\n")

    def run(self) -> None:
        self.say(f"* OK [CAPABILITY {self.server.capabilities}] here")
        while line := self.lines.readline().decode().rstrip("\r\n"):
            tag, _, command = line.partition(" ")
            name, _, rest = command.partition(" ")
            if name == "UID":
                name, _, rest = rest.partition(" ")
            shown = "..." if name in ("LOGIN", "AUTHENTICATE") else rest
            self.server.commands.append(f"{name} {shown}")
            said = self.server.refuses.get(name)
            if said in (None, "cut"):
                cut = said == "cut"
                said = getattr(self, f"do_{name.lower()}", self.do_unknown)(rest)
                if cut:
                    raise _Cut
            self.say(f"{tag} {said or 'OK done'}")
            if name == "LOGOUT":
                return

    def do_unknown(self, _: str) -> str:
        return "BAD what?"

    def do_capability(self, _: str) -> None:
        self.say(f"* CAPABILITY {self.server.capabilities}")

    def do_authenticate(self, mechanism: str) -> str | None:
        self.say("+ ")
        given = base64.b64decode(self.lines.readline()).decode()
        if mechanism == "PLAIN":
            return None if given.split("\0")[2] == PASSWORD else "NO [AUTHENTICATIONFAILED] wrong"
        user, _, rest = given.removeprefix("user=").partition("\1")
        known = self.server.tokens.get(user)
        if known and rest == f"auth=Bearer {known}\1\1":
            return None
        self.say("+ " + base64.b64encode(b'{"status":"400","schemes":"Bearer"}').decode())
        assert self.lines.readline() == b"\r\n"
        return "NO [AUTHENTICATIONFAILED] Invalid credentials"

    def do_namespace(self, _: str) -> None:
        self.say('* NAMESPACE (("" "/")) (("Others/" "/")) (("Public/" "/")("" NIL))')

    def do_list(self, rest: str) -> None:
        wanted = _unquoted(rest.removeprefix('"" '))
        for name, box in self.server.boxes.items():
            if wanted not in ("*", name):
                continue
            quoted = name.replace("\\", "\\\\").replace('"', '\\"')
            self.say(f'* LIST ({box.attributes}) "/" "{quoted}"')

    def do_examine(self, name: str) -> str:
        self.folder = _unquoted(name)
        self.writable = False
        self.box = self.server.boxes[self.folder]
        if "refused" in self.box.attributes:
            return "NO [NOPERM] not for you"
        self.say(f"* {len(self.box.messages)} EXISTS")
        self.say(f"* OK [UIDVALIDITY {self.box.uidvalidity}] ok")
        self.say(f"* OK [UIDNEXT {self.box.uidnext}] ok")
        return "OK [READ-ONLY] done"

    def do_select(self, name: str) -> str:
        said = self.do_examine(name)
        self.writable = said.startswith("OK")
        return said.replace("READ-ONLY", "READ-WRITE")

    def do_create(self, name: str) -> None:
        assert _unquoted(name) not in self.server.boxes
        self.server.boxes[_unquoted(name)] = Box()

    def do_subscribe(self, name: str) -> None:
        assert _unquoted(name) in self.server.boxes

    def do_store(self, rest: str) -> None:
        uids, item, values = rest.split(" ", 2)
        given = set(map(_unquoted, values.strip("()").split(" ")))
        kind = "flags" if "FLAGS" in item else "labels"
        for uid in self.named(uids):
            message = self.box.messages[uid]
            had = set(getattr(message, kind))
            setattr(message, kind, tuple(had | given if item.startswith("+") else had - given))

    def do_copy(self, rest: str) -> None:
        uids, _, name = rest.partition(" ")
        for uid in self.named(uids):
            self.server.boxes[_unquoted(name)].put(replace(self.box.messages[uid]))

    def do_expunge(self, uids: str) -> None:
        for uid in self.named(uids):
            if "\\Deleted" in self.box.messages[uid].flags:
                del self.box.messages[uid]

    def do_move(self, rest: str) -> None:
        uids, _, name = rest.partition(" ")
        for uid in self.named(uids):
            self.server.boxes[_unquoted(name)].put(self.box.messages.pop(uid))

    def named(self, uids: str) -> list[int]:
        assert self.writable
        return [uid for uid in self.box.messages if _in_set(uid, uids)]

    def do_search(self, criteria: str) -> str | None:
        if "X-GM-RAW" in criteria and not self.server.searches_as_gmail:
            return "BAD [CLIENTBUG] could not parse command"
        tokens = re.findall(r'"[^"]*"|[()]|[^\s()]+', criteria)
        found = [uid for uid, each in self.box.messages.items() if _all(list(tokens), uid, each)]
        self.say(" ".join(["* SEARCH", *map(str, found)]))
        return None

    def do_fetch(self, rest: str) -> str | None:
        uids, _, items = rest.partition(" ")
        for number, (uid, message) in enumerate(list(self.box.messages.items()), 1):
            if not _in_set(uid, uids):
                continue
            odd = self.server.odd.get(uid)
            if odd == "no":
                return "NO [SERVERBUG] that one cannot be read"
            if odd == "cut":
                raise _Cut
            if odd == "gone":
                del self.box.messages[uid]
            if odd in ("gone", "silent"):
                continue
            self.send(f"* {number} FETCH (UID {uid}")
            for item in items.strip("()").split(" "):
                self.send(b" " + _item(item, message, nil=odd == "nil"))
            self.say(")")
        return None

    def do_idle(self, _: str) -> None:
        count = len(self.box.messages)
        if self.server.idles == "early":
            self.say("* 7 EXISTS")  # before IDLE has begun, which is allowed
        news = "\r\n* 8 EXISTS" if self.server.idles == "at once" else ""
        self.say(f"+ idling{news}")
        if self.server.idles == "cut":
            raise _Cut
        self.server.idling.release()
        waiter = threading.Thread(target=self._tell, args=(count,), daemon=True)
        waiter.start()
        if self.lines.readline().strip() != b"DONE":
            raise _Cut

    def _tell(self, count: int) -> None:
        self.server.wait_for_change(count, self.folder)
        try:
            self.say(f"* {len(self.box.messages)} EXISTS")
        except OSError:
            return

    def do_logout(self, _: str) -> None:
        self.say("* BYE")


def _item(item: str, message: Message, *, nil: bool) -> bytes:
    header, gap, _ = message.raw.partition(b"\r\n\r\n")
    if item == "RFC822.SIZE":
        return f"{item} {len(message.raw)}".encode()
    if item == "INTERNALDATE":
        return f'{item} "{message.received_at:%d-%b-%Y %H:%M:%S +0000}"'.encode()
    if item == "X-GM-MSGID":
        return f"{item} {message.gmail_id}".encode()
    if section := re.fullmatch(r"BODY\.PEEK\[HEADER\]<0\.(\d+)>", item):
        content, name = (header + gap)[: int(section[1])], "BODY[HEADER]<0>"
    else:
        part = re.fullmatch(r"BODY\.PEEK\[\](?:<0\.(\d+)>)?", item)
        assert part, item
        content = message.raw[: int(part[1])] if part[1] else message.raw
        name = "BODY[]<0>" if part[1] else "BODY[]"
        if nil:
            return f"{name} NIL".encode()
    return f"{name} {{{len(content)}}}\r\n".encode() + content


def _all(tokens: list[str], uid: int, message: Message) -> bool:
    results = []
    while tokens and tokens[0] != ")":
        results.append(_key(tokens, uid, message))
    return all(results)


def _key(tokens: list[str], uid: int, message: Message) -> bool:
    word = tokens.pop(0).upper()
    if word == "(":
        result = _all(tokens, uid, message)
        tokens.pop(0)
        return result
    if word == "OR":
        either, other = _key(tokens, uid, message), _key(tokens, uid, message)
        return either or other
    value = tokens.pop(0).strip('"')
    if word == "SINCE":
        return message.received_at.date() >= datetime.strptime(value, "%d-%b-%Y").date()
    if word == "UID":
        return _in_set(uid, value)
    assert word == "X-GM-RAW", word
    words = value.split()
    assert all(each.startswith("-in:") for each in words)
    return not {each.removeprefix("-in:") for each in words} & set(message.labels)


def _unquoted(name: str) -> str:
    return re.sub(r"\\(.)", r"\1", name[1:-1]) if name.startswith('"') else name


def _in_set(uid: int, given: str) -> bool:
    for part in given.split(","):
        first, _, last = part.partition(":")
        if int(first) <= uid <= (10**9 if last == "*" else int(last or first)):
            return True
    return False


def _handler(server: ImapServer) -> type[socketserver.BaseRequestHandler]:
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            server.connections += 1
            conversation = _Conversation(server, self.request)
            try:
                conversation.run()
            except (_Cut, OSError):
                return
            finally:
                conversation.lines.close()

    return Handler


@contextmanager
def imap_server(capabilities: str = PLAIN) -> Iterator[ImapServer]:
    server = ImapServer(capabilities)
    try:
        yield server
    finally:
        server.close()


class TokenServer(Service):
    """Gives access tokens for refresh tokens and for signed assertions, and says whose one is.

    `refresh_tokens` are users by their refresh token; `certificate` is the public key, as PEM, of
    the account whose assertions count.
    """

    def __init__(
        self, *, on_token: Callable[[str, str], None] = lambda _user, _token: None
    ) -> None:
        super().__init__()
        self.refresh_tokens: dict[str, str] = {}
        self.certificate = b""
        self.issued: dict[str, str] = {}
        self.expires_in = 3600
        self._on_token = on_token

    def answer(self, call: Call) -> Reply:
        form = {name: values[0] for name, values in parse_qs(call.body.decode()).items()}
        if call.path == "/introspect":
            user = self.issued.get(form.get("token", ""))
            return Reply(200, {"active": "true", "email": user} if user else {"active": "false"})
        user = self._user(form)
        if user is None:
            return Reply(400, {"error": "invalid_grant", "error_description": "Token revoked."})
        token = f"token-{len(self.issued)}"
        self.issued[token] = user
        self._on_token(user, token)
        return Reply(
            200, {"access_token": token, "expires_in": self.expires_in, "token_type": "Bearer"}
        )

    def _user(self, form: dict[str, str]) -> str | None:
        if form["grant_type"] == "refresh_token":
            right = (form["client_id"], form["client_secret"]) == ("client-1", "secret-1")
            return self.refresh_tokens.get(form["refresh_token"]) if right else None
        from google.auth import jwt

        audience = "https://oauth2.googleapis.com/token"  # whatever the key says: google-auth's own
        claims = jwt.decode(form["assertion"], certs=self.certificate, audience=audience)
        assert claims["scope"] == "https://mail.google.com/"
        return str(claims["sub"])
