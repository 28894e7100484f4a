"""What every test stands on."""

from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def _logs_as_new() -> Iterator[None]:
    """Undo what a command run in this process set up for its logs."""
    yield
    structlog.reset_defaults()
