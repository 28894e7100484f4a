"""HTTP, OAuth, quotas, faults, and the hand that moves rows between two requests."""

import json
import secrets
import threading
import time
from base64 import urlsafe_b64decode
from collections import deque
from dataclasses import dataclass
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from google_server import api
from google_server.book import Refusal

SCOPE = "https://www.googleapis.com/auth/spreadsheets"
AUDIENCE = "https://oauth2.googleapis.com/token"
HTML = b"<!DOCTYPE html><html><title>Error 502 (Server Error)!!1</title><p>That is an error."


@dataclass
class Fault:
    """What happens to one request. `hang`: no answer. `after`: it is carried out all the same."""

    status: int = 0
    html: bool = False
    hang: bool = False
    after: bool = False
    retry_after: int = 0
    only: str = ""


@cache
def _key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class GoogleServer:
    """Serve one book. `hand(tab)` is called before each request; `faults` are for the next ones.

    `requests` lists what was asked: "token", "read", "write". Quotas are for each minute of
    `clock`; None is no quota.
    """

    account = "sink@project.iam.gserviceaccount.example"

    def __init__(self, book, clock=time.monotonic):
        self.book = book
        self.clock = clock
        self.quota = 60
        self.storm_until = None
        self.latency = 0.0
        self.hand = None
        self.faults = deque()
        self.requests = []
        self.refused_tokens = 0
        self._tokens = set()
        self._made = {"read": deque(), "write": deque()}
        self._lock = threading.RLock()
        self._closing = threading.Event()
        book.editors.add(self.account)
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._closing.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    @property
    def url(self):
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def credentials(self):
        """Make the JSON key of the service account."""
        pem = _key().private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return {
            "type": "service_account",
            "client_email": self.account,
            "private_key_id": "1",
            "private_key": pem.decode(),
            "token_uri": f"{self.url}/token",
        }

    def expire_tokens(self):
        self._tokens.clear()

    def count(self, kind):
        return self.requests.count(kind)

    def answer(self, method, target, headers, body):
        """Answer a request: (status, headers, body), or None for no answer at all."""
        path = urlsplit(target).path
        kind = "token" if path == "/token" else "read" if method == "GET" else "write"
        if self.latency:
            self._closing.wait(self.latency)
        with self._lock:
            self.requests.append(kind)
            fault = self._fault(kind)
            if fault and not fault.after:
                return self._failed(fault)
            try:
                if kind == "token":
                    answer = self._token(body)
                else:
                    answer = 200, {}, self._route(kind, method, target, headers, body)
            except Refusal as refusal:
                error = {"code": refusal.code, "message": str(refusal), "status": refusal.status}
                answer = refusal.code, {}, json.dumps({"error": error}).encode()
            if fault:
                return self._failed(fault)
            return answer

    def _fault(self, kind):
        if self.faults and self.faults[0].only in ("", kind):
            return self.faults.popleft()
        return None

    def _failed(self, fault):
        if fault.hang:
            return None
        headers = {"Retry-After": str(fault.retry_after)} if fault.retry_after else {}
        error = {"code": fault.status, "message": "Internal error.", "status": "INTERNAL"}
        body = HTML if fault.html else json.dumps({"error": error}).encode()
        return fault.status, headers, body

    def _route(self, kind, method, target, headers, body):
        url = urlsplit(target)
        params = parse_qs(url.query)
        self._admit(kind, headers)
        if self.hand:
            self.hand(self.book.tabs[0])
        prefix = f"/v4/spreadsheets/{self.book.id}"
        if not url.path.startswith(prefix):
            raise Refusal(404, "Requested entity was not found.", "NOT_FOUND")
        made = {
            ("GET", ""): lambda: api.get(self.book, params),
            ("GET", "/values:batchGet"): lambda: api.values_batch_get(self.book, params),
            ("POST", "/values:batchUpdate"): lambda: api.values_batch_update(
                self.book, json.loads(body)
            ),
            ("POST", ":batchUpdate"): lambda: api.batch_update(self.book, json.loads(body), params),
        }.get((method, url.path.removeprefix(prefix)))
        if made is None:
            raise Refusal(404, "Method not found.", "NOT_FOUND")
        return json.dumps(made()).encode()

    def _admit(self, kind, headers):
        token = headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in self._tokens:
            self.refused_tokens += 1
            raise Refusal(401, "Request had invalid authentication credentials.", "UNAUTHENTICATED")
        now = self.clock()
        made = self._made[kind]
        while made and made[0] <= now - 60:
            made.popleft()
        made.append(now)
        storm = self.storm_until is not None and now < self.storm_until
        if storm or (self.quota is not None and len(made) > self.quota):
            group = kind.capitalize()
            raise Refusal(
                429,
                f"Quota exceeded for quota metric '{group} requests' and limit '{group} requests "
                "per minute per user' of service 'sheets.googleapis.com'",
                "RESOURCE_EXHAUSTED",
            )
        may = self.book.editors | (self.book.readers if kind == "read" else set())
        if self.account not in may:
            raise Refusal(403, "The caller does not have permission", "PERMISSION_DENIED")

    def _token(self, body):
        """RFC 7523: a token for an assertion that the key has signed."""
        form = parse_qs(body.decode())
        head, claims, signature = form["assertion"][0].split(".")
        signed = f"{head}.{claims}".encode()
        try:
            _key().public_key().verify(
                _decoded(signature), signed, padding.PKCS1v15(), hashes.SHA256()
            )
        except InvalidSignature:
            return _grantless("Invalid JWT Signature.")
        said = json.loads(_decoded(claims))
        good = (
            form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
            and json.loads(_decoded(head))["alg"] == "RS256"
            and said["iss"] == self.account
            and said["aud"] in (AUDIENCE, f"{self.url}/token")
            and SCOPE in said["scope"].split()
            and said["iat"] - 60 <= time.time() <= said["exp"]
        )
        if not good:
            return _grantless("Invalid grant: account not found")
        token = secrets.token_urlsafe()
        self._tokens.add(token)
        answer = {"access_token": token, "expires_in": 3600, "token_type": "Bearer"}
        return 200, {}, json.dumps(answer).encode()

    def hang(self):
        """Hold a connection without an answer until the server closes."""
        self._closing.wait(30)


def _grantless(why):
    """RFC 6749, section 5.2"""
    answer = {"error": "invalid_grant", "error_description": why}
    return 400, {}, json.dumps(answer).encode()


def _decoded(text):
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _handler(server):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # headers and body in one packet: a delayed ACK costs 40 ms

        def do_GET(self):
            self._do()

        def do_POST(self):
            self._do()

        def _do(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer = server.answer(self.command, self.path, self.headers, body)
            if answer is None:
                server.hang()
                self.close_connection = True
                return
            status, headers, content = answer
            self.send_response(status)
            kind = "text/html" if content.startswith(b"<!") else "application/json"
            sent = {"Content-Type": kind, "Content-Length": len(content)}
            for name, value in (sent | headers).items():
                self.send_header(name, str(value))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    return Handler
