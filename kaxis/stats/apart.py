"""The means of two groups of seeds of which some may have the same number: Welch's way, or paired where it must be."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xarray as xr

from kaxis.stats.arrays import Estimate, estimate, seed_correlation
from kaxis.stats.models import Welch, welch

__all__ = ["AGAINST", "Apart", "apart_means"]

AGAINST = -0.3
"""Correlation of the legs' slopes over seeds of one number from which on they run against each other. Welch's interval
covers .87 to .90 at correlations of -.7 to -.5, whatever n; the paired interval from here on and Welch's above cover
.94 to .97 (40,000 simulated studies of 5 and 10 seeds, correlations from -.7 to 0)."""


class Apart(NamedTuple):
    """The second leg's mean minus the first's, by the interval that counts, with both that could."""

    difference: float
    lower: float
    upper: float
    p: float
    n_pairs: int
    r: float
    welch: Welch
    paired: Estimate


def apart_means(first: xr.DataArray, second: xr.DataArray, prob: float) -> Apart:
    """Of one number a seed of either leg: Welch's way, but paired where seeds of one number run against each other.

    Pairs need the same seeds in both legs: a few in common tell little of how they hang together, and no seed is to be
    left out by what they tell.
    """
    apart = welch(second.values, first.values, prob)
    both = _of_common_seeds(first, second)
    matched, r = estimate(both[:, 1] - both[:, 0], prob), seed_correlation(both)
    if r <= AGAINST and len(both) == first.size == second.size:
        return Apart(matched.mean, matched.lower, matched.upper, matched.p, len(both), r, apart, matched)
    return Apart(apart.difference, apart.lower, apart.upper, apart.p, 0, r, apart, matched)


def _of_common_seeds(*legs: xr.DataArray) -> np.ndarray:
    """Numbers of both legs over the seed numbers that both have, shape (seeds, 2)."""
    by_seed = [dict(zip(leg.seed.values.tolist(), leg.values, strict=True)) for leg in legs]
    common = [seed for seed in by_seed[0] if seed in by_seed[1]]
    return np.array([[leg[seed] for leg in by_seed] for seed in common]).reshape(-1, 2)
