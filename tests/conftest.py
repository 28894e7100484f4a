"""Fixtures that several test modules use."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from commands import Result, Run
from hypothesis import HealthCheck, settings

from bouncesink.cli import main
from bouncesink.config import ParseConfig
from bouncesink.reader import ReaderPool

# A machine that is busy with other things is no failure.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.hookimpl(tryfirst=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Run the tests against real servers one after another: they measure, and fill the machine."""
    return 0 if config.option.markexpr == "e2e" else None


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BOUNCESINK_CONFIG", raising=False)

    def call(*args: str, stdin: str = "") -> Result:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        with pytest.raises(SystemExit) as caught:
            main(list(args))
        captured = capsys.readouterr()
        return Result(int(caught.value.code or 0), captured.out, captured.err)

    return call


@pytest.fixture(scope="session")
def readers() -> Iterator[ReaderPool]:
    """Readers for all who need no limits of their own: their processes take a while to start."""
    with ReaderPool(ParseConfig()) as pool:
        yield pool


@pytest.fixture(autouse=True)
def _logs_as_new() -> Iterator[None]:
    """Undo what a command run in this process set up for its logs."""
    yield
    structlog.reset_defaults()
