"""Authentication-Results of our own server, and of all those that are not."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bouncesink.auth_results import Results, read

OURS = "mx.example.org"
GMAIL = (
    f"{OURS}; dkim=pass header.i=@googlemail.com header.s=20230601 header.b=abcDEF12; spf=pass"
    " (mx.example.org: domain of postmaster@mail-a.example.com designates 192.0.2.1 as permitted"
    " sender; really) smtp.helo=mail-a.example.com; dmarc=pass (p=QUARANTINE sp=QUARANTINE"
    " dis=NONE) header.from=googlemail.com"
)
FAIL = f"{OURS}; dmarc=fail (p=reject dis=none) header.from=example.com"


@pytest.mark.parametrize(
    ("fields", "domains"),
    [
        ([GMAIL], {"googlemail.com", "mail-a.example.com"}),
        ([f"{OURS}; dkim=pass header.d=Example.COM"], {"example.com"}),
        (
            [f" {OURS.upper()} 1; dkim=pass header.d=example.com header.i=@x.example.com"],
            {"example.com"},
        ),
        ([f"{OURS}; spf=pass smtp.mailfrom=a@example.net"], {"example.net"}),
        ([f"{OURS};\tdkim=fail header.d=a.example; dkim=pass header.d=b.example"], {"b.example"}),
        ([f"{OURS}; dkim=pass"], set()),
        # Each of our server's programs writes a field of its own.
        (
            [f"{OURS}; spf=pass smtp.helo=a.example", f"{OURS}; dkim=pass header.d=b.example"],
            {"a.example", "b.example"},
        ),
        # The topmost field with a method counts: what came with the mail is below.
        ([f"{OURS}; dkim=none", f"{OURS}; dkim=pass header.d=b.example"], set()),
        # Cut in the middle of the last result.
        ([f"{OURS}; dkim=pass header.d=b.example; dmarc=pass (p=REJ"], {"b.example"}),
    ],
)
def test_who_passed(fields: list[str], domains: set[str]) -> None:
    assert read(fields, OURS) == Results(frozenset(domains))


def test_dmarc_failed() -> None:
    assert read([FAIL], OURS) == Results(dmarc_failed=True)
    assert read([FAIL.replace(OURS, "MX.Example.ORG")], "Mx.example.org") == Results(
        dmarc_failed=True
    )
    assert read([FAIL, GMAIL.replace("dkim=pass", "x=y")], OURS) == Results(
        frozenset({"mail-a.example.com"}), dmarc_failed=True
    )


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [f"{OURS}; none"],
        [f"{OURS}; arc=pass; x-spam=pass header.d=example.com"],
        [OURS],
        ["mx.example.net; dkim=pass header.d=example.com"],
        [
            f"x.{OURS}; dkim=pass header.d=example.com",
            f"{OURS}.example.net; dkim=pass header.d=a.example",
        ],
        [f"({OURS}) mx.example.net; dkim=pass header.d=example.com"],
        # Below another's field, it came with the mail.
        ["mx.example.net; dkim=none", GMAIL],
        [f"{OURS}; dkim=", ""],
        [f"{OURS}; " + "(" * 900],
    ],
)
def test_what_says_nothing(fields: list[str]) -> None:
    assert read(fields, OURS) is None


def test_nobody_is_believed_unless_configured() -> None:
    assert read([GMAIL], "") is None


@given(
    st.lists(
        st.sampled_from(
            [
                *f'{OURS}|;|dkim=|pass|fail|dmarc|=|(|)|"|\\|header.d=|@|.|/1| |reason='.split("|"),
                "x" * 50,
            ]
        )
    )
)
def test_any_field_is_read(pieces: list[str]) -> None:
    found = read([f"{OURS};" + "".join(pieces)], OURS)
    assert found is None or isinstance(found, Results)


@pytest.mark.parametrize(
    "piece", ["(", "()", " ", "; ", ";dkim=pass", " header.d=a", '"', "\\", " x.y=z", "a"]
)
def test_hostile_fields_take_no_time(piece: str) -> None:
    fields = [f"{OURS}; dkim=pass {piece * (100_000 // len(piece))}"] * 50
    before = time.process_time()
    read(fields, OURS)
    assert time.process_time() - before < 5
