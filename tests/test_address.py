"""One spelling for each address."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bouncesink.address import domain_of, normalise


@pytest.mark.parametrize(
    ("given_", "wanted"),
    [
        ("Lead@Example.COM", "lead@example.com"),
        ("  <lead@example.com> ", "lead@example.com"),
        ("lead+tag@example.com", "lead+tag@example.com"),
        ("lead@example.com.", "lead@example.com"),
        ("lead@bücher.example", "lead@xn--bcher-kva.example"),
        ("lead@BÜCHER.example", "lead@xn--bcher-kva.example"),
        ("JÜRGEN@example.com", "jürgen@example.com"),
        ("u\u0308ber@example.com", "über@example.com"),
        ('"lead"@example.com', "lead@example.com"),
        ('"with space"@example.com', '"with space"@example.com'),
        ("lead@under_score.example.com", "lead@under_score.example.com"),
        ("lead@[192.0.2.1]", "lead@[192.0.2.1]"),
        ("a@b@example.com", "a@b@example.com"),
        ("", None),
        ("lead", None),
        ("@example.com", None),
        ("lead@", None),
        ("two words@example.com", None),
        ("lead@exam ple.com", None),
        ("lead\r\n@example.com", None),
        ("l" * 400 + "@example.com", None),
    ],
)
def test_spelling(given_: str, wanted: str | None) -> None:
    assert normalise(given_) == wanted


@given(st.text(max_size=60), st.text(max_size=60))
def test_normalising_twice_changes_nothing(local: str, domain: str) -> None:
    once = normalise(f"{local}@{domain}")
    if once is not None:
        assert normalise(once) == once
        assert domain_of(once)
        assert not any(c in once for c in "\r\n\t\0")
