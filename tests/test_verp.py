"""Signed return paths: only we can make one, and only for the address that it was made for."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bouncesink.verp import Check, parse_keys, return_path, sign, token_of, verify

KEY, OLD_KEY, STRANGERS = b"k" * 32, b"o" * 32, b"s" * 32
DAY = date(2026, 3, 1)
LEAD = "lead@example.com"
ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"

ADDRESSES = st.builds(
    "{}@{}.example".format,
    st.text("abcdefghijklmnopqrstuvwxyzä0123456789.+-_=", min_size=1, max_size=64),
    st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=60),
)


def check(token, address=LEAD, keys=(KEY,), today=DAY, age=45):
    return verify(token, address, keys, today, age)


@given(ADDRESSES, st.sampled_from("+-"), st.integers(0, 45))
def test_a_bounce_to_the_return_path_proves_the_address(address, separator, days):
    path = return_path("bounces@example.com", address, KEY, DAY, separator)
    assert len(path.rpartition("@")[0]) <= 64
    token = token_of(path)
    assert check(token, address, today=DAY + timedelta(days)) is Check.VALID
    assert check(token_of(path.upper()), address.upper()) is Check.VALID


def test_a_token_is_for_the_address_however_it_is_written():
    token = sign("Lead@EXAMPLE.com.", KEY, DAY)
    assert token == sign(LEAD, KEY, DAY)
    assert check(token, "<LEAD@example.COM>") is Check.VALID


@given(ADDRESSES)
def test_a_token_is_good_for_no_other_address(address):
    expected = Check.VALID if address == LEAD else Check.OTHER_ADDRESS
    assert check(sign(LEAD, KEY, DAY), address) is expected


@pytest.mark.parametrize("nonsense", ["", "no address", "@", "\ud800", "lead@", "x" * 10_000])
def test_a_token_is_good_for_no_nonsense(nonsense):
    assert check(sign(LEAD, KEY, DAY), nonsense) is Check.OTHER_ADDRESS


@given(st.integers(0, 31), st.sampled_from(ALPHABET))
def test_a_token_with_another_character_is_not_ours(place, character):
    token = sign(LEAD, KEY, DAY)
    forged = token[:place] + character + token[place + 1 :]
    assert check(forged) is (Check.VALID if forged == token else Check.NOT_OURS)


@given(st.text(ALPHABET, min_size=32, max_size=32) | st.text(max_size=50))
def test_a_made_up_token_is_not_ours_and_nothing_raises(token):
    assert check(token) is Check.NOT_OURS


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        (-2, Check.EXPIRED),
        (-1, Check.VALID),
        (0, Check.VALID),
        (45, Check.VALID),
        (46, Check.EXPIRED),
        (9999, Check.EXPIRED),
    ],
)
def test_a_token_has_its_time(days, expected):
    assert check(sign(LEAD, KEY, DAY), today=DAY + timedelta(days)) is expected


def test_an_expired_token_for_another_address_is_for_another_address():
    token = sign(LEAD, KEY, DAY)
    assert check(token, "other@example.com", today=date(2036, 1, 1)) is Check.OTHER_ADDRESS


def test_keys_are_rotated_without_losing_what_is_under_way():
    token = sign(LEAD, OLD_KEY, DAY)
    assert check(token, keys=(KEY, OLD_KEY)) is Check.VALID
    assert check(token, keys=(KEY,)) is Check.NOT_OURS
    assert check(sign(LEAD, STRANGERS, DAY), keys=(KEY, OLD_KEY)) is Check.NOT_OURS
    assert check(token, keys=()) is Check.NOT_OURS


@pytest.mark.parametrize(
    "recipient",
    [
        "bounces@example.com",
        "bounces+sales@example.com",
        f"{'a' * 32}@example.com",
        f"bounces+{'a' * 31}@example.com",
        f"bounces+{'1' * 32}@example.com",
        "a" * 10**6,
        "@",
        "",
    ],
)
def test_what_looks_like_no_token_is_none(recipient):
    assert token_of(recipient) is None


@pytest.mark.parametrize("day", [date(2019, 12, 31), date(2300, 1, 1)])
def test_a_day_that_a_token_cannot_hold_is_refused(day):
    with pytest.raises(ValueError, match="is not between 2020-01-01 and 2199"):
        sign(LEAD, KEY, day)


def test_what_is_no_address_is_refused():
    with pytest.raises(ValueError, match="'lead' is not an e-mail address"):
        sign("lead", KEY, DAY)
    for wrong in ("bounces", "@example.com", f"{'b' * 40}@example.com"):
        with pytest.raises(ValueError, match="no address that a token can be put into"):
            return_path(wrong, LEAD, KEY, DAY)


def test_a_key_file_has_a_key_a_line():
    assert parse_keys(b"  " + KEY + b"\r\n\n" + OLD_KEY + b"\n") == (KEY, OLD_KEY)


@pytest.mark.parametrize("data", [b"", b"\n \n", b"short", KEY + b"\nshort\n"])
def test_a_weak_key_file_is_refused(data):
    with pytest.raises(ValueError, match="at least 16 octets"):
        parse_keys(data)
