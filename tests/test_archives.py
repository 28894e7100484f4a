"""Many mails in one file: mboxes and archives, hostile ones too, and going on where it stopped."""

import gzip
import io
import mailbox
import os
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from commands import Run
from hypothesis import given
from hypothesis import strategies as st
from mails import hard

from bouncesink.intake import packed
from bouncesink.intake.archive import Wanted
from bouncesink.intake.files import find
from bouncesink.intake.found import Found, PassedOver
from bouncesink.intake.mbox import split
from bouncesink.ledger import Replay

FROM = b"From x@example.org Mon Jan  1 00:00:00 2024\n"
HUMAN = b"From: Ann <ann@example.org>\nTo: sales@example.com\nSubject: Lunch\n\nOn Tuesday?\n"


def bounce(number: int) -> bytes:
    return hard(number, number).replace("Lead@", f"lead-{number}@").encode()


def mbox_of(*mails: bytes) -> bytes:
    return b"".join(FROM + mail.replace(b"\nFrom ", b"\n>From ") + b"\n" for mail in mails)


def found(
    path: Path,
    max_size: int = 10_000,
    resume: Callable[[str], Replay | None] = lambda _: None,
    *,
    everything: bool = True,
) -> list[Found]:
    return list(find([str(path)], Wanted(max_size, everything, resume)))


def taken(path: Path, max_size: int = 10_000, *, everything: bool = True) -> list[bytes]:
    return [each.raw for each in found(path, max_size, everything=everything) if each.raw]


def pieces(data: bytes, max_size: int = 10_000) -> list[bytes | None]:
    return [piece.raw for piece in split(io.BytesIO(data), max_size)]


# mbox


@pytest.mark.parametrize(
    ("data", "mails"),
    [
        (FROM + b"A: 1\n\nx\n\n" + FROM + b"A: 2\n\ny\n\n", [b"A: 1\n\nx\n", b"A: 2\n\ny\n"]),
        (FROM + b"A: 1\n\nx\n\n" + FROM + b"A: 2\n\ny", [b"A: 1\n\nx\n", b"A: 2\n\ny"]),
        (FROM + b"A: 1\n\n>From me\n>>From you\n", [b"A: 1\n\nFrom me\n>From you\n"]),
        # Sentences, and what a person quotes: no date, or no header field after it.
        (FROM + b"A: 1\n\nFrom Monday\n\nFrom Monday at 10:30\n", None),
        (FROM + b"A: 1\n\nx\n\nFrom x Mon Jan  1 00:00:00 2024\nis how it begins\n", None),
        # Another writer's dates, without seconds, with a zone, with none of a sender's address.
        (FROM + b"A: 1\n\n\nFrom - Mon, 1 Jan 2024 10:30 +0100 2024\nA: 2\n\n", 2),
        (FROM + b"A: 1\n\n\nFrom 17@xxx Mon Jun 08 12:00:00 +0000 2026\nA: 2\n\n", 2),
        (FROM + b"A: 1\n\n\nFrom  Mon Jun  8 12:00:00 CEST 2026\nA: 2\n\n", 2),
        (FROM + b"A: 1\n\n\nFrom x 2024-01-01 10:30:00\nA: 2\n\n", 2),
        # A writer that left out the empty line, one that wrote some before the first mail.
        (FROM + b"A: 1\n\nx\n" + FROM + b"A: 2\n\ny\n", 2),
        (b"\n\n" + FROM + b"A: 1\n\nx\n\n" + FROM + b"A: 2\n\ny\n", 2),
        # Lengths that are right, too short, too long, beyond the end, and not numbers.
        (FROM + b"Content-Length: 50\n\n" + FROM + b"B: \n\n\n\n" + FROM + b"A: 2\n\n", 2),
        (FROM + b"Content-Length: 10\n\n" + FROM + b"B: \n\n\n\n" + FROM + b"A: 2\n\n", 3),
        (FROM + b"Content-Length: 60\n\n" + FROM + b"B: \n\n\n\n" + FROM + b"A: 2\n\n", 3),
        (FROM + b"Content-Length: 999\n\nx\n\n" + FROM + b"A: 2\n\n", 2),
        (FROM + b"Content-Length: 99999999999999999999\n\nx\n\n" + FROM + b"A: 2\n\n", 2),
        # Damage.
        (FROM, [b""]),
        (FROM + FROM + FROM, 3),
        (b"ail.\n\n" + FROM + b"A: 1\n\nx\n", [b"ail.\n", b"A: 1\n\nx\n"]),
        (b"From " + b"x" * 100_000, 1),
        (FROM + b"A: \0\xff\n\n\0\n" + FROM[:20], [b"A: \0\xff\n\n\0\n" + FROM[:20]]),
    ],
)
@pytest.mark.parametrize("ends", [b"\n", b"\r\n"])
def test_where_a_mail_ends(data: bytes, mails: list[bytes] | int | None, ends: bytes) -> None:
    if b"Length: 50" in data and ends == b"\r\n":
        data = data.replace(b"Length: 50", b"Length: 54")
    got = pieces(data.replace(b"\n", ends), 1_000_000)
    if isinstance(mails, list):
        assert got == [mail.replace(b"\n", ends) for mail in mails]
    else:
        assert len(got) == (mails or 1)


