"""One number per seed in, an estimate out: the numpy layer of the statistics.

Every linear question across K is first made one number per seed; what is left is a one-sample problem over seeds.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kaxis.stats.intervals import ROUNDING, bootstrap_interval, constant, finite, interval

__all__ = [
    "Estimate",
    "as_published",
    "estimate",
    "flipped_sums",
    "flips_named",
    "seed_correlation",
    "sign_flip_p",
]

EXACT_UP_TO = 20
"""Largest n whose 2^n sign patterns are all counted."""

FLIPS = 99_999
"""Random sign patterns beyond."""


class Estimate(NamedTuple):
    """The mean of one number per seed, with what it is worth.

    `lower`, `upper`: the interval that was asked for, t by default. `boot_lower`, `boot_upper`: percentile bootstrap
    over seeds. `p`: two-sided sign-flip test, exact up to 20 seeds. `wins`: seeds above 0. `n`: seeds. NaN where n does
    not allow it.
    """

    mean: float
    lower: float
    upper: float
    boot_lower: float
    boot_upper: float
    p: float
    wins: int
    n: int


def sign_flip_p(d: ArrayLike) -> float:
    """Two-sided sign-flip test of a mean of 0, over all 2^n sign patterns; 99,999 random ones beyond n = 20.

    With n seeds no p is below 2 / 2^n: 5 seeds cannot reach .05, whatever they show. The order of the seeds does not
    matter: random flips go over sorted values.

    Examples
    --------
    >>> sign_flip_p([1.0, 2.0, 3.0, 4.0, 5.0])
    0.0625
    """
    values = np.sort(finite(d))
    if len(values) == 0:
        return float("nan")
    if len(values) == 1 or not values.any():
        return 1.0
    edge = abs(values.sum()) - _tie(values)
    if len(values) > EXACT_UP_TO:
        as_large = np.abs(flipped_sums(values[:, None], FLIPS)) >= edge
        return float((as_large.sum() + 1) / (FLIPS + 1))
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums + value, sums - value])
    return float(np.mean(np.abs(sums) >= edge))


def flipped_sums(d_SK: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Sums over seeds under `count` random sign patterns from a fixed generator, the same for all columns: shape
    (count, K).

    Eight seeds at once, by a table of their 256 sums.
    """
    signs = 1.0 - 2.0 * np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)
    rng, sums = np.random.default_rng(0), np.zeros((count, d_SK.shape[1]))
    for start in range(0, len(d_SK), 8):
        eight = d_SK[start : start + 8]
        sums += (signs[:, : len(eight)] @ eight)[rng.integers(0, 256, count, np.uint8)]
    return sums


def flips_named(n: int) -> str:
    """What a sign-flip test of n seeds is: exact, or by random flips.

    Examples
    --------
    >>> flips_named(10), flips_named(24)
    ('the exact sign-flip test', 'the sign-flip test (99,999 random flips)')
    """
    return "the exact sign-flip test" if n <= EXACT_UP_TO else f"the sign-flip test ({FLIPS:,} random flips)"


def _tie(values: NDArray[np.float64]) -> float:
    """Sums closer than this are equal but for rounding, their own or that of accuracies.

    `scipy.stats.permutation_test` scales its tolerance by the observed mean instead, so that for a mean near 0 its p
    depends on the order of the seeds.
    """
    return float(max(ROUNDING, 1e-12 * np.abs(values).sum()))


def estimate(d: ArrayLike, prob: float = 0.95, kind: str = "t") -> Estimate:
    """Everything that is said of one number per seed.

    Parameters
    ----------
    d : array, shape (seeds,)
    prob : float
        Of both intervals.
    kind : str
        Of `kaxis.stats.intervals.KINDS`.

    Raises
    ------
    KaxisError
        For a kind that there is not, or a probability outside 0 .. 1.

    Examples
    --------
    >>> e = estimate([0.5, 1.0, 0.0, 2.0])
    >>> e.mean, e.wins, e.n, e.p
    (0.875, 3, 4, 0.25)
    """
    values = finite(d)
    # Clipped, since summing equal values may round past them.
    mean = float(np.clip(values.mean(), values.min(), values.max())) if len(values) else float("nan")
    return Estimate(
        mean,
        *interval(values, kind, prob),
        *bootstrap_interval(values, prob),
        sign_flip_p(values),
        int((values > 0).sum()),
        len(values),
    )


def seed_correlation(d_SK: ArrayLike) -> float:
    """Mean correlation of effects between pairs of K, over seeds; NaN for fewer than 3 seeds or 2 values of K.

    What decides whether (seed, K) observations may be counted as independent: they may not where this is not near 0.
    """
    d = np.asarray(d_SK, dtype=np.float64)
    if d.shape[0] < 3 or d.shape[1] < 2 or not np.isfinite(d).all():
        return float("nan")
    d = d[:, [not constant(column) for column in d.T]]
    if d.shape[1] < 2:
        return float("nan")
    r = np.atleast_2d(np.corrcoef(d, rowvar=False))
    return float(r[np.triu_indices_from(r, 1)].mean())


def as_published(low: ArrayLike, high: ArrayLike, prob: float = 0.95) -> tuple[float, float, float]:
    """The paper's contrast: mean over the high-K observations minus mean over the low-K ones, percentile bootstrap.

    Resamples (K, seed) observations as if they were independent. They share seeds, so the interval is not to be
    trusted; it is here to reproduce the paper.

    Returns
    -------
    effect, lower, upper : float
    """
    a, b = np.sort(finite(np.ravel(low))), np.sort(finite(np.ravel(high)))

    def statistic(x: NDArray[np.float64], y: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
        return np.mean(y, axis=axis) - np.mean(x, axis=axis)

    effect = float(b.mean() - a.mean())
    if min(len(a), len(b)) < 2 or (constant(a) and constant(b)):
        return effect, float("nan"), float("nan")
    from scipy.stats import bootstrap  # half a second to import

    result = bootstrap((a, b), statistic, confidence_level=prob, method="percentile", rng=np.random.default_rng(0))
    return effect, float(result.confidence_interval.low), float(result.confidence_interval.high)
