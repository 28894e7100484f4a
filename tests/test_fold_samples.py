"""Profile `rfc5321` on every sample: each failed 5yz is HARD, each failed 4yz SOFT, to the letter."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from bouncesink.classify import load_rules
from bouncesink.config import Policy
from bouncesink.fold import effective
from bouncesink.identity import arrival_id
from bouncesink.model import Arrival, DsnAction, Event, Kind, Severity
from bouncesink.parse import Options
from bouncesink.reader import read

SAMPLES = Path(__file__).parent.parent / "samples"
NOW = datetime(2026, 3, 1, tzinfo=UTC)
LETTER = Policy(profile="rfc5321")


def told():
    """Give what each report of each sample says: its file, class, verdict and kind."""
    rules = load_rules(None)
    for path in sorted(SAMPLES.glob("*.eml")):
        raw = path.read_bytes()
        reading = read(Arrival(arrival_id(raw, ""), "file", "", "", NOW, raw), Options(), rules)
        for report, verdict in zip(reading.notice.reports, reading.verdicts, strict=True):
            code = report.status or str(report.reply_code or "")
            yield path.name, code[:1], report, verdict, reading.notice.kind


def test_the_letter_holds_on_all_samples():
    wanted = {"5": Severity.HARD, "4": Severity.SOFT}
    seen = Counter()
    for name, first, report, verdict, kind in told():
        event = Event(
            "x", kind, "lead@example.com", NOW, NOW, "test", report=report, verdict=verdict
        )
        counted = effective(event, LETTER)
        if verdict.severity is Severity.NONE or report.action is not DsnAction.FAILED:
            assert counted is verdict.severity, name
        elif first in wanted:
            assert counted is wanted[first], name
            seen[kind, first] += 1
        else:
            assert counted is verdict.severity, name
    assert seen[Kind.FAILURE, "5"] > 20
    assert seen[Kind.FAILURE, "4"] > 0