class Trickle(io.BytesIO):
    """Gives less than it is asked for, so that everything falls on a border."""

    def read1(self, size: int | None = -1, /) -> bytes:
        return super().read1(min(7, size or 0))


LINE = st.sampled_from(
    [b"", b"x", b"From me to you", b">From me", b">>From", FROM[:-1], b"A: b", b"\xff\r", b"From "]
)
MAILS = st.lists(st.lists(LINE, max_size=6).map(b"\n".join), max_size=5)


@given(MAILS, st.booleans())
def test_what_is_put_into_an_mbox_comes_out_of_it(bodies: list[bytes], trickle: bool) -> None:
    mails = [b"Subject: %d\n\n" % n + body + b"\n" for n, body in enumerate(bodies)]
    data = b""
    for mail in mails:  # as mboxrd
        lines = [b">" + x if x.lstrip(b">").startswith(b"From ") else x for x in mail.split(b"\n")]
        data += FROM + b"\n".join(lines) + b"\n"
    made = list(split(Trickle(data) if trickle else io.BytesIO(data), 10_000))
    assert [piece.raw for piece in made] == mails
    for index, piece in enumerate(made):
        rest = split(io.BytesIO(data[piece.end :]), 10_000, piece.end)
        assert list(rest) == made[index + 1 :]
    assert [piece.last for piece in made] == [False] * (len(made) - 1) + [True] * bool(made)


@given(st.binary(max_size=300), st.lists(st.sampled_from([FROM, b"\n", b"A: 1\n"]), max_size=6))
def test_damage_loses_nothing_and_ends(noise: bytes, parts: list[bytes]) -> None:
    data = noise.join(parts)
    ends = [piece.end for piece in split(io.BytesIO(data), 100)]
    assert ends == sorted(set(ends))
    assert (ends[-1] if ends else 0) == len(data)


def test_a_mail_that_is_too_big_is_passed_and_never_held(tmp_path: Path) -> None:
    file = tmp_path / "all.mbox"
    file.write_bytes(mbox_of(bounce(1), HUMAN + b"x" * 5_000_000 + b"\n", bounce(2)))
    first, second, third, _ = found(file)
    assert (first.raw, third.raw) == (bounce(1), bounce(2))
    assert (first.file, third.file) == (f"{file}:1", f"{file}:3")
    assert "over the size limit of 10,000 octets" in second.problem


def test_what_the_standard_library_writes(tmp_path: Path) -> None:
    with closing(mailbox.mbox(tmp_path / "all")) as box:
        for number in range(3):
            box.add(bounce(number))
    assert taken(tmp_path / "all") == [bounce(number) for number in range(3)]


# Archives


