"""Whatever comes, parse() answers: mutated mails, truncated mails, noise."""

import random
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from parse_support import DATA, NOW, dsn, failed, read

from bouncesink import reader
from bouncesink.classify import load_rules
from bouncesink.model import Arrival, Notice
from bouncesink.parse import Options

sys.path.insert(0, str(Path(__file__).parent / "fuzz"))
from mutate import mutate

SAMPLES = Path(__file__).parent.parent / "samples"
SEEDS = [path.read_bytes() for each in (DATA, SAMPLES) for path in sorted(each.glob("*.eml"))]


def sound(notice: Notice) -> None:
    assert notice.identity
    assert not any("Error" in each for each in notice.damage), notice.damage
    assert "\0" not in repr(notice)
    assert len(notice.text) <= 4000
    assert len(notice.reports) <= 500
    assert all(len(r.recipient) <= 400 for r in notice.reports)
    repr(notice).encode()


@settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(min_value=0, max_value=2**32))
def test_mutated_mails(seed: int) -> None:
    raw = mutate(random.Random(seed), SEEDS)
    reading = reader.read(Arrival("", "fuzz", "", "", NOW, raw), Options(), load_rules())
    sound(reading.notice)
    assert len(reading.verdicts) == len(reading.notice.reports)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=2000))
def test_noise(data: bytes) -> None:
    sound(read(data))


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=200), st.text(max_size=50), st.text(max_size=200))
def test_any_text_in_the_fields(diagnostic: str, address: str, text: str) -> None:
    mail = dsn(failed(address, f"Diagnostic-Code: {diagnostic}"), text=text)
    sound(read(mail.encode("utf-8", "surrogatepass")))


def test_truncation_at_every_octet() -> None:
    mail = dsn(failed("lead@example.com", "Diagnostic-Code: smtp; 550 5.1.1 no")).encode()
    for end in range(len(mail)):
        notice = read(mail[:end])
        sound(notice)
        assert {r.recipient for r in notice.reports} <= {"lead@example.com"[:n] for n in range(17)}


@pytest.mark.parametrize("name", sorted(path.stem for path in DATA.glob("*.eml")))
def test_line_ends_change_nothing(name: str) -> None:
    raw = (DATA / f"{name}.eml").read_bytes().replace(b"\r\n", b"\n")
    plain = read(raw)
    assert read(raw.replace(b"\n", b"\r\n")) == plain
    for ends in (b"\r", b"\r\r\n"):
        assert read(raw.replace(b"\n", ends)).reports == plain.reports
