"""Requests as the providers make them, signed with keys of our own, and a site that hears them."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID
from web_support import Site, site

from bouncesink.config import Config, ProviderConfig
from bouncesink.intake.webhooks.request import NotFetched
from bouncesink.ledger import open_ledger
from bouncesink.model import Arrival
from bouncesink.web import webhooks
from bouncesink.web.context import AppContext, Submit

DATA = Path(__file__).parent / "data" / "webhooks"
PROVIDERS = ("ses", "sendgrid", "postmark", "mailgun", "mandrill", "smartlead", "generic")

TOPIC = "arn:aws:sns:eu-west-1:123456789012:bounces"
CERTIFICATE = (
    "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef0123.pem"
)
CONFIRM = (
    "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription"
    f"&TopicArn={TOPIC}&Token=2336412f37fb687f5d51e6e2425c464d"
)
MANDRILL_URL = "https://bounces.example.com/hooks/mandrill"
LOGIN = "postmark:a long password"
KEY = "a key that both of us know"


@dataclass(frozen=True)
class Post:
    """A request to /hooks/`path`."""

    path: str
    body: bytes
    headers: dict[str, str]

    def but(self, **headers: str) -> "Post":
        """Give the same with other header fields, `_` standing for `-`; "" leaves one out."""
        changed = {name.replace("_", "-").lower(): value for name, value in headers.items()}
        merged = {name.lower(): value for name, value in self.headers.items()} | changed
        return replace(self, headers={name: value for name, value in merged.items() if value})


def cases(provider: str) -> list[dict[str, Any]]:
    """The golden requests of a provider, each with what it tells."""
    found: list[dict[str, Any]] = json.loads((DATA / f"{provider}.json").read_text("utf-8"))
    return found


@cache
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@cache
def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def certificate(
    name: str = "sns.amazonaws.com", *, days: int = 30, age: int = 1, key: Any = None
) -> bytes:
    """A certificate as SNS has them, of our own making; PEM."""
    key = key or rsa_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=age))
        .not_valid_after(now + timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


def text(value: object) -> bytes:
    return json.dumps(value).encode()


def post(provider: str, body: Any, at: float | None = None) -> Post:
    """Sign what a provider would send now, or at another time (seconds since 1970)."""
    return SIGN[provider](body, time.time() if at is None else at)


def sns(message: str, at: float, **other: Any) -> Post:
    """What SNS delivers; `other` replaces members before they are signed."""
    stamp = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    envelope = {
        "Type": "Notification",
        "MessageId": "MESSAGE-ID",
        "TopicArn": TOPIC,
        "Message": message,
        "Timestamp": stamp.replace("+00:00", "Z"),
        "SignatureVersion": "1",
        "SigningCertURL": CERTIFICATE,
        "UnsubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe",
    } | other
    return sns_post(signed(envelope))


def confirmation(at: float | None = None, **other: Any) -> Post:
    at = time.time() if at is None else at
    wanted = {"Type": "SubscriptionConfirmation", "Token": "2336412f37", "SubscribeURL": CONFIRM}
    return sns("You have chosen to subscribe to the topic.", at, **(wanted | other))


def signed(envelope: dict[str, Any], key: Any = None) -> dict[str, Any]:
    kind = envelope["Type"]
    names = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    if kind == "Notification":
        names = ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"]
    lines = "".join(f"{name}\n{envelope[name]}\n" for name in names if name in envelope)
    algorithm = hashes.SHA1() if envelope["SignatureVersion"] == "1" else hashes.SHA256()
    made = (key or rsa_key()).sign(lines.encode(), padding.PKCS1v15(), algorithm)
    return envelope | {"Signature": base64.b64encode(made).decode()}


def sns_post(envelope: object) -> Post:
    headers = {"Content-Type": "text/plain; charset=UTF-8", "x-amz-sns-message-type": "any"}
    return Post("ses", text(envelope), headers)


def _ses(body: Any, at: float) -> Post:
    return sns(body if isinstance(body, str) else json.dumps(body), at)


def _sendgrid(body: Any, at: float) -> Post:
    raw = body if isinstance(body, bytes) else text(body)
    stamp = str(int(at))
    made = ec_key().sign(stamp.encode() + raw, ec.ECDSA(hashes.SHA256()))
    return Post(
        "sendgrid",
        raw,
        {
            "Content-Type": "application/json",
            "X-Twilio-Email-Event-Webhook-Timestamp": stamp,
            "X-Twilio-Email-Event-Webhook-Signature": base64.b64encode(made).decode(),
        },
    )


def _postmark(body: Any, _: float) -> Post:
    raw = body if isinstance(body, bytes) else text(body)
    login = base64.b64encode(LOGIN.encode()).decode()
    return Post(
        "postmark", raw, {"Content-Type": "application/json", "Authorization": f"Basic {login}"}
    )


def _mailgun(body: Any, at: float) -> Post:
    return mailgun(body, at, f"{time.monotonic_ns()}")


def mailgun(event: Any, at: float, token: str, changed: dict[str, str] | None = None) -> Post:
    stamp = str(int(at))
    made = hmac.new(KEY.encode(), f"{stamp}{token}".encode(), hashlib.sha256).hexdigest()
    signature = {"timestamp": stamp, "token": token, "signature": made} | (changed or {})
    return Post(
        "mailgun",
        text({"signature": signature, "event-data": event}),
        {"Content-Type": "application/json"},
    )


def _mandrill(body: Any, _: float) -> Post:
    return mandrill(body if isinstance(body, str) else json.dumps(body))


def mandrill(events: str, key: str = KEY, url: str = MANDRILL_URL) -> Post:
    made = hmac.new(key.encode(), f"{url}mandrill_events{events}".encode(), hashlib.sha1).digest()
    return Post(
        "mandrill",
        urlencode({"mandrill_events": events}).encode(),
        {
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Mandrill-Signature": base64.b64encode(made).decode(),
        },
    )


def _smartlead(body: Any, _: float) -> Post:
    raw = body if isinstance(body, bytes) else text(body)
    made = hmac.new(KEY.encode(), raw, hashlib.sha256).hexdigest()
    return Post(
        "smartlead",
        raw,
        {
            "Content-Type": "application/json",
            "X-Smartlead-Signature": f"sha256={made}",
            "X-Request-Id": "a-request",
        },
    )


def _generic(body: Any, at: float) -> Post:
    raw = body if isinstance(body, bytes) else text(body)
    stamp = str(int(at))
    made = hmac.new(KEY.encode(), f"msg-1.{stamp}.".encode() + raw, hashlib.sha256).digest()
    return Post(
        "generic",
        raw,
        {
            "Content-Type": "application/json",
            "webhook-id": "msg-1",
            "webhook-timestamp": stamp,
            "webhook-signature": f"v1,{base64.b64encode(made).decode()}",
        },
    )


SIGN: dict[str, Callable[[Any, float], Post]] = {
    "ses": _ses,
    "sendgrid": _sendgrid,
    "postmark": _postmark,
    "mailgun": _mailgun,
    "mandrill": _mandrill,
    "smartlead": _smartlead,
    "generic": _generic,
}


def golden(provider: str, case: dict[str, Any]) -> Post:
    return post(provider, case["text"] if "text" in case else case["body"])


@dataclass
class Web:
    """What SNS's hosts answer, by URL; and what was asked for."""

    pages: dict[str, bytes] = field(
        default_factory=lambda: {CERTIFICATE: certificate(), CONFIRM: b"<xml/>"}
    )
    asked: list[str] = field(default_factory=list)

    async def fetch(self, url: str) -> bytes:
        self.asked.append(url)
        if url not in self.pages:
            raise NotFetched("it was answered with 404", final=True)
        return self.pages[url]


