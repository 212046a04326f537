"""Scales of accuracy, and weights along K that make one number of a seed's effects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from kaxis.errors import KaxisError, hint

__all__ = ["NO_NUMBER", "SCALES", "SHAPES", "headroom", "log_weights", "normalise", "off_scale", "scaled"]

SCALES = ("pp", "normalised", "logit")

NO_NUMBER = {
    "pp": "not done for both learners (or without headroom)",
    "normalised": "not done for both learners (or without headroom)",
    "logit": "not done for both learners (or with an accuracy of 0 or 1, which has no log odds)",
}
"""Why a seed has no number on a scale."""

SHAPES = {
    "slope": ("slope on ln K", " per unit of ln K"),
    "mean": ("mean over K", ""),
    "curvature": ("curvature on ln K", " per squared unit of ln K"),
}
"""Contrasts along K by name: what they are called, and their unit's addition."""


def log_weights(K: Any, power: int = 1) -> xr.DataArray:
    """Weights over K whose dot product with effects is the least-squares coefficient of (ln K)^power beside all lower
    powers.

    Examples
    --------
    >>> K = np.array([5, 10, 50])
    >>> float((log_weights(K) * np.log(K)).sum().round(9)), abs(float(log_weights(K).sum().round(9)))
    (1.0, 0.0)
    """
    x = np.log(K)
    inverse = np.linalg.pinv(np.vander(x - x.mean(), power + 1))
    return xr.DataArray(inverse[0], {"K": K}, "K")


def normalise(accuracy: xr.DataArray, chance: xr.DataArray) -> xr.DataArray:
    """Accuracy as a share of the way from chance to 1; chance is the training set's majority class on the test set.

    NaN where chance is 1: there is no headroom.
    """
    return (accuracy - chance) / (1 - chance).where(chance < 1)


def headroom(cube: xr.Dataset, learners: Sequence[str]) -> xr.DataArray:
    """1 - chance, as the learners' cells have it, NaN where that is nothing: over (source, K, seed)."""
    room = (1 - cube.chance).sel(learner=list(learners)).mean("learner")
    return room.where(room > 0)


def off_scale(cube: xr.Dataset, scale: str, learners: Sequence[str]) -> list[str]:
    """Cells that are done and have no number on a scale, by name."""
    own = cube.sel(learner=list(learners))
    lost, why = {
        "pp": (xr.zeros_like(own.test_accuracy, bool), ""),
        "normalised": (own.chance >= 1, "no headroom above chance"),
        "logit": ((own.test_accuracy <= 0) | (own.test_accuracy >= 1), "an accuracy of 0 or 1 has no log odds"),
    }[scale]
    at = (lost & (own.status == "done")).transpose("source", "K", "learner", "seed")
    places = [at[dim].values[i] for dim, i in zip(at.dims, np.nonzero(at.values), strict=True)]
    return [f"{source} K={K} {name} seed {seed}: {why}" for source, K, name, seed in zip(*places, strict=True)]


def scaled(cube: xr.Dataset, scale: str, learners: Sequence[str]) -> tuple[xr.DataArray, str]:
    """Test accuracy on a scale, and the scale's unit: pp; per cent of the headroom above chance; log odds (NaN at 0 and
    1).

    On the second a seed's numbers are divided by the mean headroom of all seeds at their K, corrected to first order
    for the seed's own, so that their mean is a ratio of means: a seed with almost no headroom cannot rule it. These
    means are of all seeds at that K, also of those that a contrast then leaves out.

    Parameters
    ----------
    cube : Dataset
    scale : str
        Of `SCALES`.
    learners : sequence of str
        Those that are compared: means go over the seeds that all of them have.

    Raises
    ------
    KaxisError
        For a scale that there is not.
    """
    if scale == "pp":
        return 100 * cube.test_accuracy, "pp"
    if scale == "normalised":
        own = cube.test_accuracy.sel(learner=list(learners))
        room = headroom(cube, learners).where(own.notnull().all("learner"))
        above = (own - 1 + room).where(room.notnull())
        mean = room.mean("seed")
        share = above.mean("seed") / mean
        return 100 * (share + (above - share * room) / mean), "% of headroom"
    if scale == "logit":
        inside = (cube.test_accuracy > 0) & (cube.test_accuracy < 1)
        a = cube.test_accuracy.where(inside)
        return np.log(a / (1 - a)), "logit"
    raise KaxisError(f"scale '{scale}' is not {hint(scale, SCALES)}")
