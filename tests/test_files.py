"""Mail from files: what is taken, and what is said of the rest."""

import io
from pathlib import Path

import pytest

from bouncesink.errors import InputError
from bouncesink.intake.files import Found, find, total_size

MAIL = b"From: a@example.com\r\nSubject: x\r\n\r\nbody\r\n"


def found(*paths: Path | str, max_size: int = 1000) -> list[Found]:
    return list(find(map(str, paths), max_size))


def test_a_mail(tmp_path: Path) -> None:
    file = tmp_path / "a.eml"
    file.write_bytes(MAIL)
    assert found(file) == [Found(str(file), MAIL)]


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


def test_an_mbox_is_many_mails(tmp_path: Path) -> None:
    file = tmp_path / "all.mbox"
    file.write_bytes(
        b"From x Mon Jan  1 00:00:00 2024\n" + b"Subject: 1\n\nFrom here on\n>From quoted\n\n"
        b"From y Mon Jan  1 00:00:00 2024\n" + b"Subject: 2\n\n" + b"x" * 2000 + b"\n\n"
        b"From z Mon Jan  1 00:00:00 2024\n" + b"Subject: 3\n\nend\n"
    )
    first, second, third = found(file)
    assert first == Found(f"{file}:1", b"Subject: 1\n\nFrom here on\nFrom quoted\n\n")
    assert "size limit" in second.problem
    assert third.raw == b"Subject: 3\n\nend\n"


def test_one_mail_with_a_from_line_keeps_its_name(tmp_path: Path) -> None:
    file = tmp_path / "a.eml"
    file.write_bytes(b"From x Mon Jan  1 00:00:00 2024\n" + MAIL)
    assert found(file) == [Found(str(file), MAIL)]


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(MAIL)))
    assert found("-") == [Found("-", MAIL)]


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
