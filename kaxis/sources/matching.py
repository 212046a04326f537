"""Equal difficulty at every K: the margin at which a fixed probe reaches a wanted accuracy (ours)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from kaxis.errors import KaxisError
from kaxis.sources.teacher import Teacher

__all__ = ["TOLERANCE", "Probe", "matched"]

TOLERANCE = 0.02
"""How far from the wanted accuracy, normalised by chance, the probe may end."""

TRAIN, TEST, UNITS, RIDGE = 4_000, 2_000, 256, 1.0
STEP, EDGE = 0.0125, 0.8
"""Margins between the hardest fifth of every class and the easiest fifth are tried, in steps of 1.25 % of its
samples.
"""


def matched(teacher: Teacher, wanted: float, K: int) -> tuple[str, float, float]:
    """The margin (kind, quantile) at which the probe comes nearest to an accuracy, and what it reaches there.

    Difficulty is one line from ``below:0.2`` (the hardest fifth of each class) over ``any`` to ``above:0.8`` (the
    easiest); the probe's accuracy rises along it, so the nearest point is found by bisection.

    Raises
    ------
    KaxisError
        If the nearest is further away than `TOLERANCE`, with the range that can be reached.
    """
    levels = round(EDGE / STEP)
    probe = Probe(teacher, K)

    @lru_cache
    def reach(level: int) -> float:
        return probe.accuracy(*_margin(level))

    low, high = -levels, levels
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if reach(middle) < wanted else (low, middle)
    best = min((low, high), key=lambda level: abs(reach(level) - wanted))
    if abs(reach(best) - wanted) > TOLERANCE:
        raise KaxisError(
            f"margin 'match:{wanted:g}': K = {K} seed {teacher.seed} can reach {reach(-levels):.2f} to "
            f"{reach(levels):.2f}"
        )
    return *_margin(best), reach(best)


def _margin(level: int) -> tuple[str, float]:
    share = round(abs(level) * STEP, 6)
    return ("any", 0.0) if level == 0 else ("above", share) if level > 0 else ("below", round(1 - share, 6))


class Probe:
    """Ridge regression of the labels on 256 random ReLU features and the inputs, 4,000 training samples.

    Fixed, so that it measures the task and not a learner. Its samples are the teacher's pool, the same at every margin
    but for the choice.
    """

    def __init__(self, teacher: Teacher, K: int) -> None:
        x, self.fine, self.margin = teacher.pool
        self.teacher, self.K, self.y = teacher, K, teacher.view(self.fine)
        self.features = self.expand(x)

    @staticmethod
    def expand(x_ND: NDArray[np.float32]) -> NDArray[np.float64]:
        """Random ReLU features, the inputs, and a constant."""
        rng = np.random.default_rng(0)
        W = rng.standard_normal((x_ND.shape[1], UNITS)) / np.sqrt(x_ND.shape[1])
        hidden = np.maximum(x_ND.astype(np.float64) @ W + rng.standard_normal(UNITS) / 2, 0)
        return np.column_stack([hidden, x_ND, np.ones(len(x_ND))])

    def accuracy(self, kind: str, quantile: float) -> float:
        """Test accuracy as a share of the way from chance to 1, at one margin."""
        keep = np.ones(len(self.y), bool)
        if kind != "any":
            keep = (self.margin >= self.teacher.edges(quantile)[self.fine]) == (kind == "above")
        rows = np.flatnonzero(keep)
        if self.teacher.source.balance == "uniform":
            rows = self._equal_shares(rows)
        n = min(len(rows), TRAIN + TEST)
        train, test = np.split(rows[:n], [n * TRAIN // (TRAIN + TEST)])
        a, b = self.features[train], self.features[test]
        weights = np.linalg.solve(a.T @ a + RIDGE * np.eye(a.shape[1]), a.T @ np.eye(self.K)[self.y[train]])
        right = np.mean((b @ weights).argmax(1) == self.y[test])
        chance = np.mean(self.y[test] == np.bincount(self.y[train]).argmax())
        return float((right - chance) / (1 - chance)) if chance < 1 else 1.0

    def _equal_shares(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """As the task's own samples are: the first of each class in turn, as long as the rarest lasts."""
        by_class = [rows[self.y[rows] == k] for k in range(self.K)]
        least = min(map(len, by_class))
        return np.stack([own[:least] for own in by_class], axis=1).ravel()
