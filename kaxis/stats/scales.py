"""Scales of accuracy, and weights along K that make one number of a seed's effects."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from kaxis.errors import KaxisError, hint

__all__ = ["SCALES", "SHAPES", "log_weights", "normalise", "scaled"]

SCALES = ("pp", "normalised", "logit")

SHAPES = {
    "slope": ("slope on ln K", " per unit of ln K"),
    "mean": ("mean over K", ""),
    "curvature": ("curvature on ln K", " per squared unit of ln K"),
}
"""Contrasts along K by name: what they are called, and their unit's addition."""


def log_weights(K: Any, power: int = 1) -> xr.DataArray:
    """Weights over K whose dot product with effects is the least-squares coefficient of (ln K)^power beside all lower powers.

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


def scaled(cube: xr.Dataset, scale: str) -> tuple[xr.DataArray, str]:
    """Test accuracy on a scale, and the scale's unit: pp; per cent of the headroom above chance; log odds (NaN at 0 and 1).

    Raises
    ------
    KaxisError
        For a scale that there is not.
    """
    if scale == "pp":
        return 100 * cube.test_accuracy, "pp"
    if scale == "normalised":
        return 100 * normalise(cube.test_accuracy, cube.chance), "% of headroom"
    if scale == "logit":
        inside = (cube.test_accuracy > 0) & (cube.test_accuracy < 1)
        a = cube.test_accuracy.where(inside)
        return np.log(a / (1 - a)), "logit"
    raise KaxisError(f"scale '{scale}' is not {hint(scale, SCALES)}")
