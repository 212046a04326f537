"""Equivalence, comparisons of unpaired groups of seeds, and model-based cross-checks of a slope along K."""

from __future__ import annotations

import math
import warnings
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri, stdtr, stdtrit

from kaxis.errors import KaxisError
from kaxis.stats.intervals import constant, finite

__all__ = ["Equivalence", "Welch", "crv3_slope", "equivalence", "fieller", "mixed_slope", "welch"]


class Equivalence(NamedTuple):
    """Two one-sided tests of a mean against +-margin; `p` is the larger, `lower` and `upper` the 90 % t interval (for
    alpha .05).
    """

    p: float
    lower: float
    upper: float
    n: int


def equivalence(d: ArrayLike, margin: float, alpha: float = 0.05) -> Equivalence:
    """Is the mean effect smaller than `margin` either way (TOST, Schuirmann 1987)?

    Raises
    ------
    KaxisError
        For a margin that is not above 0, or a learner that is not in the cube.

    Examples
    --------
    >>> e = equivalence([0.1, -0.1, 0.05, 0.0, -0.05], margin=0.5)
    >>> e.p < 0.001, e.n
    (True, 5)
    """
    if not margin > 0 or not math.isfinite(margin):
        raise KaxisError(f"margin {margin}: a finite number above 0")
    if not 0 < alpha < 0.5:
        raise KaxisError(f"alpha {alpha}: above 0 and below .5")
    values = finite(d)
    n = len(values)
    if n < 2 or constant(values):  # a spread of 0 gives no interval, and no p
        return Equivalence(math.nan, math.nan, math.nan, n)
    mean, se = values.mean(), values.std(ddof=1) / math.sqrt(n)
    below = stdtr(n - 1, -(mean + margin) / se)
    above = stdtr(n - 1, (mean - margin) / se)
    reach = stdtrit(n - 1, 1 - alpha) * se
    return Equivalence(float(max(below, above)), float(mean - reach), float(mean + reach), n)


class Welch(NamedTuple):
    """Difference of two unpaired means (a - b) with Welch's interval and p-value."""

    difference: float
    lower: float
    upper: float
    p: float
    df: float


def welch(a: ArrayLike, b: ArrayLike, prob: float = 0.95) -> Welch:
    """One number per seed in each of two groups whose seeds have nothing in common (Welch 1947).

    Without an interval and a p where either group has fewer than two seeds or a spread of 0.

    Examples
    --------
    >>> w = welch([1.0, 2.0, 3.0], [0.0, 0.5, 1.0, 0.5])
    >>> round(w.difference, 2), round(w.df, 2)
    (1.5, 2.51)
    """
    x, y = finite(a), finite(b)
    difference = float(x.mean() - y.mean()) if len(x) and len(y) else math.nan
    if min(len(x), len(y)) < 2 or constant(x) or constant(y):
        return Welch(difference, math.nan, math.nan, math.nan, math.nan)
    from scipy.stats import ttest_ind  # half a second to import

    test = ttest_ind(x, y, equal_var=False)
    reach = test.confidence_interval(prob)
    return Welch(difference, float(reach.low), float(reach.high), float(test.pvalue), float(test.df))


def fieller(a: ArrayLike, b: ArrayLike, prob: float = 0.95) -> tuple[float, float, float]:
    """Ratio of two paired means, mean(a) / mean(b), with Fieller's interval (1954): the ratios r for which a - r b, one
    number per seed, has a t interval that holds 0.

    Returns
    -------
    ratio, lower, upper : float
        The bounds are infinite where mean(b) may be 0, since the set of ratios has no end then; NaN for fewer than two
        seeds, a spread of 0 in both, or the same ratio in every seed.

    Examples
    --------
    >>> [round(v, 2) for v in fieller([1.9, 2.0, 2.1], [3.8, 4.1, 4.2])]
    [0.5, 0.48, 0.51]
    >>> fieller([1.0, 2.0, 1.5], [1.0, -1.0, 0.5])[1:]
    (-inf, inf)
    """
    x, y = finite(a), finite(b)
    n = len(x)
    ratio = float(x.mean() / y.mean()) if n and y.mean() else math.nan
    if n < 2 or (constant(x) and constant(y)) or not y.any():
        return ratio, math.nan, math.nan
    covariance = np.cov(x, y)
    q = float(stdtrit(n - 1, (1 + prob) / 2)) ** 2 / n
    p0 = x.mean() ** 2 - q * covariance[0, 0]
    p1 = x.mean() * y.mean() - q * covariance[0, 1]
    p2 = y.mean() ** 2 - q * covariance[1, 1]
    if p2 <= 1e-12 * y.mean() ** 2:
        return ratio, -math.inf, math.inf
    if constant(x - ratio * y):  # every seed has the same ratio
        return ratio, math.nan, math.nan
    reach = math.sqrt(max(0.0, p1**2 - p0 * p2))
    return ratio, float((p1 - reach) / p2), float((p1 + reach) / p2)


def crv3_slope(d_SK: ArrayLike, x_K: ArrayLike, prob: float = 0.95) -> tuple[float, float, float]:
    """Slope of effects on x by least squares over all (seed, K), its interval from the seed jackknife (CRV3) and t with
    n - 1.

    With complete seeds and one common intercept the slope is the mean of per-seed slopes, and this interval is theirs
    by t: a cross-check, not a second opinion (MacKinnon, Nielsen & Webb 2023).

    Returns
    -------
    slope, lower, upper : float
    """
    d, x = np.asarray(d_SK, dtype=np.float64), np.asarray(x_K, dtype=np.float64)
    n = len(d)
    if n < 2:
        return math.nan, math.nan, math.nan

    def slope(rows: NDArray[np.float64]) -> float:
        design = np.column_stack([np.ones(rows.size), np.tile(x, len(rows))])
        return float(np.linalg.lstsq(design, rows.ravel(), rcond=None)[0][1])

    whole = slope(d)
    without = np.array([slope(np.delete(d, s, 0)) for s in range(n)])
    if constant(without):
        return whole, math.nan, math.nan
    se = math.sqrt((n - 1) / n * ((without - whole) ** 2).sum())
    reach = float(stdtrit(n - 1, (1 + prob) / 2)) * se
    return whole, whole - reach, whole + reach


def mixed_slope(d_SK: ArrayLike, x_K: ArrayLike, prob: float = 0.95) -> tuple[float, float, float]:
    """The same slope from a linear mixed model with a random intercept a seed: a sensitivity check alone.

    Its normal interval covers 72 to 89 % at five seeds where it says 95 %. NaN where the fit does not converge.
    """
    import statsmodels.api as sm

    d, x = np.asarray(d_SK, dtype=np.float64), np.asarray(x_K, dtype=np.float64)
    n, K = d.shape
    if n < 2 or constant(d):
        return math.nan, math.nan, math.nan
    design = sm.add_constant(np.tile(x, n))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # statsmodels warns of boundary fits, which five seeds often are
        try:
            fit = sm.MixedLM(d.ravel(), design, groups=np.repeat(np.arange(n), K)).fit(reml=True)
            if not fit.converged:
                return math.nan, math.nan, math.nan
            slope, se = float(fit.params[1]), float(fit.bse[1])
        except (np.linalg.LinAlgError, ValueError):
            return math.nan, math.nan, math.nan
    reach = float(ndtri((1 + prob) / 2)) * se
    return slope, slope - reach, slope + reach
