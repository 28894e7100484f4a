"""What Prometheus is told: of a real service, and of names that the world made up."""

import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path

import pytest
from mails import hard
from test_service import CONFIG, Service, serving

from bouncesink.engine import Outcome
from bouncesink.ledger import ArrivalState, Ledger, Settlement, open_ledger
from bouncesink.model import (
    Action,
    ActionKind,
    ActionState,
    Arrival,
    Category,
    DsnAction,
    Event,
    Kind,
    Notice,
    Report,
    Verdict,
)
from bouncesink.provider import PROVIDERS
from bouncesink.reader import Reading
from bouncesink.service.metrics import MOST_NAMES, Metrics

NOW = datetime(2026, 3, 2, tzinfo=UTC)
WEB = '[web]\nlisten = "127.0.0.1:0"\n'


def values(text: str) -> dict[str, float]:
    """Each series by its name and labels."""
    lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in lines}


def get(service: Service, port: int, path: str) -> tuple[int, str]:
    with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def test_a_service_tells_how_it_goes(tmp_path: Path) -> None:
    (tmp_path / "lead_details.csv").write_text("LEAD ID,EMAIL\n1,lead@example.org\n")
    with serving(tmp_path, CONFIG + WEB) as service:
        port = int(service.wait_for("web.listening")["on"].rpartition(":")[2])
        service.send(hard())
        read = service.wait_for("arrival.read")
        service.wait_for("sheet.flushed")
        assert get(service, port, "/healthz")[0] == 200
        assert get(service, port, "/readyz")[0] == 200
        found = values(get(service, port, "/metrics")[1])
        assert service.stop() == 0
    assert read["ms"] >= read["read_ms"] > 0
    assert read["record_ms"] > 0
    expected = {
        "bouncesink_lmtp_accepted_total": 1,
        'bouncesink_arrivals_total{kind="failure"}': 1,
        'bouncesink_parsed_total{recognizer="rfc3464"}': 1,
        'bouncesink_verdicts_total{category="user_unknown",severity="HARD"}': 1,
        'bouncesink_provider_verdicts_total{provider="other",severity="HARD"}': 1,
        "bouncesink_commit_seconds_count": 1,
        "bouncesink_commit_arrivals_sum": 1,
        "bouncesink_read_seconds_count": 1,
        "bouncesink_arrival_delay_seconds_count": 1,
        "bouncesink_arrivals_pending": 0,
        "bouncesink_drain_lag_seconds": 0,
        "bouncesink_addresses_suppressed": 1,
        "bouncesink_leads": 1,
        "bouncesink_ready": 1,
        "bouncesink_ledger_up": 1,
        'bouncesink_queue_depth{kind="smartlead_removal",state="pending"}': 1,
        'bouncesink_http_requests_total{method="GET",route="/readyz",status="200"}': 1,
    }
    assert {name: found.get(name) for name in expected} == expected
    assert found['bouncesink_flush_seconds_count{outcome="done"}'] >= 1
    assert found["bouncesink_flush_last_success_timestamp_seconds"] > 1.7e9
    assert found["bouncesink_ledger_size_bytes"] > 10_000
    assert (
        found['bouncesink_queue_oldest_age_seconds{kind="smartlead_removal",state="pending"}'] > 0
    )


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(open_ledger(tmp_path / "x.db")) as ledger:
        yield ledger


def test_the_ledger_is_asked_when_the_figures_are(ledger: Ledger, tmp_path: Path) -> None:
    metrics = Metrics(tmp_path / "x.db")
    ledger.append([Arrival("1", "lmtp", "", "", NOW, b"x")])
    kind = ActionKind.WEBHOOK
    ledger.add_actions([Action("a", kind, NOW), Action("b", kind, NOW)])
    ledger.move_action("a", (ActionState.PENDING,), ActionState.FAILED, at=NOW, error="gone")
    found = values(metrics.text(ledger).decode())
    assert found["bouncesink_arrivals_pending"] == 1
    assert found["bouncesink_drain_lag_seconds"] > 1e6
    assert found["bouncesink_dead_letters"] == 1
    assert found['bouncesink_queue_depth{kind="webhook",state="failed"}'] == 1
    assert found['bouncesink_queue_depth{kind="webhook",state="pending"}'] == 1


def test_without_a_ledger_the_rest_is_told(tmp_path: Path) -> None:
    metrics = Metrics(tmp_path / "none.db")
    metrics.observers.committed(0, 0.1, False)
    found = values(metrics.text(None).decode())
    assert found["bouncesink_ledger_up"] == 0
    assert found["bouncesink_commit_failures_total"] == 1


def test_no_name_of_the_world_becomes_a_label(tmp_path: Path) -> None:
    metrics = Metrics(tmp_path / "none.db")
    for number in range(3 * MOST_NAMES):
        metrics.observers.read(outcome(f"{number}.example.net", f"reader-{number}"))
    text = metrics.text(None).decode()
    assert "example.net" not in text
    providers = set(re.findall(r'provider="([^"]*)"', text))
    assert providers <= set(PROVIDERS)
    assert len(re.findall(r"bouncesink_parsed_total\{", text)) == MOST_NAMES + 1
    assert values(text)['bouncesink_parsed_total{recognizer="other"}'] == 2 * MOST_NAMES


def outcome(domain: str, recognizer: str) -> Outcome:
    address = f"x@{domain}"
    notice = Notice(Kind.FAILURE, recognizer, "id")
    verdict = Verdict(Category.USER_UNKNOWN, "rule")
    report = Report(address, DsnAction.FAILED, recognizer, remote_mta=f"mx.{domain}")
    event = Event("1", Kind.FAILURE, address, NOW, NOW, "lmtp", report=report, verdict=verdict)
    return Outcome(
        Arrival("1", "lmtp", "", "", NOW, b""),
        Reading(notice, (verdict,), verdict),
        Settlement("1", ArrivalState.DONE, Kind.FAILURE, recognizer, "id"),
        (event,),
    )
