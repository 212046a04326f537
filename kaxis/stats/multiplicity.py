"""Several questions at once: adjusted p-values and simultaneous bands for one number per (seed, K), seeds shared."""

from __future__ import annotations

import itertools
import math
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kaxis.stats.arrays import flipped_sums
from kaxis.stats.intervals import constant, settled

__all__ = ["correlation", "holm", "max_t_p", "simultaneous_band"]

DRAWS = 40_000

EXACT_MAX_T = 12
MAX_T_FLIPS = 9_999


def holm(p: ArrayLike) -> NDArray[np.float64]:
    """Holm's step-down adjusted p-values; NaN stay NaN and are no members of the family (Holm 1979).

    Written out, and compared with statsmodels in the tests: importing that costs more than a whole analysis.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    values = np.asarray(p, dtype=np.float64)
    out = np.full(values.shape, np.nan)
    there = np.flatnonzero(np.isfinite(values))
    order = there[np.argsort(values[there], kind="stable")]
    stepped = np.arange(len(order), 0, -1) * values[order]
    out[order] = np.minimum(1.0, np.maximum.accumulate(stepped))
    return out


def max_t_p(d_SK: ArrayLike) -> NDArray[np.float64]:
    """Family-wise p-values by the largest |t| over K under sign flips that a seed's effects share (Westfall & Young
    1993, single step).

    A seed's whole row is flipped at once, so the correlation of effects between K is kept: less strict than Holm where
    they move together. No p is below 2 / 2^n. All 2^n patterns up to n = 12, 9,999 random ones of the sorted rows
    beyond, so that the order of the seeds does not matter.

    Parameters
    ----------
    d_SK : array, shape (seeds, K)
        Complete.

    Returns
    -------
    array, shape (K,)
    """
    d = _complete(d_SK)
    n = len(d)
    squares = (d**2).sum(0)  # no flip changes them
    if n <= EXACT_MAX_T:
        mean = np.array(list(itertools.product((1.0, -1.0), repeat=n))) @ d / n
    else:
        mean = np.concatenate([d.sum(0)[None], flipped_sums(d[np.lexsort(d.T)], MAX_T_FLIPS)]) / n
    variance = (squares / n - mean**2) / (n - 1)
    noise = 1e-12 * squares.max(initial=0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(variance > noise, np.abs(mean) / np.sqrt(variance), np.where(mean**2 > noise, np.inf, 0.0))
    observed, largest = t[0], t.max(1)
    with np.errstate(invalid="ignore"):
        edge = np.where(np.isfinite(observed), observed - 1e-9 * (1 + observed), observed)
    return np.asarray((largest[:, None] >= edge).mean(0))


def simultaneous_band(
    d_SK: ArrayLike, prob: float = 0.95, *, draws: int = DRAWS
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A band that holds all K means at once with probability `prob`: mean +- c se, c the quantile of the largest |t|.

    c is that of n normal seeds with the effects' own correlation, shrunk towards 0 as n seeds allow (Schaefer &
    Strimmer 2005), each K divided by its own standard deviation, by draws from a fixed generator. A multivariate t,
    whose K share one chi-square (Hothorn, Bretz & Westfall 2008), covers .93 to .94 at five seeds. NaN at a K whose
    seeds are constant.

    Parameters
    ----------
    d_SK : array, shape (seeds, K)
        Complete.
    prob : float
    draws : int

    Returns
    -------
    lower, upper : arrays, shape (K,)
    """
    d = _complete(d_SK)
    n = len(d)
    mean, sd = d.mean(0), d.std(0, ddof=1)
    moving = np.array([not constant(column) for column in d.T])
    df = n - 1
    values, vectors = np.linalg.eigh(correlation(d[:, moving]))
    L = vectors * np.sqrt(np.maximum(values, 0))
    factor, normal = _band_draws(draws, df, len(L))
    squares = np.zeros((len(L), draws))
    for i, row in enumerate(factor):  # upper triangular; by einsum, since a product of so few rows leaves BLAS idle
        squares += np.einsum("jk,kd->jd", L[:, i:], row[i:]) ** 2
    largest = np.abs(np.einsum("jk,kd->jd", L, normal) / np.sqrt(squares / df)).max(0, initial=0.0)
    reach = np.where(moving, float(np.quantile(largest, prob)) * sd / math.sqrt(n), np.nan)
    return mean - reach, mean + reach


@lru_cache(maxsize=4)
def _band_draws(draws: int, df: int, K: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of uncorrelated seeds the factor of their squares and products, (rows, K, draws), and their means, (K, draws).

    Bartlett's decomposition: as many rows as K, however many the seeds. The same numbers for every source of one size.
    """
    rng, m = np.random.default_rng(0), min(df, K)
    factor = np.triu(rng.standard_normal((draws, m, K)), 1)
    for i in range(m):
        factor[:, i, i] = np.sqrt(rng.chisquare(df - i, draws))
    return np.ascontiguousarray(factor.transpose(1, 2, 0)), np.ascontiguousarray(rng.standard_normal((draws, K)).T)


def _complete(d_SK: ArrayLike) -> NDArray[np.float64]:
    d = np.asarray(d_SK, dtype=np.float64)
    if d.ndim != 2 or d.shape[0] < 2 or not np.isfinite(d).all():
        raise ValueError(f"a complete table (seeds, K) with 2 seeds or more is wanted, got shape {d.shape}")
    return settled(d)


def correlation(d: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correlation between columns, off-diagonals shrunk by the estimated variance over the square."""
    n, K = d.shape
    sd = d.std(0, ddof=1)
    z = (d - d.mean(0)) / np.where(sd > 0, sd, 1.0)
    products = z[:, :, None] * z[:, None, :]
    r = products.sum(0) / (n - 1)
    variance = n / (n - 1) ** 3 * ((products - products.mean(0)) ** 2).sum(0)
    off = ~np.eye(K, dtype=bool)
    size = (r[off] ** 2).sum()
    weight = 1.0 if size == 0 else min(1.0, max(0.0, variance[off].sum() / size))
    return np.where(off, (1 - weight) * r, 1.0)
