"""Ties: what is equal in whole samples is equal, whatever floats make of it."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from kaxis.stats.arrays import estimate
from kaxis.stats.multiplicity import max_t_p
from tests.helpers import Cli
from tests.stats.tables import write_table


def exact_p(d: list[Fraction] | list[int]) -> float:
    """The sign-flip test in whole numbers."""
    edge = abs(sum(d))
    flips = list(itertools.product((1, -1), repeat=len(d)))
    return sum(abs(sum(s * v for s, v in zip(signs, d, strict=True))) >= edge for signs in flips) / len(flips)


SEEDS = st.lists(st.tuples(st.integers(0, 50_000), st.integers(-5, 5)), min_size=2, max_size=8)
FOUND = [30249, 30396, 45868, 47911, 38316, 53926, 39489, 55480, 51049]


@given(SEEDS, st.sampled_from([200, 10_000, 60_000]))
@example(list(zip(FOUND, [1, 2, 1, 1, 1, 1, 0, -1, 4], strict=True)), 60_000)
def test_the_test_of_accuracies_is_that_of_their_samples(seeds: list[tuple[int, int]], n: int) -> None:
    baseline = [min(right, n - 5) for right, _ in seeds]
    apart = [more if right + more >= 0 else 0 for right, (_, more) in zip(baseline, seeds, strict=True)]
    d = [100 * ((right + more) / n - right / n) for right, more in zip(baseline, apart, strict=True)]
    e = estimate(d)
    assert e.p == (exact_p(apart) if any(apart) else 1.0)
    assert e.wins == sum(more > 0 for more in apart)


@given(SEEDS)
def test_a_contrast_that_cancels_is_no_win(seeds: list[tuple[int, int]]) -> None:
    """High minus low K, with the same difference at both: 0 in whole samples."""
    low, high = (np.array([right + at for right, _ in seeds]) for at in (0, 1_000))
    more = np.array([5 + m for _, m in seeds])
    d = 100 * ((high + more) / 60_000 - high / 60_000) - 100 * ((low + more) / 60_000 - low / 60_000)
    e = estimate(d)
    assert (e.mean, e.wins, e.p) == (0.0, 0, 1.0)
    assert max_t_p(np.column_stack([d, d])).tolist() == [1.0, 1.0]


def test_equal_gaps_are_no_evidence(tmp_path: Path, cli: Cli) -> None:
    rng = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    for seed, K, learner in itertools.product(range(8), (5, 10, 20), "AB"):
        test = round(float(rng.uniform(0.3, 0.7)), 4)
        rows.append(
            {"K": K, "learner": learner, "seed": seed, "accuracy": test, "train_accuracy": round(test + 0.1, 4)}
        )
    file = write_table(tmp_path / "t.csv", rows)
    code, out, _ = cli("analyze", "gap", file, "--baseline", "A", "--markdown")
    assert code == 0
    lines = [[cell.strip() for cell in line.split("|")] for line in out.splitlines() if line.startswith("| t ")]
    assert [(line[6], line[8]) for line in lines] == [("+0.00", "1")] * 3
