"""What predicting costs along K: learners that try every label against those that have heads.

    python benchmarks/labels.py        # two minutes

Ratios of the time to predict one test batch, both sides timed in this run, alternating; medians. MLP (4 x 128 units,
256 inputs) beside BP-DeepSup at the same K and at K = 10; VGG8 (a quarter of the channels) beside itself at K = 10.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

from kaxis.measure.subject import subjects
from kaxis.train.precision import cpu_matmul, one_thread

ROUNDS, CLASSES = 11, (10, 50, 200)
MLP = ("bp_deepsup", "dtg_ff", "ff_hybrid", "ff")


def predictor(learner: str, K: int, **options: Any) -> Callable[[], object]:
    *_, subject = subjects(learners=[learner], K=K, **options)
    stack = subject.stack("cpu", steps=1)
    return lambda: list(stack.evaluate("test"))


def medians(runs: Mapping[Any, Callable[[], object]], rounds: int) -> dict[Any, float]:
    times: dict[Any, list[float]] = {key: [] for key in runs}
    for run in runs.values():
        run()
    for i in range(rounds):
        for key in list(runs)[:: -1 if i % 2 else 1]:
            start = time.perf_counter()
            runs[key]()
            times[key].append(time.perf_counter() - start)
    return {key: statistics.median(own) for key, own in times.items()}


def main() -> None:
    with one_thread(), cpu_matmul():
        mlp = medians({(name, K): predictor(name, K, net="mlp") for name in MLP for K in CLASSES}, ROUNDS)
        few = {K: predictor("dtg_ff", K, net="vgg8", width=0.25) for K in CLASSES}
        vgg = medians(few, 7)
    print("| learner | " + " | ".join(f"K = {K}" for K in CLASSES) + " |\n|---|---|---|---|")
    for name in MLP:
        own = [
            f"{mlp[name, K] / mlp['bp_deepsup', 10]:.2f} ({mlp[name, K] / mlp['bp_deepsup', K]:.2f})" for K in CLASSES
        ]
        print(f"| mlp, {name}: over BP-DeepSup at K = 10 (at the same K) | " + " | ".join(own) + " |")
    print("| vgg8, dtg_ff: over itself at K = 10 | " + " | ".join(f"{vgg[K] / vgg[10]:.2f}" for K in CLASSES) + " |")


if __name__ == "__main__":
    main()
