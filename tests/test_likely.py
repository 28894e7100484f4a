"""Which mails are worth reading at all, by their header section."""

import json
import re
from pathlib import Path

import pytest

from bouncesink.parse.likely import may_be_notification

SAMPLES = sorted((Path(__file__).parents[1] / "samples").glob("*.eml"))

ORDINARY = (
    b"Return-Path: <ann@example.org>\nReceived: from mx.example.org\nFrom: Ann <ann@example.org>\n"
    b"To: Sales <sales@example.com>\nMessage-ID: <a1@example.org>\nMIME-Version: 1.0\n"
    b"Content-Type: multipart/alternative; boundary=x\nSubject: "
)


def _sections(raw: bytes) -> tuple[bytes, bytes]:
    head, _, body = raw.partition(b"\n\n")
    return head + b"\n", body


@pytest.mark.parametrize("ends", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("file", SAMPLES, ids=lambda file: file.stem)
def test_every_notification_is_seen_by_its_header(file: Path, ends: bytes) -> None:
    raw = re.sub(rb"\r\n?", b"\n", file.read_bytes()).removeprefix(b"\n")
    expected = json.loads(file.with_suffix(".json").read_text())["kind"] != "human"
    assert may_be_notification(_sections(raw)[0].replace(b"\n", ends)) is expected


@pytest.mark.parametrize(
    "subject",
    [
        b"Lunch on Tuesday?",
        b"Re: A quick question about your lamps",
        b"Invoice 1207",
        b"=?utf-8?b?R3LDvMOfZSBhdXMgS8O2bG4=?=",
        b"Invitation: weekly meeting",
    ],
)
def test_what_people_write_is_left_alone(subject: bytes) -> None:
    assert not may_be_notification(ORDINARY + subject + b"\n", b"Dear all,\n\nsee you there.\n")


@pytest.mark.parametrize(
    "changed",
    [
        ORDINARY + b"Undelivered Mail Returned to Sender\n",
        ORDINARY + b"=?utf-8?q?Fwd=3A_Delivery_Status_Notification?=\n",
        ORDINARY + b"Unsubscribe\n",
        ORDINARY.replace(b"<ann@example.org>", b"<>", 1) + b"x\n",
        ORDINARY.replace(b"ann@", b"Postmaster@") + b"x\n",
        ORDINARY.replace(b"multipart/alternative;", b"multipart/Report;\n report-type=x;") + b"x\n",
        b"Auto-Submitted: auto-replied (vacation)\n" + ORDINARY + b"x\n",
        b"X-Failed-Recipients: lead@example.org\n" + ORDINARY + b"x\n",
        b"",
        b"\xff\xfe\n" * 10,
    ],
)
def test_one_sign_is_enough(changed: bytes) -> None:
    assert may_be_notification(changed)


def test_a_wish_is_taken_from_the_body_of_an_answer_only() -> None:
    answer = b"In-Reply-To: <lamp-1@example.com>\n" + ORDINARY + b"Re: your lamps\n"
    wish = b"\r\n--x\r\nContent-Type: text/plain\r\n\r\nPlease unsubscribe me.\r\n"
    assert may_be_notification(answer, wish)
    assert not may_be_notification(answer)
    assert not may_be_notification(answer, b"We cannot unsubscribe from our supplier.\n")
    assert not may_be_notification(ORDINARY + b"Newsletter 7\n", b"Hello\n\nUnsubscribe here\n")


def test_an_endless_header_section_is_not_searched_and_not_passed_over() -> None:
    assert may_be_notification(ORDINARY + b"x\nX-Pad: " + b"a" * 200_000 + b"\n")
