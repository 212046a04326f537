"""Before the run: how many seeds an effect needs, what n seeds can see, and what an interval really covers."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import scipy.optimize
import scipy.stats
from numpy.typing import ArrayLike, NDArray

from kaxis.errors import KaxisError, hint
from kaxis.stats.arrays import _finite, sign_flip_p
from kaxis.stats.intervals import KINDS

__all__ = ["SHAPES", "coverage", "exact_minimum", "power", "seeds_needed", "simulated_power", "smallest_effect"]

SHAPES = ("normal", "exponential", "contaminated")
"""Of a seed's number around its mean, all with standard deviation 1: normal; exponential (skewness 2); one seed in ten three times as wide."""

LARGEST = 10_000


def power(effect: float, sd: float, n: int, alpha: float = 0.05) -> float:
    """Probability that a two-sided one-sample t test of n seeds rejects, from the noncentral t.

    Examples
    --------
    >>> round(power(effect=1.0, sd=1.0, n=10), 3)
    0.803
    """
    if n < 2:
        return 0.0
    if sd == 0:
        return 1.0 if effect else alpha
    shift, edge = abs(effect) / sd * math.sqrt(n), scipy.stats.t.ppf(1 - alpha / 2, n - 1)
    distribution = scipy.stats.nct(n - 1, shift)
    return float(np.nan_to_num(distribution.sf(edge)) + np.nan_to_num(distribution.cdf(-edge)))


def seeds_needed(effect: float, sd: float, target: float = 0.8, alpha: float = 0.05) -> int:
    """Fewest seeds with which the t test has that power.

    Raises
    ------
    KaxisError
        For an effect of 0, which no number of seeds can show, or one that needs more than 10,000.
    """
    if not 0 < target < 1 or not 0 < alpha < 1:
        raise KaxisError(f"power {target} and alpha {alpha}: between 0 and 1")
    if effect == 0 or not math.isfinite(effect):
        raise KaxisError(f"effect {effect}: no number of seeds can show it")
    low, high = 1, 2
    while power(effect, sd, high, alpha) < target:
        low, high = high, 2 * high
        if high > LARGEST:
            raise KaxisError(f"effect {effect} with a spread of {sd:.3g} needs more than {LARGEST:,} seeds")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(effect, sd, middle, alpha) >= target else (middle, high)
    return high


def smallest_effect(sd: float, n: int, target: float = 0.8, alpha: float = 0.05) -> float:
    """The effect that the t test of n seeds shows with that power."""
    if n < 2:
        return math.inf
    if sd == 0:
        return 0.0
    return float(scipy.optimize.brentq(lambda e: power(e, sd, n, alpha) - target, 1e-9 * sd, 1e4 * sd))


def exact_minimum(alpha: float = 0.05, family: int = 1) -> int:
    """Fewest seeds with which the exact sign-flip test can reject at all, Holm-adjusted in a family of that size.

    Examples
    --------
    >>> exact_minimum(), exact_minimum(family=4), exact_minimum(family=6)
    (6, 8, 8)
    """
    n = 1
    while family * 2 / 2**n >= alpha:
        n += 1
    return n


def simulated_power(d: ArrayLike, effect: float, n: int, alpha: float = 0.05, draws: int = 2_000) -> dict[str, float]:
    """Power with the study's own spread: its centred numbers, drawn anew and shifted by `effect`; t and exact test.

    Few seeds describe a distribution badly, so this is a check on the normal formula and no more.
    """
    values = _finite(d)
    if len(values) < 2:
        raise KaxisError(f"{len(values)} seeds: two or more are needed to simulate with their spread")
    centred = (values - values.mean()) * math.sqrt(len(values) / (len(values) - 1))
    rng = np.random.default_rng(0)
    samples = rng.choice(centred, (draws, n)) + effect
    sd = samples.std(1, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(sd > 0, np.abs(samples.mean(1)) / (sd / math.sqrt(n)), np.inf)
    rejects = t > scipy.stats.t.ppf(1 - alpha / 2, n - 1)
    few = samples[: min(draws, 400)]
    exact = np.mean([sign_flip_p(s) <= alpha for s in few]) if 2 / 2**n <= alpha else 0.0
    return {"t": float(rejects.mean()), "exact": float(exact)}


def sample(shape: str, size: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float64]:
    """Numbers of mean 0 and standard deviation 1."""
    if shape == "normal":
        return rng.standard_normal(size)
    if shape == "exponential":
        return rng.standard_exponential(size) - 1
    if shape == "contaminated":
        return rng.standard_normal(size) * np.where(rng.random(size) < 0.1, 3, 1) / math.sqrt(1.8)
    raise KaxisError(f"shape '{shape}' is not {hint(shape, SHAPES)}")


def coverage(
    kind: str,
    n: int,
    *,
    shape: str = "normal",
    K: int = 4,
    icc: float = 0.0,
    shrink: float = 1.0,
    question: Literal["effect", "slope", "gap"] = "slope",
    prob: float = 0.95,
    draws: int = 2_000,
    seed: int = 0,
) -> dict[str, Any]:
    """How often an interval holds the truth when seeds share an effect along K, by simulation.

    Each seed's effect at K is sqrt(icc) (its own) + sqrt(1 - icc) (its own at this K), times a spread that falls along K down to
    `shrink`; both parts have the given shape, and the truth is 0.

    Parameters
    ----------
    kind : str
        Of `kaxis.stats.intervals.KINDS`.
    n : int
        Seeds.
    shape : {"normal", "exponential", "contaminated"}
    K : int
        Values of K, spaced evenly on log K.
    icc : float
        Share of the variance that a seed's effects have in common.
    shrink : float
        Spread at the largest K over that at the smallest.
    question : {"effect", "slope", "gap"}
        At the first K; along K; or a difference of two such effects at the first K.
    draws : int

    Returns
    -------
    dict
        ``covers`` (share of intervals with the truth inside), ``low``, ``high`` (its 95 % Clopper-Pearson interval), ``width`` (mean), and what was asked.
    """
    if kind not in KINDS:
        raise KaxisError(f"interval '{kind}' is not {hint(kind, KINDS)}")
    if n < 2 or not 0 <= icc <= 1 or K < 1:
        raise KaxisError(f"n = {n}, icc = {icc}, K = {K}: two seeds or more, icc in 0 .. 1, K from 1")
    rng = np.random.default_rng(seed)
    own, at_K = sample(shape, (draws, n, 1), rng), sample(shape, (draws, n, K), rng)
    spread = np.linspace(1.0, shrink, K)
    effects = spread * (math.sqrt(icc) * own + math.sqrt(1 - icc) * at_K)
    if question == "slope" and K > 1:
        x = np.arange(K) - (K - 1) / 2
        numbers = effects @ (x / (x**2).sum())
    else:
        numbers = effects[..., 0]
    if question == "gap":
        numbers = numbers - math.sqrt(icc) * own[..., 0] - math.sqrt(1 - icc) * sample(shape, (draws, n), rng)
    bounds = np.array([KINDS[kind](d, prob) for d in numbers])
    hits = int(((bounds[:, 0] <= 0) & (bounds[:, 1] >= 0)).sum())
    exact = scipy.stats.binomtest(hits, draws).proportion_ci(0.95)
    return {
        "interval": kind,
        "n_seeds": n,
        "shape": shape,
        "question": question,
        "icc": icc,
        "shrink": shrink,
        "nominal": prob,
        "covers": hits / draws,
        "low": float(exact.low),
        "high": float(exact.high),
        "width": float(np.mean(bounds[:, 1] - bounds[:, 0])),
        "draws": draws,
    }
