"""Mails a second in one process: read and classified, against flufl.bounce and the stdlib.

    python tests/bench/parse.py FOLDER [--passes N]

flufl.bounce finds addresses only; `email` only parses. The passes are interleaved, so that a busy
machine is unkind to all alike; the figures are medians of processor time.
"""

import argparse
import email
import logging
import statistics
import time
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from bouncesink.classify import load_rules
from bouncesink.model import Arrival
from bouncesink.parse import Options, mime, parse, warm_up
from bouncesink.reader import read


def contenders(mails: list[bytes]) -> dict[str, Callable[[], None]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from flufl.bounce import all_failures
    warm_up()
    rules, options, now = load_rules(), Options(), datetime.now(UTC)
    arrivals = [Arrival("", "file", "", "", now, raw) for raw in mails]

    def bouncesink() -> None:
        mime._known_shape.cache_clear()
        for arrival in arrivals:
            read(arrival, options, rules)

    def parse_only() -> None:
        mime._known_shape.cache_clear()
        for arrival in arrivals:
            parse(arrival, options)

    def flufl() -> None:
        for raw in mails:
            try:
                all_failures(email.message_from_bytes(raw))
            except Exception:
                continue

    def stdlib() -> None:
        for raw in mails:
            email.message_from_bytes(raw)

    return {
        "bouncesink": bouncesink,
        "  parse only": parse_only,
        "flufl.bounce": flufl,
        "stdlib email": stdlib,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--passes", type=int, default=15)
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    mails = [path.read_bytes() for path in sorted(arguments.folder.iterdir()) if path.is_file()]
    runs = contenders(mails)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(arguments.passes + 1):
        for name, run in runs.items():
            start = time.process_time()
            run()
            times[name].append(time.process_time() - start)
    medians = {name: statistics.median(taken[1:]) for name, taken in times.items()}
    print(f"{len(mails)} mails, median of {arguments.passes} passes")
    for name, median in medians.items():
        ratio = medians["flufl.bounce"] / median
        rate = len(mails) / median
        print(f"{name:14} {rate:8.0f} mails/s  {median / len(mails) * 1e6:6.0f} us  {ratio:5.2f} x")


if __name__ == "__main__":
    main()
