"""Each sample says what its golden file says, however it comes.

The files of samples/ that end in .json are what `bouncesink parse --json` prints. Where the reader
says something else, the actual result is written beside it as NAME.actual.json: look at both, then
mend the reader, or run `python tests/regenerate_samples.py NAME` if the golden file was wrong.
"""

import json
import re

import pytest
from regenerate_samples import SAMPLES, reading_of, written

from bouncesink.classify import load_rules
from bouncesink.parse import mime
from bouncesink.parse.formats import RECOGNIZERS, generic, listing, sentence
from bouncesink.parse.message import Message

NAMES = sorted(path.stem for path in SAMPLES.glob("*.eml"))
BOUNCES = {"failure", "delayed", "relayed", "delivered"}
LATE = (listing, sentence, generic)
"""What many systems share; the order puts them after every format that has words of its own."""


@pytest.fixture(scope="module")
def rules():
    return load_rules(None)


def raw_of(name):
    return (SAMPLES / f"{name}.eml").read_bytes()


def golden_of(name):
    return json.loads((SAMPLES / f"{name}.json").read_text("utf-8"))


TEXT_FORMATS = {module.NAME for module in RECOGNIZERS}
TEXT_NAMES = [name for name in NAMES if golden_of(name)["recognizer"] in TEXT_FORMATS]
BOUNCE_NAMES = [name for name in NAMES if golden_of(name)["kind"] in BOUNCES]


def check(name, raw, rules):
    actual = reading_of(f"{name}.eml", raw, rules)
    if actual != golden_of(name):
        (SAMPLES / f"{name}.actual.json").write_text(written(actual), "utf-8")
        pytest.fail(f"{name} says something else: compare samples/{name}.actual.json")


@pytest.mark.parametrize("name", NAMES)
def test_line_feeds(name, rules):
    check(name, raw_of(name).replace(b"\r\n", b"\n"), rules)


@pytest.mark.parametrize("name", NAMES)
def test_carriage_returns(name, rules):
    check(name, raw_of(name).replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"), rules)


@pytest.mark.parametrize("name", NAMES)
def test_forwarded_by_gmail(name, rules):
    fields = (
        b"Delivered-To: bounces@example.com\n"
        b"X-Forwarded-To: bounces@example.com\n"
        b"X-Forwarded-For: hello@example.com bounces@example.com\n"
        b"Delivered-To: hello@example.com\n"
    )
    check(name, fields + raw_of(name).replace(b"\r\n", b"\n"), rules)


BY_FIELDS_ONLY = {"amazon-sns-01", "fml-01"}
"""Not from a mail system, to look at: a copy of them that a person attached stays that person's."""


@pytest.mark.parametrize("name", [name for name in BOUNCE_NAMES if name not in BY_FIELDS_ONLY])
def test_forwarded_as_an_attachment(name, rules):
    inner = raw_of(name).replace(b"\r\n", b"\n")
    raw = (
        b"From: A colleague <colleague@example.com>\nTo: bounces@example.com\n"
        b"Subject: Fwd: a bounce\nMessage-ID: <forward@example.com>\nMIME-Version: 1.0\n"
        b'Content-Type: multipart/mixed; boundary="around-it-all"\n\n'
        b"--around-it-all\nContent-Type: text/plain; charset=utf-8\n\nSee below.\n\n"
        b"--around-it-all\nContent-Type: message/rfc822\n"
        b"Content-Disposition: attachment\n\n" + inner + b"\n--around-it-all--\n"
    )
    assert reading_of(f"{name}.eml", raw, rules) == golden_of(name)


NEEDS_ITS_FIELDS = {"amazon-sns", "fml", "google-groups"}
"""Formats that header fields name, which an inline copy does not have."""


@pytest.mark.parametrize("name", TEXT_NAMES)
def test_forwarded_inline(name, rules):
    golden = golden_of(name)
    message = Message(mime.parse(raw_of(name))[0])
    fields = f"From: {message.from_}\nDate: Mon, Jun 1, 2026 at 9:00 AM\nSubject: {message.subject}"
    raw = (
        "From: A colleague <colleague@example.com>\nTo: bounces@example.com\n"
        "Subject: Fwd: a bounce\nMessage-ID: <forward@example.com>\nMIME-Version: 1.0\n"
        "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n"
        f"---------- Forwarded message ---------\n{fields}\nTo: <hello@example.com>\n\n\n"
        f"{message.text}"
    )
    actual = reading_of(f"{name}.eml", raw.encode(), rules)
    if golden["recognizer"] in NEEDS_ITS_FIELDS:
        assert actual["kind"] in {"human", "unreadable", golden["kind"]}
        return
    assert "forwarded inline" in actual["damage"]
    assert (actual["kind"], actual["recognizer"]) == (golden["kind"], golden["recognizer"])
    assert actual["recipients"] == golden["recipients"]


def test_each_recogniser_has_a_sample():
    assert {golden_of(name)["recognizer"] for name in NAMES} >= TEXT_FORMATS


@pytest.mark.parametrize("name", TEXT_NAMES)
def test_no_recogniser_takes_another_ones_sample(name):
    message = Message(mime.parse(raw_of(name))[0])
    takers = [
        module.NAME
        for module in RECOGNIZERS
        if module not in LATE and module.recognize(message) is not None
    ]
    owner = golden_of(name)["recognizer"]
    assert takers == ([] if owner in {module.NAME for module in LATE} else [owner])


def test_samples_use_reserved_names_only():
    reserved = re.compile(
        r"(?:\A|\.)(?:test|invalid|localhost|example|example\.(?:com|org|net))\Z", re.IGNORECASE
    )
    known = re.compile(r"(?:google|googlemail|outlook|amazonaws|amazonses|cr\.yp)\.(?:com|to)\Z")
    for name in NAMES:
        text = raw_of(name).decode("utf-8", "replace")
        for domain in re.findall(r"[\w.+=-]@([\w-]+(?:\.[\w-]+)+)", text):
            assert reserved.search(domain) or known.search(domain), (name, domain)
