"""Mail from files: what is taken, and what is said of the rest."""

import io
import sys
from pathlib import Path

import pytest

from bouncesink.errors import InputError
from bouncesink.intake.archive import Wanted
from bouncesink.intake.files import find, total_size
from bouncesink.intake.found import Found, PassedOver

MAIL = b"From: a@example.com\r\nSubject: x\r\n\r\nbody\r\n"


def found(*paths: Path | str, max_size: int = 1000, everything: bool = True) -> list[Found]:
    return list(find(map(str, paths), Wanted(max_size, everything)))


def mails(*paths: Path | str) -> dict[str, bytes]:
    return {Path(each.file).name: each.raw for each in found(*paths)}


def test_a_mail(tmp_path: Path) -> None:
    file = tmp_path / "a.eml"
    file.write_bytes(MAIL)
    assert found(file) == [Found(str(file), MAIL, read=len(MAIL))]


def test_a_folder_with_folders_in_order(tmp_path: Path) -> None:
    for name in ("b.eml", "a.eml", "deep/c.eml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(MAIL)
    assert [Path(each.file).name for each in found(tmp_path)] == ["a.eml", "b.eml", "c.eml"]
    assert total_size([str(tmp_path)]) == 3 * len(MAIL)


def test_a_glob_that_the_shell_left(tmp_path: Path) -> None:
    (tmp_path / "a.eml").write_bytes(MAIL)
    (tmp_path / "b.txt").write_bytes(MAIL)
    assert [Path(each.file).name for each in found(tmp_path / "*.eml")] == ["a.eml"]


def test_one_mail_with_a_from_line_keeps_its_name(tmp_path: Path) -> None:
    file = tmp_path / "a.eml"
    file.write_bytes(b"From x Mon Jan  1 00:00:00 2024\n" + MAIL)
    assert mails(file) == {"a.eml": MAIL}
    assert len(found(file, everything=False)) == 1  # it was named, so it is meant


def test_what_is_named_one_mail_is_one_whatever_its_lines_begin_with(tmp_path: Path) -> None:
    from_line = b"From x Mon Jan  1 00:00:00 2024\n"
    file = tmp_path / "a.eml"
    file.write_bytes(from_line + MAIL + from_line + MAIL)
    assert mails(file) == {"a.eml": MAIL + from_line + MAIL}


def test_a_maildir_is_read_in_each_of_its_folders(tmp_path: Path) -> None:
    wanted = ["box/new/1", "box/cur/2:2,S", "box/.Sent/cur/3:2,S", "box/.Sent.Old/new/4"]
    for name in [*wanted, "box/tmp/5", "box/.Sent/tmp/6", "box/dovecot-uidlist", "box/.Sent/list"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(MAIL)
    for folder in ("box", "box/.Sent", "box/.Sent.Old"):
        for part in ("cur", "new"):
            (tmp_path / folder / part).mkdir(exist_ok=True)
    expected = {Path(name).name for name in wanted}
    assert mails(tmp_path / "box").keys() == expected
    assert mails(tmp_path).keys() == expected
    assert mails(tmp_path / "box" / "cur").keys() == {"2:2,S"}


def test_of_a_maildir_only_what_a_machine_may_have_written(tmp_path: Path) -> None:
    for folder in ("new", "cur", "tmp"):
        (tmp_path / folder).mkdir()
    (tmp_path / "cur" / "1:2,S").write_bytes(MAIL)
    (tmp_path / "cur" / "2:2,S").write_bytes(b"Return-Path: <>\r\n" + MAIL)
    (tmp_path / "cur" / "list").write_bytes(b"3 V1 N2\n")
    kept = found(tmp_path, everything=False)
    assert [each.passed_over for each in kept] == [PassedOver.ORDINARY, None, PassedOver.NO_MAIL]
    assert [bool(each.raw) for each in kept] == [False, True, False]


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(MAIL)))
    assert found("-") == [Found("-", MAIL)]
    assert sys.stdin.buffer.read() == b""  # and it is still open


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b" \r\n\r\n", "is empty"),
        (b"\x89PNG\r\n\x1a\n\0\0\0", "is not a mail"),
        (b"just some text\nwith lines\n", "is not a mail"),
        (MAIL + b"x" * 1000, "is over the size limit of 1,000 octets"),
    ],
)
def test_what_is_no_mail_says_why(tmp_path: Path, content: bytes, problem: str) -> None:
    file = tmp_path / "a"
    file.write_bytes(content)
    (only,) = found(file)
    assert problem in only.problem
    assert not only.raw


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        found(tmp_path / "none")
    with pytest.raises(InputError, match="there is no file in this folder"):
        found(tmp_path)
