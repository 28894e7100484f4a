"""Fixtures of the tests with real servers."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from server_root import server_root


@pytest.fixture(scope="session")
def root() -> Iterator[Path]:
    """A folder with Exim and OpenSMTPD, for one of each at a time."""
    with server_root() as made:
        yield made
