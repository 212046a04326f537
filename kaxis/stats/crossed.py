"""A mean over seeds and test samples at once: what it would be with other seeds *and* other samples.

Seeds cross samples: an image that is hard is hard for every seed. An interval over seeds alone takes the test set as
all there is; where seeds agree it says almost nothing of other images.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from kaxis.stats.intervals import check_interval, t_interval

__all__ = ["Crossed", "crossed"]

FEW = 4
"""Seeds from which on the interval over seeds and samples holds by itself; of fewer it covers too little where seeds
matter, so it is no shorter than that over seeds alone."""


class Crossed(NamedTuple):
    """The mean with its interval over seeds x samples, that over seeds alone, and where its variance comes from.

    `of_seeds`, `of_samples`, `of_rest`: parts of the variance of the mean, none below 0. NaN with one seed or sample.
    """

    mean: float
    lower: float
    upper: float
    seeds_lower: float
    seeds_upper: float
    of_seeds: float
    of_samples: float
    of_rest: float
    n_seeds: int
    n_samples: int


def crossed(values: ArrayLike, seeds: ArrayLike, samples: ArrayLike, prob: float = 0.95) -> Crossed:
    """Mean of numbers that have a seed and a sample each, with an interval over both.

    The variance components of a two-way random table, by moments that need not have every seed at every sample (Gao &
    Owen 2017, Electron. J. Statist. 11, 1235); never below what either way alone says; a t interval whose degrees of
    freedom are Satterthwaite's. Where no sample has two seeds (a test set of each seed's own) the seeds' own numbers
    hold both, and theirs is the interval.

    Parameters
    ----------
    values : array, shape (n,)
    seeds, samples : arrays of int, shape (n,)
        Whose number it is; a pair occurs once.
    prob : float

    Examples
    --------
    >>> c = crossed([1, 0, 1, 1, 0, 0, 1, 0], [0, 0, 0, 0, 1, 1, 1, 1], [0, 1, 2, 3, 0, 1, 2, 3])
    >>> c.mean, c.n_seeds, c.n_samples
    (0.5, 2, 4)
    """
    check_interval("t", prob)
    d = np.asarray(values, dtype=np.float64)
    _, s = np.unique(np.asarray(seeds), return_inverse=True)
    _, i = np.unique(np.asarray(samples), return_inverse=True)
    n, n_s, n_i = len(d), np.bincount(s), np.bincount(i)
    S, M, mean = len(n_s), len(n_i), float(d.mean()) if len(d) else math.nan
    own = np.bincount(s, d) / n_s if n else np.empty(0)
    alone = t_interval(own, prob)
    if S < 2 or M < 2:
        return Crossed(mean, math.nan, math.nan, *alone, math.nan, math.nan, math.nan, S, M)
    by_seed, by_sample = _clusters(d - mean, s), _clusters(d - mean, i)
    if n == M:
        variance, freedom, parts = by_seed, S - 1.0, (by_seed, 0.0, 0.0)
    elif n == S:  # one sample a seed: a seed's number is its sample's
        variance, freedom, parts = by_sample, M - 1.0, (0.0, by_sample, 0.0)
    else:
        parts = _parts(d, s, i, n_s, n_i)
        variance = max(sum(parts), by_seed, by_sample)
        known = by_seed**2 / (S - 1) + by_sample**2 / (M - 1)
        freedom = variance**2 / known if known else (S - 1.0) * (M - 1.0)
    half = float(stdtrit(max(1.0, freedom), (1 + prob) / 2)) * math.sqrt(variance)
    if S < FEW and alone[1] > alone[0]:
        half = max(half, (alone[1] - alone[0]) / 2)
    ends = (mean - half, mean + half) if variance else (math.nan, math.nan)
    return Crossed(mean, *ends, *alone, *parts, S, M)


def _clusters(e: NDArray[np.float64], group: NDArray[np.int64]) -> float:
    """Variance of the mean of deviations that hang together in groups."""
    sums = np.bincount(group, e)
    return float((sums**2).sum() / len(e) ** 2 * len(sums) / (len(sums) - 1))


def _parts(
    d: NDArray[np.float64],
    s: NDArray[np.int64],
    i: NDArray[np.int64],
    n_s: NDArray[np.int64],
    n_i: NDArray[np.int64],
) -> tuple[float, float, float]:
    """Of the variance of the mean: seeds', samples', the rest's; from squares within seeds, within samples, of all."""
    n, S, M = len(d), len(n_s), len(n_i)
    within_seeds = float((d**2).sum() - (np.bincount(s, d) ** 2 / n_s).sum())
    within_samples = float((d**2).sum() - (np.bincount(i, d) ** 2 / n_i).sum())
    of_all = float(n * (d**2).sum() - d.sum() ** 2)
    a, b = float((n_s**2.0).sum()), float((n_i**2.0).sum())
    left = np.array([[0.0, n - S, n - S], [n - M, 0.0, n - M], [n**2 - a, n**2 - b, n**2 - n]])
    found = np.linalg.solve(left, np.array([within_seeds, within_samples, of_all]))
    seeds, samples, rest = np.maximum(found, 0) * np.array([a, b, n]) / n**2
    return float(seeds), float(samples), float(rest)
