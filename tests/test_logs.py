"""What the log holds of an error, and what it must not."""

import json

import pytest
import structlog

from bouncesink import logs
from bouncesink.config import LogConfig


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_traceback_tells_where_but_not_of_what(
    form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(LogConfig(format=form))
    fails("s3cret")
    said = capsys.readouterr().err
    assert "a sentence" in said
    assert "fails" in said  # the function
    assert "s3cret" not in said
    if form == "json":
        assert json.loads(said)["event"] == "it.failed"


def fails(token: str) -> None:
    try:
        int("a sentence")
    except ValueError:
        structlog.get_logger().exception("it.failed", length=len(token))
