"""What is fetched from Amazon SNS: over TLS from its own hosts, bounded, without redirects."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID
from webhook_support import CERTIFICATE, CONFIRM, certificate, confirmation, hooks, post, rsa_key

from bouncesink.intake.webhooks.request import NotFetched
from bouncesink.web.fetching import MAX_SIZE, Fetcher

HOST = "sns.eu-west-1.amazonaws.com"


class Here(AbstractResolver):
    """Every name is on this machine."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.names: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.names.append(host)
        return [
            ResolveResult(
                hostname=host,
                host="127.0.0.1",
                port=self.port,
                family=socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
        ]

    async def close(self) -> None: ...


@dataclass
class Host:
    """A host that shows a certificate of our own authority, and answers as it is told to."""

    answers: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    fetcher: Fetcher = field(init=False)
    resolver: Here = field(init=False)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split()[1].decode()
        self.asked.append(path)
        writer.write(self.answers.get(path, reply(404)))
        writer.close()


def reply(status: int, body: bytes = b"", **fields: str) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    head = f"HTTP/1.1 {status} Words\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{lines}\r\n"
    return head.encode() + body


def tls_of(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context for a name, and that of a client that trusts its issuer."""
    key, subject = rsa_key(), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    file = folder / "tls.pem"
    file.write_bytes(pem + secret)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cadata=pem.decode())


@asynccontextmanager
async def host(folder: Path, name: str = HOST) -> AsyncIterator[Host]:
    ours, theirs = tls_of(folder, name)
    running = Host()
    server = await asyncio.start_server(running.serve, "127.0.0.1", 0, ssl=ours)
    running.resolver = Here(server.sockets[0].getsockname()[1])
    running.fetcher = Fetcher(theirs, running.resolver)
    async with server:
        yield running


def path_of(url: str) -> str:
    return url.removeprefix(f"https://{HOST}")


async def test_a_page_is_fetched(tmp_path: Path) -> None:
    async with host(tmp_path) as sns:
        sns.answers["/a.pem"] = reply(200, b"x" * MAX_SIZE)
        assert await sns.fetcher(f"https://{HOST}/a.pem") == b"x" * MAX_SIZE
        assert sns.resolver.names == [HOST]


@pytest.mark.parametrize(
    ("answer", "final"),
    [
        (reply(302, Location=f"https://{HOST}/other"), True),
        (reply(301, Location="http://169.254.169.254/latest/meta-data/"), True),
        (reply(404), True),
        (reply(500), False),
        (reply(200, b"x" * (MAX_SIZE + 1)), True),
        (b"", False),
        (b"no HTTP\r\n\r\n", False),
    ],
)
async def test_all_else_is_not(tmp_path: Path, answer: bytes, final: bool) -> None:
    async with host(tmp_path) as sns:
        sns.answers["/a.pem"] = answer
        with pytest.raises(NotFetched) as caught:
            await sns.fetcher(f"https://{HOST}/a.pem")
        assert caught.value.final is final
        assert set(sns.asked) == {"/a.pem"}


async def test_a_host_that_is_not_who_it_says_hears_nothing(tmp_path: Path) -> None:
    """As when somebody has the DNS say that SNS is a host within."""
    async with host(tmp_path, name="inner.example.com") as liar:
        with pytest.raises(NotFetched) as caught:
            await liar.fetcher(CERTIFICATE)
        assert not caught.value.final
        assert liar.asked == []


async def test_ses_is_heard_with_what_a_host_of_sns_gives(tmp_path: Path) -> None:
    async with host(tmp_path) as sns:
        sns.answers[path_of(CERTIFICATE)] = reply(200, certificate())
        sns.answers[path_of(CONFIRM)] = reply(200, b"<ConfirmSubscriptionResponse/>")
        async with hooks(tmp_path, web=_web(sns)) as running:
            # The fetcher belongs to the event loop that asks with it: here the site's.
            assert (await running.send(confirmation())).status == 200
            assert (await running.send(post("ses", {"notificationType": "x"}))).status == 200
            assert sns.asked == [path_of(CERTIFICATE), path_of(CONFIRM)]
            assert len(running.stored()) == 1


@pytest.mark.parametrize(
    ("answer", "status"), [(reply(302, Location="http://127.0.0.1/"), 403), (reply(500), 503)]
)
async def test_a_subscription_is_confirmed_by_no_detour(
    tmp_path: Path, answer: bytes, status: int
) -> None:
    async with host(tmp_path) as sns:
        sns.answers[path_of(CERTIFICATE)] = reply(200, certificate())
        sns.answers[path_of(CONFIRM)] = answer
        async with hooks(tmp_path, web=_web(sns)) as running:
            assert (await running.send(confirmation())).status == status


def _web(sns: Host) -> Any:
    from types import SimpleNamespace

    return SimpleNamespace(fetch=sns.fetcher, asked=sns.asked)
