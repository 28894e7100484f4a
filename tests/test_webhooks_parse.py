"""Whatever a provider's event holds, it is read: to reports, or to what a person must look at."""

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from webhook_support import PROVIDERS, cases

from bouncesink.address import normalise
from bouncesink.classify import classify, load_rules
from bouncesink.intake.webhooks.mandrill import form_of
from bouncesink.model import Kind
from bouncesink.parse.jsonfields import canonical
from bouncesink.parse.told import READERS, parse_told
from bouncesink.reader import Notice

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.sampled_from(["a@example.org", "\ud800", "\x1b[2J", "550 5.1.1 x", "<a@b>", "9" * 400]),
    lambda each: (
        st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=5), each, max_size=3)
    ),
    max_leaves=8,
)


def events_of(provider: str) -> list[Any]:
    """The events of the golden requests, as they are stored."""
    found = []
    for case in cases(provider):
        if provider == "ses":
            message = case.get("text") or json.dumps(case["body"])
            found.append({"Type": "Notification", "MessageId": "m", "Message": message})
        elif provider == "mailgun":
            found.append({"event-data": case["body"]})
        else:
            found += case["body"] if isinstance(case["body"], list) else [case["body"]]
    return found


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every member in a value, by the way to it."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    found = []
    for key, each in inner:
        found.append((*path, key))
        if isinstance(each, dict | list):
            found += places(each, (*path, key))
    return found


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    copy = json.loads(json.dumps(value))
    at = copy
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = new
    return copy


@settings(max_examples=25, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("provider", PROVIDERS)
def test_any_value_in_any_place_is_read(provider: str, data: st.DataObject) -> None:
    event = data.draw(st.sampled_from(events_of(provider)))
    new = data.draw(JSON)
    if provider == "ses":
        try:
            message = json.loads(event["Message"])
            message = put(message, data.draw(st.sampled_from(places(message))), new)
            event = event | {"Message": json.dumps(message)}
        except ValueError:
            event = put(event, data.draw(st.sampled_from(places(event))), new)
    elif event:
        event = put(event, data.draw(st.sampled_from(places(event))), new)
    check(parse_told(provider, canonical(event)))


def check(notice: Notice) -> None:
    assert notice.identity
    assert notice.kind is not Kind.UNREADABLE or notice.damage
    for report in notice.reports:
        classify(report, notice, load_rules())
        shown = f"{report.recipient}{report.diagnostic}{report.status}{notice.original.campaign}"
        assert "\x1b" not in shown
        assert len(shown) < 20_000
        assert normalise(report.recipient) is None or len(report.recipient) <= 400


@settings(max_examples=50, deadline=None)
@given(JSON, st.sampled_from([*PROVIDERS, "nobody"]))
def test_any_json_is_read(value: Any, provider: str) -> None:
    check(parse_told(provider, canonical(value)))


def test_there_is_a_reader_for_each() -> None:
    assert set(READERS) == set(PROVIDERS)
    for provider in PROVIDERS:
        assert parse_told(provider, b"{oops").kind is Kind.UNREADABLE
        assert parse_told(provider, b"[" * 100_000).kind is Kind.UNREADABLE


@given(st.dictionaries(st.text(), st.text(), max_size=5))
def test_a_form_is_read_as_it_was_written(fields: dict[str, str]) -> None:
    written = urlencode(fields, errors="surrogatepass")
    read = form_of(written.encode()) if fields else {}
    octets = {n.encode("utf-8", "surrogatepass"): v for n, v in fields.items()}
    assert read == {n: v.encode("utf-8", "surrogatepass") for n, v in octets.items()}
