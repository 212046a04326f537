"""What an interval really covers, by simulated studies in which a seed is a block along K."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from kaxis.errors import KaxisError, hint
from kaxis.stats.arrays import as_published
from kaxis.stats.intervals import KINDS, bootstrap_interval, check_interval

__all__ = ["NEAR", "SHAPES", "advised", "coverage", "sample"]

SHAPES = ("normal", "exponential", "contaminated")
"""Of a seed's number around its mean, all with standard deviation 1: normal; exponential (skewness 2); one seed in ten
three times as wide.
"""

QUESTIONS = ("effect", "contrast", "slope", "gap", "mean")

NEAR = 0.015
"""How far from what it says an interval may cover and still be advised."""


def sample(shape: str, size: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float64]:
    """Numbers of mean 0 and standard deviation 1."""
    if shape == "normal":
        return rng.standard_normal(size)
    if shape == "exponential":
        return rng.standard_exponential(size) - 1
    if shape == "contaminated":
        return rng.standard_normal(size) * np.where(rng.random(size) < 0.1, 3, 1) / math.sqrt(1.8)
    raise KaxisError(f"shape '{shape}' is not {hint(shape, SHAPES)}")


def _bounds(
    kind: str, question: str, numbers: NDArray[np.float64], effects: NDArray[np.float64], prob: float
) -> NDArray[np.float64]:
    """Each draw's interval, (draws, 2)."""
    if kind in KINDS:
        return np.array([KINDS[kind](one, prob) for one in numbers])
    if question == "mean":
        return np.array([bootstrap_interval(one.ravel(), prob) for one in effects])
    half = effects.shape[2] // 2
    return np.array([as_published(one[:, :half], one[:, half:], prob)[1:] for one in effects])


def _check(kind: str, n: int, K: int, draws: int, icc: float, tilt: float, shrink: float, question: str) -> None:
    if kind not in KINDS and kind != "as-published":
        raise KaxisError(f"interval '{kind}' is not {hint(kind, [*KINDS, 'as-published'])}")
    shares = icc >= 0 and tilt >= 0 and icc + tilt <= 1 and 0 <= shrink < math.inf  # false for NaN
    if not (2 <= n <= 10_000 and 2 <= K <= 10_000 and 1 <= draws <= 1_000_000 and shares):
        raise KaxisError(
            f"n = {n}, K = {K}, draws = {draws}, icc = {icc}, tilt = {tilt}, shrink = {shrink}: two seeds and two "
            "K or more, "
            "shares from 0 that add up to 1 at most, spread from 0"
        )
    if question not in QUESTIONS:
        raise KaxisError(f"question '{question}' is not {hint(question, QUESTIONS)}")
    if kind == "as-published" and question not in ("contrast", "mean"):
        raise KaxisError(f"as-published answers contrast and mean, not '{question}'")


