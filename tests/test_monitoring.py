"""What deploy/ watches is there: every metric that the rules, the dashboard and the guide name."""

import json
import re
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bouncesink.ledger import open_ledger
from bouncesink.model import Arrival
from bouncesink.service.health import Health
from bouncesink.service.metrics import Metrics

DEPLOY = Path(__file__).parents[1] / "deploy"
ENDS = ("_bucket", "_count", "_sum")
NAME = re.compile(r"\b(?:bouncesink|process)_\w+")


class Lmtp:
    def __init__(self) -> None:
        self.accepted = 1
        self.refused = Counter({"550 5.1.1": 1})
        self.connections = 1


@pytest.fixture
def families(tmp_path: Path) -> dict[str, str]:
    """The type of each family that can be exported, by its name."""
    path = tmp_path / "x.db"
    now = datetime.now(UTC)
    with closing(open_ledger(path)) as ledger:
        ledger.append([Arrival("1", "lmtp", "", "", now, b"x")])
        ledger.put_beat("sheet", now)
        metrics = Metrics(path)
        metrics.watch(Lmtp(), Health())
        text = metrics.text(ledger).decode()
    return dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))


def series(families: dict[str, str]) -> set[str]:
    parts = [f"{n}{end}" for n, t in families.items() if t == "histogram" for end in ENDS]
    return {*families, *parts}


def expressions() -> list[str]:
    board: dict[str, Any] = json.loads((DEPLOY / "grafana" / "bouncesink.json").read_text())
    return [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]


def test_the_dashboard_shows_what_there_is(families: dict[str, str]) -> None:
    found = expressions()
    assert len(found) > 30
    assert {name for each in found for name in NAME.findall(each)} <= series(families)


def test_the_rules_are_about_what_there_is(families: dict[str, str]) -> None:
    text = (DEPLOY / "prometheus" / "bouncesink.rules.yml").read_text()
    names = set(NAME.findall(text))
    assert len(names) >= 10
    assert names <= series(families)


def test_the_guide_tells_of_all_and_of_nothing_else(families: dict[str, str]) -> None:
    text = (DEPLOY / "monitoring.md").read_text()
    told = set(NAME.findall(text))
    ours = {name for name in families if name.startswith("bouncesink_")}
    assert ours - told == set()
    assert told - series(families) == set()


def test_panels_of_the_dashboard_do_not_overlap() -> None:
    board = json.loads((DEPLOY / "grafana" / "bouncesink.json").read_text())
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        assert all(x < 24 for x, _ in cells)
        taken |= cells
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
