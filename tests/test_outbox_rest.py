"""Our HTTP client against servers that are slow, endless, or lead elsewhere."""

import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from http_service import Call, Reply, Service

from bouncesink.outbox import rest
from bouncesink.outbox.rest import Rest, Secret, TryLater, words

KEY = "key-of-the-test"


class Echo(Service):
    def answer(self, call: Call) -> Reply:
        return Reply(200, {"method": call.method, "path": call.path, "query": call.query})


@pytest.fixture
def server() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text(KEY)
    return path


def test_a_call_says_who_we_are_and_carries_the_key(server: Echo, key: Path) -> None:
    answer = Rest(server.url, "it", Secret(key, header="Bearer")).call("POST", "/a%2Fb", {"x": 1})
    assert answer.json == {"method": "POST", "path": "/a/b", "query": {}}
    headers = server.calls[0].headers
    assert headers["authorization"] == f"Bearer {KEY}"
    assert headers["user-agent"].startswith("bouncesink/")
    assert headers["content-type"] == "application/json"
    assert server.calls[0].json == {"x": 1}


def test_a_redirect_is_not_followed(server: Echo, key: Path) -> None:
    other = Echo()
    server.troubles.append(Reply(307, None, {"Location": other.url}))
    answer = Rest(server.url, "it", Secret(key, parameter="key")).call("GET", "/")
    other.close()
    assert (answer.status, other.calls) == (307, [])


def test_a_key_is_in_no_error_and_in_nothing_shown(key: Path) -> None:
    client = Rest("http://127.0.0.1:9", "it", Secret(key, parameter="key"))
    with pytest.raises(TryLater, match="it did not answer GET: Connection refused") as caught:
        client.call("GET", "/x", parameters={"email": "a@example.org"})
    assert KEY not in f"{caught.value!r} {caught.value.__cause__!r}"
    assert client.shown("GET", "/x") == "GET http://127.0.0.1:9/x?key=REDACTED"


def test_no_proxy_is_asked_for_this_machine(server: Echo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    assert Rest(server.url, "it", None).call("GET", "/").status == 200


@pytest.mark.parametrize(
    ("value", "least", "most"),
    [
        ("7", 7, 7),
        ("0", 0, 0),
        ("-5", 0, 0),
        ("soon", 0, 0),
        ("99999999", 86_400, 86_400),
        (timedelta(hours=1), 3000, 3600),
        (timedelta(hours=-1), 0, 0),
    ],
)
def test_retry_after(server: Echo, value: str | timedelta, least: float, most: float) -> None:
    if isinstance(value, timedelta):
        value = format_datetime(datetime.now(UTC) + value, usegmt=True)
    server.troubles.append(Reply(429, None, {"Retry-After": value}))
    with pytest.raises(TryLater) as caught:
        Rest(server.url, "it", None).call("GET", "/")
    assert least <= caught.value.after <= most


def test_an_endless_answer_ends(server: Echo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "MAX_ANSWER", 10_000)
    server.troubles.append(Reply(200, b"x" * 20_000))
    with pytest.raises(TryLater, match="did not answer"):
        Rest(server.url, "it", None).call("GET", "/")


@pytest.mark.parametrize("drip", [b"", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_who_does_not_go_on_is_given_up(monkeypatch: pytest.MonkeyPatch, drip: bytes) -> None:
    monkeypatch.setattr(rest, "TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        over = threading.Event()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(drip)
                over.wait(10)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(TryLater, match="not within"):
            Rest(url, "it", None).call("GET", "/")
        over.set()
        thread.join()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"message": "a\\u001b[2J b"}', "a [2J b"),
        (b'{"error": {"deep": 1}}', "without a word"),
        (b"<html>", "without a word"),
        (b'["x"]', "without a word"),
        (b'{"message": "' + b"x" * 1000 + b'"}', "x" * 300),
    ],
)
def test_words_of_an_answer_are_fit_to_be_shown(body: bytes, said: str) -> None:
    assert words(rest.Answer(400, body)) == said
