"""Verdicts a second over the table of real-world replies: one pass, against one rule after another."""

import statistics
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

from bouncesink.classify import classify_text, load_rules
from bouncesink.classify.facts import fold_text

ROUNDS = 7


def measure(work: Callable[[str], object], texts: list[str]) -> float:
    begin = time.perf_counter()
    for text in texts:
        work(text)
    return len(texts) / (time.perf_counter() - begin)


def main() -> None:
    table = tomllib.loads((Path(__file__).parents[1] / "data/replies.toml").read_text("utf-8"))
    texts = [entry for entries in table.values() for entry in entries if isinstance(entry, str)]
    begin = time.perf_counter()
    rules = load_rules()
    print(f"{len(list(rules))} rules loaded in {time.perf_counter() - begin:.3f} s")
    works: dict[str, Callable[[str], object]] = {
        "verdict": lambda text: classify_text(text, rules),
        "one pass": lambda text: rules._texts.hits(fold_text(text)),
        "one by one": lambda text: rules._texts._one_by_one(fold_text(text)),
    }
    first = {name: measure(work, texts) for name, work in works.items()}
    figures: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(ROUNDS):
        for name, work in works.items():
            figures[name].append(measure(work, texts))
    for name, values in figures.items():
        print(f"{name:12} {statistics.median(values):9.0f} a second (cold: {first[name]:.0f})")
    one_pass, peer = (statistics.median(figures[name]) for name in ("one pass", "one by one"))
    print(f"one pass / one by one: {one_pass / peer:.1f}")


if __name__ == "__main__":
    main()
