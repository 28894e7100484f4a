"""What is done to a ledger while a service takes mail in."""

from pathlib import Path

import pytest
from commands import Run
from mails import hard
from test_service import serving

pytestmark = pytest.mark.e2e


def test_it_goes_beside_a_service_that_takes_mail_in(run: Run, tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        ledger = ("--config", "c.toml")
        service.send(hard())
        service.wait_for("arrival.read")
        assert run("backup", "b.db", *ledger).code == 0
        service.send(hard(2, 2))
        service.wait_for("arrival.read")
        for words in (("verify",), ("maintain",), ("forget", "x@example.org", "--reason", "r")):
            result = run(*words, *ledger)
            assert result.code == 0, (words, result)
        service.send(hard(3, 3))
        service.wait_for("arrival.read")
        refused = run("restore", "b.db", "--replace", *ledger)
        assert (refused.code, "serves this ledger" in refused.err) == (3, True)
        assert service.stop() == 0
    assert run("restore", "b.db", "--replace", *ledger).code == 0
    assert run("verify", *ledger).out == "x.db: is whole: 1 mail, 1 event, 1 address.\n"
