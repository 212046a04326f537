"""Intervals of the mean of one number per seed, by name: Student's t and three bootstraps.

A spread of 0 gives no interval: none of them, NaN. What each really covers at few seeds is in `docs/statistics.md` and,
for a study's own n, in `kaxis analyze coverage`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from kaxis.errors import KaxisError, hint

__all__ = [
    "BOOTSTRAP_COVERAGE",
    "KINDS",
    "ROUNDING",
    "bca_interval",
    "bootstrap_interval",
    "check_interval",
    "constant",
    "finite",
    "interval",
    "settled",
    "studentized_interval",
    "t_interval",
]

RESAMPLES = 9_999

ROUNDING = 1e-10
"""What differences of accuracies (whole numbers of samples, in per cent) are off by at most; real ones are larger."""

MANY = 200
"""Seeds beyond which the resamples are not kept in memory."""

BOOTSTRAP_COVERAGE = {
    3: 0.744,
    4: 0.800,
    5: 0.843,
    6: 0.860,
    7: 0.875,
    8: 0.884,
    9: 0.891,
    10: 0.899,
    12: 0.905,
    15: 0.917,
    20: 0.922,
}
"""What a nominal 95 % percentile bootstrap interval of a mean covers with n normal seeds (`benchmarks/coverage.py`)."""


def finite(d: ArrayLike) -> NDArray[np.float64]:
    """One number per seed as an array, rounding around 0 as 0; KaxisError for another shape, NaN or infinity."""
    values = np.asarray(d, dtype=np.float64)
    if values.ndim != 1:
        raise KaxisError(f"one number per seed: a 1-d array is wanted, got shape {values.shape}")
    if not np.isfinite(values).all():
        raise KaxisError("one number per seed: NaN or infinity among them; drop those seeds by name first")
    return settled(values)


def settled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ties as ties: what is 0 but for rounding is no win, and its sign no evidence."""
    return np.where(np.abs(values) <= ROUNDING, 0.0, values)


def constant(values: NDArray[np.float64]) -> bool:
    """Whether numbers differ by rounding alone: their own, or that of the accuracies (a whole number of samples) whose
    differences they are.
    """
    return not len(values) or bool(np.ptp(values) <= max(ROUNDING, 1e-12 * np.abs(values).max()))


def t_interval(d: ArrayLike, prob: float = 0.95) -> tuple[float, float]:
    """Student's t interval of the mean; NaN for fewer than 2 seeds, and for constant ones.

    Examples
    --------
    >>> low, high = t_interval([1.0, 2.0, 3.0])
    >>> round(low, 3), round(high, 3)
    (-0.484, 4.484)
    """
    values = finite(d)
    n = len(values)
    if n < 2 or constant(values):
        return math.nan, math.nan
    reach = float(stdtrit(n - 1, (1 + prob) / 2)) * values.std(ddof=1) / math.sqrt(n)
    return float(values.mean() - reach), float(values.mean() + reach)


def studentized_interval(d: ArrayLike, prob: float = 0.95) -> tuple[float, float]:
    """Bootstrap-t interval: the quantiles of (mean* - mean) / se* over resamples of seeds replace Student's.

    All n^n resamples up to n = 6, 9,999 random ones of the sorted values beyond, so that the order of seeds cannot
    matter. Holds its coverage for skewed numbers better than t does, at the price of longer, less stable intervals
    (Efron & Tibshirani 1993, section 12.5).

    Examples
    --------
    >>> low, high = studentized_interval([0.1, 0.4, 0.5, 0.7, 2.0])
    >>> low < 0.74 < high
    True
    """
    values = np.sort(finite(d))
    n = len(values)
    if n < 2 or constant(values):
        return math.nan, math.nan
    mean, se = values.mean(), values.std(ddof=1) / math.sqrt(n)
    samples = values[_resamples(n)]
    shift, spread = samples.mean(1) - mean, samples.std(1, ddof=1) / math.sqrt(n)
    with np.errstate(divide="ignore", invalid="ignore"):
        # A resample without a spread is endlessly far from the mean, or at it.
        endless = np.where(np.abs(shift) > 1e-12 * se, np.copysign(np.inf, shift), 0.0)
        t = np.where(spread > 1e-12 * se, shift / spread, endless)
    tail = (1 - prob) / 2
    low, high = np.quantile(t, [tail, 1 - tail], method="inverted_cdf")
    return float(mean - high * se), float(mean - low * se)


@lru_cache(maxsize=4)
def _resamples(n: int) -> NDArray[np.int64]:
    if n <= 6:
        return np.array(list(itertools.product(range(n), repeat=n)))
    return np.random.default_rng(0).integers(0, n, (RESAMPLES, n))


def bootstrap_interval(d: ArrayLike, prob: float = 0.95) -> tuple[float, float]:
    """Percentile bootstrap of the mean over seeds: all n^n resamples up to n = 6, 9,999 random ones beyond, and 2,000
    for more than 200 seeds.

    Too narrow at few seeds: see `BOOTSTRAP_COVERAGE`.
    """
    values = np.sort(finite(d))
    n = len(values)
    if n < 2 or constant(values):
        return math.nan, math.nan
    if n <= MANY:
        means = values[_resamples(n)].mean(1)
    else:  # 2,000 in parts, so that a thousand seeds do not take a hundred megabytes
        rng = np.random.default_rng(0)
        means = np.concatenate([values[rng.integers(0, n, (500, n), np.int32)].mean(1) for _ in range(4)])
    low, high = np.quantile(means, [(1 - prob) / 2, (1 + prob) / 2])
    return float(low), float(high)


def bca_interval(d: ArrayLike, prob: float = 0.95) -> tuple[float, float]:
    """Bias-corrected and accelerated bootstrap (`scipy.stats.bootstrap`), of the sorted values.

    NaN where it is not defined: fewer than 3 seeds, constant ones, or ties so many that no resample differs in the
    jackknife.
    """
    values = np.sort(finite(d))
    if len(values) < 3 or constant(values):
        return math.nan, math.nan
    from scipy.stats import bootstrap  # half a second to import

    rng = np.random.default_rng(0)
    result = bootstrap((values,), np.mean, confidence_level=prob, method="BCa", rng=rng)
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
    check_interval(kind, prob)
    return KINDS[kind](d, prob)


def check_interval(kind: str, prob: float) -> None:
    """KaxisError for a kind that there is not, or a probability outside 0 .. 1."""
    if kind not in KINDS:
        raise KaxisError(f"interval '{kind}' is not {hint(kind, KINDS)}")
    if not 0 < prob < 1:
        raise KaxisError(f"probability {prob}: between 0 and 1")