@dataclass
class Hooks:
    """A site that hears all the providers."""

    site: Site
    web: Web
    told: list[tuple[str, str, int]]

    async def send(self, post: Post, method: str = "POST") -> Any:
        return await self.site.ask(f"/hooks/{post.path}", method, post.body, post.headers)

    def stored(self) -> list[Arrival]:
        with closing(open_ledger(self.site.ledger, read_only=True)) as ledger:
            return [each for batch in ledger.all_arrivals(100) for each in batch]


def providers(folder: Path) -> tuple[ProviderConfig, ...]:
    """Each provider, and a second account of one."""
    spki = (
        ec_key()
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    secrets = {"sendgrid": base64.b64encode(spki).decode(), "postmark": LOGIN}
    made = []
    for name in PROVIDERS:
        file = folder / f"{name}.secret"
        file.write_text(f"another one, too, which will do\n{secrets.get(name, KEY)}\n")
        if name == "sendgrid":
            file.write_text(secrets[name])
        if name == "postmark":
            file.write_text(f"other:one\n{LOGIN}\n")
        only: dict[str, Any] = {"secret_file": file}
        if name == "ses":
            only = {"topics": (TOPIC,)}
        if name == "mandrill":
            only["url"] = MANDRILL_URL
        made.append(ProviderConfig(provider=name, **only))
    with_header = replace(made[2], name="second", header="X-Bounce-Secret")
    return (*made, with_header)


@asynccontextmanager
async def hooks(
    folder: Path, *, submit: Submit | None = None, web: Web | None = None, **fields: Any
) -> AsyncIterator[Hooks]:
    """A running site; `submit` replaces that of its ledger."""
    web = web or Web()
    told: list[tuple[str, str, int]] = []

    def routes(context: AppContext) -> Any:
        changed = {"webhook": lambda *each: told.append(each)}
        if submit is not None:
            changed["submit"] = submit
        return webhooks.routes(replace(context, **changed), web.fetch)

    config = Config(providers=providers(folder))
    async with site(folder, config, [routes], **fields) as running:
        yield Hooks(running, web, told)


def outcomes(told: Sequence[tuple[str, str, int]]) -> dict[str, int]:
    counted: dict[str, int] = {}
    for _, outcome, count in told:
        counted[outcome] = counted.get(outcome, 0) + count
    return {outcome: count for outcome, count in counted.items() if count}
