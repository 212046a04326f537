"""Intervals of the mean of one number per seed, by name: Student's t and three bootstraps.

What each really covers at few seeds is in `docs/statistics.md` and, for a study's own n, in `kaxis analyze coverage`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import scipy.stats
from numpy.typing import ArrayLike, NDArray

from kaxis.errors import KaxisError, hint
from kaxis.stats.arrays import _finite, bootstrap_interval, constant, t_interval

__all__ = ["KINDS", "bca_interval", "interval", "studentized_interval"]

RESAMPLES = 9_999


def studentized_interval(d: ArrayLike, prob: float = 0.95) -> tuple[float, float]:
    """Bootstrap-t interval: the quantiles of (mean* - mean) / se* over resamples of seeds replace Student's.

    All n^n resamples up to n = 6, 9,999 random ones of the sorted values beyond, so that the order of seeds cannot matter.
    Holds its coverage for skewed numbers better than t does, at the price of longer, less stable intervals
    (Efron & Tibshirani 1993, section 12.5).

    Examples
    --------
    >>> low, high = studentized_interval([0.1, 0.4, 0.5, 0.7, 2.0])
    >>> low < 0.74 < high
    True
    """
    values = np.sort(_finite(d))
    n = len(values)
    if n < 2:
        return math.nan, math.nan
    if constant(values):
        return float(values[0]), float(values[0])
    mean, se = values.mean(), values.std(ddof=1) / math.sqrt(n)
    samples = values[_resamples(n)]
    shift, spread = samples.mean(1) - mean, samples.std(1, ddof=1) / math.sqrt(n)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(spread > 1e-12 * se, shift / spread, np.sign(shift) * np.inf)
    tail = (1 - prob) / 2
    low, high = np.quantile(t, [tail, 1 - tail], method="inverted_cdf")
    return float(mean - high * se), float(mean - low * se)


@lru_cache(maxsize=4)
def _resamples(n: int) -> NDArray[np.int64]:
    if n <= 6:
        return np.array(list(itertools.product(range(n), repeat=n)))
    return np.random.default_rng(0).integers(0, n, (RESAMPLES, n))


def bca_interval(d: ArrayLike, prob: float = 0.95) -> tuple[float, float]:
    """Bias-corrected and accelerated bootstrap (`scipy.stats.bootstrap`), of the sorted values.

    NaN where it is not defined: fewer than 3 seeds, or ties so many that no resample differs in the jackknife.
    """
    values = np.sort(_finite(d))
    if len(values) > 1 and constant(values):
        return t_interval(values, prob)
    if len(values) < 3:
        return math.nan, math.nan
    rng = np.random.default_rng(0)
    result = scipy.stats.bootstrap((values,), np.mean, confidence_level=prob, method="BCa", rng=rng)
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


KINDS: dict[str, Callable[[ArrayLike, float], tuple[float, float]]] = {
    "t": t_interval,
    "studentized": studentized_interval,
    "bca": bca_interval,
    "percentile": bootstrap_interval,
}


def interval(d: ArrayLike, kind: str = "t", prob: float = 0.95) -> tuple[float, float]:
    """An interval by name.

    Raises
    ------
    KaxisError
        For a kind that there is not, or a probability outside 0 .. 1.

    Examples
    --------
    >>> tuple(round(v, 3) for v in interval([1.0, 2.0, 3.0], "t"))
    (-0.484, 4.484)
    """
    if kind not in KINDS:
        raise KaxisError(f"interval '{kind}' is not {hint(kind, KINDS)}")
    if not 0 < prob < 1:
        raise KaxisError(f"probability {prob}: between 0 and 1")
    return KINDS[kind](d, prob)
