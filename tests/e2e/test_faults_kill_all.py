"""Killed at every step from a mail to the sheet and the queues, and started again: once is once."""

import json
import signal
import smtplib
import socket
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from google_server import Book, GoogleServer, Tab
from kill_points import Run
from test_faults_kill import (
    LATER,
    LEADS,
    MAILS,
    Builder,
    House,
    Outcome,
    builder,
    by_hand,
    check_killed_by_hand,
    last_of_each,
    until,
    whole_by_hand,
)

from bouncesink.ledger import open_ledger
from bouncesink.model import ActionState

pytestmark = pytest.mark.e2e


def side_by_side(
    folder: Path, points: Iterable[int], check: Callable[[Builder, int], None]
) -> None:
    """Check at each point, on two cores."""
    points = list(points)
    with ExitStack() as stack, ThreadPoolExecutor(2) as pool:
        builders = [stack.enter_context(builder(folder / f"side{n}")) for n in (0, 1)]

        def work(number: int) -> None:
            for point in points[number::2]:
                check(builders[number], point)

        for done in [pool.submit(work, number) for number in (0, 1)]:
            done.result()


def test_by_hand(tmp_path: Path) -> None:
    with builder(tmp_path / "whole") as build:
        points, expected = whole_by_hand(build)
    # The many statements of the first migration are one transaction: some of them will do.
    begin = points.index("after BEGIN") + 1
    chosen = sorted({*range(begin, points.index("before COMMIT"), 40)} | {*range(1, begin)}) + list(
        range(points.index("before COMMIT"), len(points) + 1)
    )
    print(f"{len(points)} points, killed at {len(chosen)}")
    side_by_side(
        tmp_path, chosen, lambda build, point: check_killed_by_hand(build, point, expected)
    )


class Service:
    """`serve` in a house, and the peer that hands it the mails until it has taken them."""

    def __init__(self, house: House, build: Builder) -> None:
        self._house = house
        self._build = build
        self._left = dict(enumerate(MAILS))

    def run(self, kill_at: int = 0, later: float = 0) -> Run:
        """Serve until all is done, or until it is killed."""
        run = self._build.warm.start(
            self._house.folder, ("serve", "--config", "c.toml"), kill_at=kill_at, later=later
        )
        until(lambda: run.ended() or self._listens(), run)
        for number, mail in list(self._left.items()):
            if self._deliver(mail):
                del self._left[number]
        until(lambda: run.ended() or (not self._left and self._is_done()), run)
        run.send(signal.SIGTERM)
        until(run.ended, run)
        return run

    def _listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self._house.folder / "lmtp.sock")) == 0

    def _deliver(self, mail: str) -> bool:
        """Whether it was acknowledged."""
        try:
            with smtplib.LMTP(str(self._house.folder / "lmtp.sock")) as client:
                client.sendmail("", ["bounces@example.com"], mail)
                return True
        except (OSError, smtplib.SMTPException):
            return False

    def _is_done(self) -> bool:
        with closing(open_ledger(self._house.store / "x.db", read_only=True)) as ledger:
            done = len(ledger.list_actions(state=ActionState.DONE))
        sheet = (self._house.store / "leads.csv").read_text()
        return done == 3 and ",HARD,1," in sheet and ",SOFT,1," in sheet


def test_serving(tmp_path: Path) -> None:
    def whole(build: Builder) -> tuple[list[str], Outcome]:
        house = build.house("whole")
        run = Service(house, build).run()
        assert run.code == 0, run.output()
        outcome = house.outcome()
        outcome.is_complete()
        return run.points(), outcome

    with builder(tmp_path / "whole") as build:
        points, expected = whole(build)
    first = {name: number for number, name in reversed([*enumerate(points, 1)])}
    chosen = sorted({*first.values(), *last_of_each(points)})
    print(f"{len(points)} points, killed at {len(chosen)}")
    killed = []

    def check(build: Builder, point: int) -> None:
        house = build.house(point)
        service = Service(house, build)
        run = service.run(kill_at=point)
        where = run.points()[-1]
        if run.code:
            assert run.code == -signal.SIGKILL, run.output()
            killed.append(where)
            assert service.run(later=LATER).code == 0
        house.check(expected, where)

    side_by_side(tmp_path, chosen, check)
    # Which thread comes by when differs from run to run; most must have hit all the same.
    assert len(killed) > len(chosen) * 0.8


def test_while_it_writes_to_google(tmp_path: Path) -> None:
    rows = [line.split(",") for line in LEADS.splitlines()]

    def flushed(build: Builder, name: str, kill_at: int) -> tuple[list[str], list[list[object]]]:
        house = build.house(name)
        with GoogleServer(Book("1aBcDeFgHiJkLmNoP", [Tab.of("Lead Details", rows)])) as server:
            (house.folder / "google.json").write_text(json.dumps(server.credentials()))
            with (house.folder / "c.toml").open("a") as config:
                config.write(
                    f'[sheets]\nspreadsheet = "1aBcDeFgHiJkLmNoP"\ncredentials = "google.json"\n'
                    f'api = "{server.url}"\n'
                )
            run = by_hand(house, build.warm, kill_at=kill_at)
            points = run.points()
            if kill_at:
                assert run.code == -signal.SIGKILL, run.output()
                run = by_hand(house, build.warm, later=LATER)
            assert run.code == 0, run.output()
            return points, [list(row) for row in server.book.tabs[0].rows if any(row)]

    with builder(tmp_path / "whole") as build:
        points, expected = flushed(build, "whole", 0)
        assert [row[3:5] for row in expected[1:3]] == [["HARD", 1], ["SOFT", 1]]
    migrated = points.index("after COMMIT")
    chosen = [number for number in last_of_each(points) if number > migrated]
    chosen += [n for n, name in enumerate(points, 1) if name.endswith(("request", "getresponse"))]

    def check(build: Builder, point: int) -> None:
        points_, found = flushed(build, str(point), point)
        assert found == expected, points_[-1]

    side_by_side(tmp_path, sorted(set(chosen)), check)