def _effects(
    shape: str, size: tuple[int, int, int], icc: float, tilt: float, shrink: float, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Effects of every draw, (draws, n, K), and the seeds' own levels in them."""
    draws, n, K = size
    x = _axis(K)
    level, slope = sample(shape, (draws, n, 1), rng), sample(shape, (draws, n, 1), rng)
    noise = sample(shape, size, rng)
    spread = np.linspace(1.0, shrink, K)
    own = math.sqrt(icc) * level + math.sqrt(tilt) * x * slope + math.sqrt(1 - icc - tilt) * noise
    return spread * own, level


def _axis(K: int) -> NDArray[np.float64]:
    """Values of log K, mean 0 and variance 1."""
    x = np.arange(K) - (K - 1) / 2
    return np.asarray(x / x.std())


def _weights(question: str, K: int) -> NDArray[np.float64]:
    """By which a seed's effects along K give its number."""
    if question in ("effect", "gap"):
        return np.eye(K)[0]
    if question == "mean":
        return np.full(K, 1 / K)
    if question == "slope":
        return np.asarray(_axis(K) / (_axis(K) ** 2).sum())
    half = K // 2
    return np.where(np.arange(K) < half, -1 / half, 1 / (K - half))


def coverage(
    kind: str,
    n: int,
    *,
    shape: str = "normal",
    K: int = 6,
    icc: float = 0.0,
    tilt: float = 0.0,
    shrink: float = 1.0,
    question: Literal["effect", "contrast", "slope", "gap", "mean"] = "slope",
    prob: float = 0.95,
    draws: int = 2_000,
    seed: int = 0,
) -> dict[str, Any]:
    """How often an interval holds the truth when seeds share effects along K, by simulation.

    With x the values of K on a log axis, mean 0 and variance 1, a seed's effect at K is sqrt(icc) (a level of its own)
    + sqrt(tilt) x (a slope of its own) + sqrt(1 - icc - tilt) (noise of that K), times a spread that falls along K down
    to `shrink`; all three have the given shape, and the truth is 0.

    Parameters
    ----------
    kind : str
        Of `kaxis.stats.intervals.KINDS`, or ``as-published`` (contrast and mean): bootstrap over (K, seed).
    n : int
        Seeds.
    shape : {"normal", "exponential", "contaminated"}
    K : int
        Values of K, spaced evenly on log K.
    icc, tilt : float
        Shares of the variance that are a seed's own level and slope along K.
    shrink : float
        Spread at the largest K over that at the smallest.
    question : {"effect", "contrast", "slope", "gap", "mean"}
        Effect at the first K; upper minus lower half of K; slope or mean along K; difference of two effects at the
        first K.
    prob, draws, seed
        Of the interval; simulated studies; of the simulation.

    Returns
    -------
    dict
        ``covers`` (share of intervals with the truth inside), ``low``, ``high`` (its 95 % Clopper-Pearson interval),
        ``width`` (mean), and what was asked.

    Raises `KaxisError` for a value that there is not, or a question that the interval does not answer.
    """
    _check(kind, n, K, draws, icc, tilt, shrink, question)
    check_interval("t", prob)
    rng = np.random.default_rng(seed)
    effects, level = _effects(shape, (draws, n, K), icc, tilt, shrink, rng)
    numbers = effects @ _weights(question, K)
    if question == "gap":  # the other effect of the difference shares the seed's level
        numbers = numbers - math.sqrt(icc) * level[..., 0] - math.sqrt(1 - icc) * sample(shape, (draws, n), rng)
    bounds = _bounds(kind, question, numbers, effects, prob)
    hits = int(((bounds[:, 0] <= 0) & (bounds[:, 1] >= 0)).sum())
    exact = scipy.stats.binomtest(hits, draws).proportion_ci(0.95)
    asked = {"shape": shape, "question": question, "icc": icc, "tilt": tilt, "shrink": shrink, "nominal": prob}
    found = {"covers": hits / draws, "low": float(exact.low), "high": float(exact.high)}
    width = float(np.mean(bounds[:, 1] - bounds[:, 0]))
    return {"interval": kind, "n_seeds": n, **asked, **found, "width": width, "draws": draws}


def advised(rows: Sequence[Mapping[str, Any]]) -> str:
    """Which of some simulated intervals of one n to use: the narrowest that covers within 1.5 points of what it says,
    in words.

    Examples
    --------
    >>> row = {"n_seeds": 8, "nominal": 0.95}
    >>> t = {**row, "interval": "t", "covers": 0.921, "width": 1.5}
    >>> advised([t, {**row, "interval": "studentized", "covers": 0.948, "width": 1.8}])
    'n = 8: studentized, the narrowest within 1.5 points of 95 % here.'
    """
    good = [r for r in rows if abs(r["covers"] - r["nominal"]) <= NEAR]
    place, nominal = f"n = {rows[0]['n_seeds']}", f"{100 * rows[0]['nominal']:g} %"
    if not good:
        best = max(rows, key=lambda r: r["covers"])
        return (
            f"{place}: none comes within 1.5 points of {nominal} here; {best['interval']} covers most, "
            f"{100 * best['covers']:.1f} %."
        )
    return (
        f"{place}: {min(good, key=lambda r: r['width'])['interval']}, the narrowest within 1.5 points of {nominal} "
        "here."
    )