def a_zip(path: Path, files: dict[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", how) as made:
        for name, data in files.items():
            made.writestr(name, data)
    return path


def a_tar(path: Path, files: dict[str, bytes], how: str = "w:gz") -> Path:
    with tarfile.open(path, how) as made:  # type: ignore[call-overload]  # a mode that is a str
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            made.addfile(entry, io.BytesIO(data))
    return path


FILES = {
    "Takeout/archive_browser.html": b"<html>\n<p>From: nobody</p>\n",
    "Takeout/Mail/All mail.mbox": mbox_of(HUMAN, bounce(1), HUMAN, bounce(2)),
    "Takeout/3.eml": bounce(3),
    "Takeout/4.eml": HUMAN,
    "Takeout/empty": b"",
    "Takeout/5.eml.gz": gzip.compress(bounce(5)),
    "Takeout/image.png": b"\x89PNG\r\n\x1a\n",
}
EXPECTED = [bounce(1), bounce(2), bounce(3), bounce(5)]


@pytest.fixture(params=["zip", "stored", "tar", "tgz", "stdin"])
def takeout(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Give the same archive in each form; its name says nothing of it."""
    path = tmp_path / "archive"
    if request.param in ("zip", "stored"):
        how = zipfile.ZIP_DEFLATED if request.param == "zip" else zipfile.ZIP_STORED
        return a_zip(path, FILES, how)
    a_tar(path, FILES, "w" if request.param == "tar" else "w:gz")
    if request.param == "stdin":
        monkeypatch = request.getfixturevalue("monkeypatch")
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(path.read_bytes())))
        return Path("-")
    return path


def test_an_archive_of_mails_and_mboxes(takeout: Path) -> None:
    each = found(takeout, everything=False)
    assert [one.raw for one in each if one.raw] == EXPECTED
    over = [one.passed_over for one in each if one.passed_over]
    assert over.count(PassedOver.ORDINARY) == 3
    assert over.count(PassedOver.NO_MAIL) == 3
    assert not any(one.problem for one in each)


def test_everything_of_an_archive(tmp_path: Path) -> None:
    path = a_tar(tmp_path / "all.tgz", FILES)
    assert taken(path) == [HUMAN, bounce(1), HUMAN, bounce(2), bounce(3), HUMAN, bounce(5)]


def test_a_zip_file_in_a_pipe_says_why_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    data = a_zip(tmp_path / "a.zip", FILES).read_bytes()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
    (only,) = found(Path("-"))
    assert "give its path" in only.problem


def test_an_mbox_that_is_gzipped(tmp_path: Path) -> None:
    path = tmp_path / "all.mbox.gz"
    path.write_bytes(gzip.compress(mbox_of(bounce(1), HUMAN, bounce(2))))
    assert taken(path, everything=False) == [bounce(1), bounce(2)]


def test_names_and_links_reach_nothing(tmp_path: Path) -> None:
    secret = tmp_path / "secret.eml"
    secret.write_bytes(bounce(9))
    path = tmp_path / "evil.tgz"
    with tarfile.open(path, "w:gz") as made:
        for name, kind in [("a", tarfile.SYMTYPE), ("b", tarfile.LNKTYPE), ("c", tarfile.FIFOTYPE)]:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, str(secret)
            made.addfile(entry)
        for name in ("../../up.eml", "/etc/absolute.eml", "\x1b]0;owned\a.eml", "x" * 5000):
            entry = tarfile.TarInfo(name)
            entry.size = len(bounce(1))
            made.addfile(entry, io.BytesIO(bounce(1)))
    before = sorted(tmp_path.rglob("*"))
    each = found(path)
    assert [one.raw for one in each if one.raw] == [bounce(1)] * 4
    assert max(len(one.file) for one in each) < 400 + len(str(path))
    assert sorted(tmp_path.rglob("*")) == before


ZEROS = bytes(3_000_000)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda p: a_zip(p, {"a.mbox": FROM + ZEROS, "b.eml": bounce(1)}), "250 times its size"),
        (lambda p: a_tar(p, {"a.mbox": FROM + ZEROS}), "250 times its size"),
        (lambda p: p.write_bytes(gzip.compress(FROM + ZEROS)), "250 times its size"),
        (lambda p: a_zip(p, {"a.zip": b"PK\x03\x04"}), "an archive inside an archive"),
        (
            lambda p: a_tar(p, {"a.tgz": a_tar(p, {"a": b"x"}).read_bytes()}),
            "an archive inside an archive",
        ),
        (lambda p: a_zip(p, {"a": bounce(1)}, zipfile.ZIP_LZMA), "in a way that is not read here"),
        (lambda p: p.write_bytes(b"BZh91AY&SY"), "unpack it first"),
        (lambda p: p.write_bytes(b"\xfd7zXZ\x00"), "unpack it first"),
        (lambda p: p.write_bytes(b"PK\x03\x04" + b"x" * 50), "damaged zip file"),
        (lambda p: p.write_bytes(b"\x1f\x8b\x08" + bytes(40)), "damaged or cut off"),
        (lambda p: p.write_bytes(b"\x1f\x8b\x08"), "damaged or cut off"),
    ],
)
def test_what_is_hostile_or_not_ours_says_why(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[Path], object],
    problem: str,
) -> None:
    monkeypatch.setattr(packed, "_FREE", 1_000_000)
    path = tmp_path / "evil"
    make(path)
    said = [each.problem for each in found(path, 1_000_000) if each.problem]
    assert said
    assert problem in said[0]


def test_an_encrypted_entry_holds_up_no_other(tmp_path: Path) -> None:
    path = a_zip(tmp_path / "a.zip", {"1.eml": bounce(1), "2.eml": bounce(2)})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    first, second, _ = found(path)
    assert "encrypted" in first.problem
    assert second.raw == bounce(2)


def test_a_damaged_entry_holds_up_no_other(tmp_path: Path) -> None:
    path = a_zip(tmp_path / "a.zip", {"1.eml": bounce(1), "2.eml": bounce(2)}, zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"original-1", b"original-X"))
    first, second, _ = found(path)
    assert "damaged" in first.problem
    assert second.raw == bounce(2)


def test_what_was_cut_off_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    mails = [bounce(number) + os.urandom(2000).hex().encode() + b"\n" for number in range(20)]
    path = tmp_path / "all.mbox.gz"
    path.write_bytes(gzip.compress(mbox_of(*mails))[:-3000])
    *read, last = found(path)
    assert len(read) > 10
    assert [each.raw for each in read] == mails[: len(read)]
    assert "cut off" in last.problem


def test_a_name_in_a_tar_cannot_fill_the_memory(tmp_path: Path) -> None:
    entry = tarfile.TarInfo("././@LongLink")
    entry.type, entry.size = tarfile.GNUTYPE_LONGNAME, 1 << 33
    path = tmp_path / "a.tar"
    path.write_bytes(entry.tobuf(tarfile.GNU_FORMAT) + bytes(4096))
    assert "is a damaged tar file: " in found(path)[-1].problem


# Going on


@pytest.mark.parametrize("form", ["mbox", "gz", "zip", "tgz"])
def test_a_replay_goes_on_from_every_place_where_it_may_stop(tmp_path: Path, form: str) -> None:
    data = mbox_of(*(mail for n in range(6) for mail in (bounce(n), HUMAN)))
    path = tmp_path / "archive"
    files = {"a.mbox": data, "b.eml": bounce(7), "c.eml": HUMAN, "d.mbox": data}
    if form == "zip":
        a_zip(path, files)
    elif form == "tgz":
        a_tar(path, files)
    else:
        path.write_bytes(gzip.compress(data) if form == "gz" else data)
    whole = found(path, everything=False)
    marked = [(n, each.mark) for n, each in enumerate(whole) if each.mark]
    assert len(marked) == len(whole)
    for index, mark in marked:
        rest = found(path, resume={mark.id: mark}.get, everything=False)
        assert rest[0].resumed == mark
        assert [(one.file, one.raw, one.mark) for one in rest[1:]] == [
            (one.file, one.raw, one.mark) for one in whole[index + 1 :]
        ]
        assert sum(one.read for one in rest) == path.stat().st_size
    assert sum(one.read for one in whole) == path.stat().st_size


def end_of(path: Path, resume: Callable[[str], Replay | None] = lambda _: None) -> Replay:
    mark = found(path, resume=resume)[-1].mark
    assert mark
    return mark


def big(*numbers: int) -> bytes:
    """Give an mbox whose start is longer than what it is known by."""
    return mbox_of(HUMAN + b"x" * 70_000 + b"\n", *map(bounce, numbers))


def test_an_mbox_that_has_grown_goes_on_at_its_old_end(tmp_path: Path) -> None:
    path = tmp_path / "all.mbox"
    path.write_bytes(big(1, 2))
    mark = end_of(path)
    path.write_bytes(big(1, 2, 3))
    moved = path.rename(tmp_path / "renamed.mbox")
    resumed, new, _ = found(moved, resume={mark.id: mark}.get)
    assert resumed.resumed
    assert resumed.resumed.mails == 3
    assert (new.raw, new.file) == (bounce(3), f"{moved}:4")


@pytest.mark.parametrize(
    "changed",
    [
        big(1, 3, 2),  # other mails up to there
        big(2),  # one was deleted
        big(1, 2).replace(b"Ann", b"Eva"),  # another start
        big(1, 2)[:-1] + b"and it went on\n\n",  # its last mail was not complete
    ],
)
def test_an_mbox_that_has_changed_is_read_anew(tmp_path: Path, changed: bytes) -> None:
    path = tmp_path / "all.mbox"
    path.write_bytes(big(1, 2))
    mark = end_of(path)
    path.write_bytes(changed)
    assert not any(each.resumed for each in found(path, resume={mark.id: mark}.get))


def test_everything_is_wanted_of_what_was_read_for_bounces_only(tmp_path: Path) -> None:
    path = tmp_path / "all.mbox"
    path.write_bytes(mbox_of(HUMAN, bounce(1)))
    mark = found(path, everything=False)[-1].mark
    assert mark
    assert not found(path, resume={mark.id: mark}.get, everything=True)[0].resumed


# The command


def test_replay_of_a_takeout(run: Run) -> None:
    a_zip(Path("takeout.zip"), FILES)
    first = run("replay", "takeout.zip")
    assert first.code == 0
    assert "4 mails read: 4 failure." in first.out
    assert "3 mails passed over and not kept" in first.out
    assert "3 files passed over: no mail." in first.out
    report = run("report-bounces").out
    again = run("replay", "takeout.zip")
    assert "0 mails read." in again.out
    assert "takeout.zip was already taken in: 7 mails, 3 passed over" in again.out
    (line,) = run("replay", "--json", "takeout.zip").lines
    assert line == {
        "archive": "takeout.zip",
        "mails": 7,
        "passed_over": 3,
        "already_taken_in": True,
    }
    assert "4 mails already in the ledger" in run("replay", "--restart", "takeout.zip").out
    assert run("report-bounces").out == report
    assert "1 mail read: 1 human." in run("replay", "--all", "takeout.zip").out  # thrice the same
    assert {each.name for each in Path().iterdir()} == {"takeout.zip", "bouncesink.db"}


def test_parse_shows_what_an_archive_holds(run: Run) -> None:
    a_tar(Path("all.tgz"), FILES)
    result = run("parse", "--json", "all.tgz")
    assert [line["kind"] for line in result.lines].count("human") == 3
    assert len(result.lines) == 7


def test_replay_says_which_archive_is_damaged(run: Run) -> None:
    a_zip(Path("a.zip"), {"1.eml": bounce(1)})
    Path("b.zip").write_bytes(b"PK\x03\x04junk")
    result = run("replay", "b.zip", "a.zip")
    assert result.code == 1
    assert "b.zip is a damaged zip file" in result.err
    assert "1 mail read" in result.out
