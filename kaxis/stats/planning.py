"""Before the run: how many seeds an effect needs, and what n seeds can see."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.optimize
import scipy.stats
import xarray as xr
from numpy.typing import ArrayLike

from kaxis.errors import KaxisError
from kaxis.stats.arrays import sign_flip_p
from kaxis.stats.contrasts import contrast
from kaxis.stats.effects import paired
from kaxis.stats.intervals import finite

__all__ = ["exact_minimum", "power", "seeds_needed", "simulated_power", "smallest_effect", "spreads"]

SIMULATED_EXACTLY = 15

LARGEST = 10_000


def power(effect: float, sd: float, n: int, alpha: float = 0.05) -> float:
    """Probability that a two-sided one-sample t test of n seeds rejects, from the noncentral t; NaN for a spread of 0.

    Examples
    --------
    >>> round(power(effect=1.0, sd=1.0, n=10), 3)
    0.803
    """
    if n < 2:
        return 0.0
    if not sd > 0:
        return math.nan
    shift, edge = abs(effect) / sd * math.sqrt(n), scipy.stats.t.ppf(1 - alpha / 2, n - 1)
    if shift > 1e3 * edge:
        return 1.0  # beyond what the noncentral t is computed for
    distribution = scipy.stats.nct(n - 1, shift)
    return float(np.nan_to_num(distribution.sf(edge)) + np.nan_to_num(distribution.cdf(-edge)))


def seeds_needed(effect: float, sd: float, target: float = 0.8, alpha: float = 0.05) -> int:
    """Fewest seeds with which the t test has that power.

    Raises
    ------
    KaxisError
        For an effect of 0, which no number of seeds can show, one that needs more than 10,000, or a spread of 0.
    """
    _check_target(target, alpha)
    if effect == 0 or not math.isfinite(effect):
        raise KaxisError(f"effect {effect}: no number of seeds can show it")
    if not sd > 0:
        raise KaxisError(f"spread {sd:g}: a spread of 0 says nothing of how many seeds are needed")
    low, high = 1, 2
    while power(effect, sd, high, alpha) < target:
        low, high = high, 2 * high
        if high > LARGEST:
            raise KaxisError(f"effect {effect} with a spread of {sd:.3g} needs more than {LARGEST:,} seeds")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(effect, sd, middle, alpha) >= target else (middle, high)
    return high


def _check_target(target: float, alpha: float) -> None:
    if not 0 < alpha < target < 1:
        raise KaxisError(f"power {target}: above the test's level {alpha} and below 1")


def smallest_effect(sd: float, n: int, target: float = 0.8, alpha: float = 0.05) -> float:
    """The effect that the t test of n seeds shows with that power; NaN for a spread of 0."""
    _check_target(target, alpha)
    if n < 2:
        return math.inf
    if not sd > 0:
        return math.nan
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

    Few seeds describe a distribution badly, so this is a check on the normal formula and no more. The exact test up to
    15 seeds, NaN beyond, where it differs little from t and takes long.
    """
    values = np.sort(finite(d))  # the order of the seeds does not matter
    if len(values) < 2:
        raise KaxisError(f"{len(values)} seeds: two or more are needed to simulate with their spread")
    centred = (values - values.mean()) * math.sqrt(len(values) / (len(values) - 1))
    rng = np.random.default_rng(0)
    samples = rng.choice(centred, (draws, n)) + effect
    sd = samples.std(1, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(sd > 0, np.abs(samples.mean(1)) / (sd / math.sqrt(n)), np.inf)
    rejects = t > scipy.stats.t.ppf(1 - alpha / 2, n - 1)
    exact = 0.0 if 2 / 2**n > alpha else math.nan
    if 2 / 2**n <= alpha and n <= SIMULATED_EXACTLY:
        exact = float(np.mean([sign_flip_p(s) <= alpha for s in samples[: min(draws, 400)]]))
    return {"t": float(rejects.mean()), "exact": float(exact)}


def spreads(cube: xr.Dataset, *, learner: str, baseline: str) -> list[dict[str, Any]]:
    """The numbers per seed that a study has, from which to plan the next: effects at each K, and slopes on ln K.

    Returns
    -------
    list of dict
        ``source``, ``K`` (None for the slope), ``d`` (one number per seed, pp or pp per unit of ln K), for two seeds or
        more. A source with one K or with incomplete seeds has no slope.
    """
    effects = paired(cube, learner=learner, baseline=baseline).difference
    out: list[dict[str, Any]] = []
    for source in map(str, cube.source.values):
        own: list[tuple[int | None, Any]] = [(int(K), effects.sel(source=source, K=K).values) for K in cube.K.values]
        try:
            slope = contrast(cube.sel(source=[source]), learner=learner, baseline=baseline)
            own.append((None, slope.per_seed.isel(source=0).values))
        except KaxisError:
            pass
        rows = [{"source": source, "K": K, "d": d[np.isfinite(d)]} for K, d in own]
        out += [row for row in rows if len(row["d"]) > 1]
    return out
