"""Who is best: places of learners by mean accuracy, by resampling whole seeds and by comparing each with all others."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from kaxis.stats.multiplicity import simultaneous_band

__all__ = ["first_share", "places"]

RESAMPLES = 9_999

DRAWS = 10_000


def first_share(accuracy_SL: NDArray[np.float64]) -> NDArray[np.float64]:
    """In what share of resampled studies each learner has the highest mean; whole seeds are drawn, ties share.

    Like the bootstrap's intervals it is surer of itself than n seeds allow; no p-value. NaN for one seed.

    Parameters
    ----------
    accuracy_SL : array, shape (seeds, learners)
        Complete; the order of the seeds does not matter.
    """
    d = accuracy_SL[np.lexsort(accuracy_SL.T)]
    n, L = d.shape
    if n < 2:
        return np.full(L, math.nan)
    counts = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), RESAMPLES)
    means = (counts @ d / n).round(12)
    top = means == means.max(1, keepdims=True)
    return np.asarray((top / top.sum(1, keepdims=True)).mean(0))


def places(accuracy_SL: NDArray[np.float64], prob: float = 0.95) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Intervals of each learner's place by true mean accuracy (1 is best; of ties, all places that they share).

    A learner is behind as many as are shown to be ahead of it and ahead of as many as are shown to be behind, by a band
    over its differences to all others that holds all of them at once (after Mogstad, Romano, Shaikh & Wilhelm 2024).

    Returns
    -------
    lower, upper : arrays of int, shape (learners,)
    """
    n, L = accuracy_SL.shape
    lower, upper = np.ones(L, np.int64), np.full(L, L)
    for i in range(L) if n > 1 else ():
        low, high = simultaneous_band(accuracy_SL[:, [i]] - np.delete(accuracy_SL, i, axis=1), prob, draws=DRAWS)
        with np.errstate(invalid="ignore"):
            lower[i], upper[i] = 1 + int((high < 0).sum()), L - int((low > 0).sum())
    return lower, upper
