"""Coverage-guided fuzzing of parse(), for who has atheris: `python tests/fuzz/atheris_parse.py`.

Further arguments go to libFuzzer, as in `-max_total_time=600 CORPUS_FOLDER`.
"""

import sys
from datetime import UTC, datetime

import atheris

with atheris.instrument_imports(include=["bouncesink"]):
    from bouncesink.model import Arrival
    from bouncesink.parse import parse, warm_up

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def one(data: bytes) -> None:
    notice = parse(Arrival("", "fuzz", "", "", NOW, data))
    if any("Error" in each for each in notice.damage):
        raise RuntimeError(notice.damage)


if __name__ == "__main__":
    warm_up()
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
