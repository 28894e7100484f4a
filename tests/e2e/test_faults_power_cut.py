"""A power cut at each frame of the WAL; tests/test_faults_disk.py has some of them."""

from pathlib import Path

import pytest
from test_faults_disk import FRAME, HEADER, History, after_a_power_cut, history

pytestmark = pytest.mark.e2e

__all__ = ["history"]


def test_a_wal_that_is_cut_at_any_frame(history: History, tmp_path: Path) -> None:
    database, length = history.database.read_bytes(), len(history.wal)
    ends = {at + more for at in range(HEADER, length + 1, FRAME) for more in (-1, 0, 1)}
    anywhere = range(0, length, 997)
    for cut in sorted(ends.union(anywhere)):
        found = after_a_power_cut(tmp_path / "x", database, history.wal[:cut])
        assert found == history.committed(cut), cut
