"""The disk is full at each write from a mail to the sheet: nothing is half done, and it goes on."""

import errno
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_faults_kill import LATER, builder, by_hand

pytestmark = pytest.mark.e2e

PAGE = 4096
ROOM = range(0, 160, 4)
"""How many pages are left: what is written at last takes about a hundred and forty."""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own; mounting it takes root."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill_up(filler: Path, pages: int) -> None:
    """Take all the room that there is but so many pages."""
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(PAGE))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
        file.truncate(max(0, file.tell() - pages * PAGE))


def test_at_each_write(small_disk: Path, tmp_path: Path) -> None:
    with builder(tmp_path / "houses") as build:
        house = build.house("whole")
        assert by_hand(house, build.warm).code == 0
        expected = house.outcome()
        failed = 0
        for pages in ROOM:
            store = small_disk / "store"
            house = build.house(pages, store)
            filler = small_disk / "filler"
            fill_up(filler, pages)
            run = by_hand(house, build.warm)
            filler.unlink()
            failed += bool(run.code)
            # 3 the ledger, 4 the sheet or a queue: known trouble, in words.
            assert run.code in (0, 3, 4), (pages, run.output())
            assert "Traceback" not in run.output(), pages
            again = by_hand(house, build.warm, later=LATER)
            assert again.code == 0, (pages, again.output())
            house.check(expected, f"{pages} pages")
            shutil.rmtree(store)
        print(f"full at {failed} of {len(ROOM)} places")
        assert failed > len(ROOM) // 2
