"""What predicting costs along K: learners that try every label against one that has a head on every layer.

    python benchmarks/labels.py        # about a minute

Ratios of the time to predict 512 samples (MLP, 4 x 128 units, 256 inputs) to that of BP-DeepSup at K = 10, both timed in this run, alternating; medians of
11 rounds. Trying every label grows with K, but for the first layer.
"""

from __future__ import annotations

import statistics
import time

import torch

from kaxis.leg import Leg
from kaxis.nets.mlp import MLPStack
from kaxis.rules import RULES
from kaxis.train.rule import Start

INPUTS, WIDTH, DEPTH, ROUNDS = 256, 128, 4, 11
LEARNERS = ("bp_deepsup", "dtg_ff", "ff_hybrid", "ff")


def predictor(name: str, K: int, x: torch.Tensor):  # type: ignore[no-untyped-def]
    if name in RULES:
        rule = RULES[name]
        module = rule.build(Start(0, 0, K, INPUTS, WIDTH, DEPTH, "cpu"), **rule.settings).eval()
        return lambda: module.logits(x)
    learner = Leg.of({"source": "synthetic", "K": K, "learners": name}).cells()[0].config["learner"]
    net = MLPStack([(0, 0)], K=K, inputs=INPUTS, width=WIDTH, depth=DEPTH, learner=learner)
    return lambda: net.logits(x[None])


def seconds(run, repeats: int) -> float:  # type: ignore[no-untyped-def]
    start = time.perf_counter()
    for _ in range(repeats):
        run()
    return (time.perf_counter() - start) / repeats


@torch.no_grad()
def main() -> None:
    torch.set_num_threads(1)
    x = torch.randn(512, INPUTS)
    runs = {(name, K): predictor(name, K, x) for name in LEARNERS for K in (10, 50, 200)}
    times: dict[tuple[str, int], list[float]] = {key: [] for key in runs}
    for run in runs.values():
        run()
    for i in range(ROUNDS):
        for key in list(runs)[:: -1 if i % 2 else 1]:
            times[key].append(seconds(runs[key], 5))
    base = statistics.median(times["bp_deepsup", 10])
    print("| learner | K = 10 | K = 50 | K = 200 |\n|---|---|---|---|")
    for name in LEARNERS:
        print(
            f"| {name} | " + " | ".join(f"{statistics.median(times[name, K]) / base:.2f}" for K in (10, 50, 200)) + " |"
        )


if __name__ == "__main__":
    main()
