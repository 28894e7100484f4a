"""Feed mutated mails to parse() and say what came of it; needs nothing but bouncesink.

    python tests/fuzz/drive.py [--seconds 30] [--seed 1] [SEEDS...]

SEEDS are mails or folders of mails, by default tests/data and samples. Exit code 1 when parse()
raised or a case took longer than the time limit; such cases are saved in --save.
"""

import argparse
import random
import resource
import sys
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path

from mutate import mutate

from bouncesink.classify import load_rules
from bouncesink.config import ParseConfig
from bouncesink.identity import arrival_id
from bouncesink.model import Arrival
from bouncesink.parse import Options, warm_up
from bouncesink.reader import read

ROOT = Path(__file__).parents[2]


def seeds_of(paths: list[Path]) -> list[bytes]:
    files = [f for p in paths for f in (sorted(p.rglob("*.eml")) if p.is_dir() else [p])]
    return [file.read_bytes() for file in files]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save", type=Path)
    parser.add_argument("seeds", nargs="*", type=Path)
    arguments = parser.parse_args()
    seeds = seeds_of(arguments.seeds or [ROOT / "tests" / "data", ROOT / "samples"])
    rng, rules, now = random.Random(arguments.seed), load_rules(), datetime.now(UTC)
    limit = ParseConfig().time_limit
    warm_up()
    cases = exceptions = overruns = damaged = 0
    slowest = 0.0
    until = time.monotonic() + arguments.seconds
    while time.monotonic() < until:
        raw = mutate(rng, seeds)
        arrival = Arrival(arrival_id(raw, ""), "fuzz", "", "", now, raw)
        start = time.process_time()
        bad = False
        try:
            notice = read(arrival, Options(), rules).notice
            damaged += any("Error" in each for each in notice.damage)
            bad = any("Error" in each for each in notice.damage)
        except Exception:
            traceback.print_exc()
            exceptions += 1
            bad = True
        taken = time.process_time() - start
        overruns += taken > limit
        slowest = max(slowest, taken)
        cases += 1
        if arguments.save and (bad or taken > limit / 4):
            arguments.save.mkdir(parents=True, exist_ok=True)
            (arguments.save / f"{arrival.id[:16]}.eml").write_bytes(raw)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"seed {arguments.seed}: {cases} cases of {len(seeds)} seeds, {exceptions} exceptions, "
        f"{damaged} failures inside, {overruns} over {limit:g} s, slowest {slowest:.3f} s, "
        f"peak memory {peak:.0f} MB"
    )
    return 1 if exceptions or overruns else 0


if __name__ == "__main__":
    sys.exit(main())
