"""Write the golden results of samples/ anew: `python tests/regenerate_samples.py [NAME...]`.

Only on purpose, and with your own eyes on `git diff samples` afterwards: a golden file says what is
true of its mail, not what the reader happens to say today.
"""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bouncesink.classify import Rules, load_rules
from bouncesink.cli.reading import reading_as_json
from bouncesink.identity import arrival_id
from bouncesink.model import Arrival
from bouncesink.parse import Options
from bouncesink.reader import read

SAMPLES = Path(__file__).parent.parent / "samples"
RECEIVED = datetime(2026, 6, 1, 12, tzinfo=UTC)


def reading_of(name: str, raw: bytes, rules: Rules) -> dict[str, Any]:
    """Give the line of `bouncesink parse --json` for a mail, as a value."""
    arrival = Arrival(arrival_id(raw, ""), "replay", "", "", RECEIVED, raw)
    return json.loads(json.dumps(reading_as_json(name, read(arrival, Options(), rules))))


def written(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def main(names: list[str]) -> None:
    rules = load_rules(None)
    for path in sorted(SAMPLES.glob("*.eml")):
        if names and path.stem not in names:
            continue
        golden = path.with_suffix(".json")
        text = written(reading_of(path.name, path.read_bytes(), rules))
        path.with_suffix(".actual.json").unlink(missing_ok=True)
        if not golden.exists() or golden.read_text("utf-8") != text:
            golden.write_text(text, "utf-8")
            print(golden.name)


if __name__ == "__main__":
    main(sys.argv[1:])
