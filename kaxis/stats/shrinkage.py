"""Effects along K that lend each other strength: a line in ln K, and deviations from it as large as the seeds say.

A compromise between one slope, which takes the effects for a straight line, and separate intervals, which take those at
other K for no news at all.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import stdtr

from kaxis.errors import KaxisError, each
from kaxis.stats.blocks import asked, attributes, block, check_pair, difference
from kaxis.stats.intervals import constant
from kaxis.stats.intervals import interval as interval_of
from kaxis.stats.multiplicity import correlation

__all__ = ["shrunk", "shrunken"]

GRID = 200
"""Values of the deviations' spread over which the posterior is summed."""


def shrunken(
    d_SK: NDArray[np.float64], K: NDArray[np.float64], prob: float = 0.95
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Mean and interval of the effect at each K, given those at all K.

    The means y over seeds are theirs with the covariance of the mean (correlations shrunk, Schaefer & Strimmer 2005);
    the true effects are a line in ln K, with a flat prior, plus deviations of spread tau, with a half-Cauchy prior of
    the typical standard error (ours). tau is summed over by quadrature; given tau, the effects are best linear
    predictions, with Student's t of n - 1 for what few seeds know of their spread.

    Parameters
    ----------
    d_SK : array, shape (seeds, K)
        Complete, four K or more.
    K : array, shape (K,)
    prob : float

    Returns
    -------
    mean, lower, upper : arrays, shape (K,)
    """
    n, count = d_SK.shape
    y, sd = d_SK.mean(0), d_SK.std(0, ddof=1)
    C = correlation(d_SK) * np.outer(sd, sd) / n
    scale = float(np.sqrt(np.diag(C)).mean())
    x = np.log(K)
    X = np.stack([np.ones(count), x - x.mean()], axis=1)
    tau = scale * np.tan(np.pi / 2 * (np.arange(GRID) + 0.5) / GRID)  # each as likely, by the prior
    means, spreads, weight = np.empty((GRID, count)), np.empty((GRID, count)), np.empty(GRID)
    for g, t2 in enumerate(tau**2):
        inverse = np.linalg.inv(C + t2 * np.eye(count))
        information = X.T @ inverse @ X
        left = y - X @ np.linalg.solve(information, X.T @ inverse @ y)
        means[g] = y - C @ inverse @ left
        open_ = C @ inverse @ X  # what the line's own error adds
        variance = C - C @ inverse @ C + open_ @ np.linalg.solve(information, open_.T)
        spreads[g] = np.sqrt(np.maximum(np.diag(variance), 0))
        weight[g] = 0.5 * (np.linalg.slogdet(inverse)[1] - np.linalg.slogdet(information)[1] - left @ inverse @ left)
    weight = np.exp(weight - weight.max())
    weight /= weight.sum()
    lower, upper = (_quantile(means, spreads, weight, p, n - 1) for p in ((1 - prob) / 2, (1 + prob) / 2))
    return weight @ means, lower, upper


def _quantile(
    means: NDArray[np.float64], spreads: NDArray[np.float64], weight: NDArray[np.float64], p: float, df: int
) -> NDArray[np.float64]:
    """Of a mixture of t distributions, at each K."""
    reach = 1e3 * spreads.max(0) + np.ptp(means, axis=0)
    low, high = means.min(0) - reach, means.max(0) + reach
    for _ in range(60):
        middle = 0.5 * (low + high)
        below = weight @ stdtr(df, (middle - means) / np.maximum(spreads, 1e-300)) < p
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return 0.5 * (low + high)


def shrunk(
    cube: xr.Dataset, *, learner: str, baseline: str, drop_incomplete: bool = False, prob: float = 0.95
) -> xr.Dataset:
    """Paired effects along K, each by itself and given those at the other K.

    Parameters
    ----------
    cube : Dataset
    learner, baseline : str
    drop_incomplete : bool
        Leave out seeds that lack a K, instead of refusing.
    prob : float

    Returns
    -------
    Dataset
        Over (source, K): ``own`` (mean over seeds, pp) with ``own_ci`` (t), ``effect`` with ``ci`` of `shrunken`;
        ``n_seeds``. NaN where a source does not have a K.

    Raises
    ------
    KaxisError
        Where no source has four K and three seeds that move at each.
    """
    check_pair(cube, learner, baseline)
    apart, wanted = (
        100 * difference(cube.test_accuracy.where(cube.status == "done"), learner, baseline),
        asked(cube, learner, baseline),
    )

    def one(source: str) -> xr.Dataset:
        table = block(apart.sel(source=source), wanted.sel(source=source), source, [], drop_incomplete)
        table = table.transpose("seed", "K")
        d, K = table.values, table.K.values
        if len(K) < 4 or len(d) < 3 or any(constant(column) for column in d.T):
            raise KaxisError(f"{source}: needs four K or more, and three seeds that are not all alike at each")
        mean, low, high = shrunken(d, K.astype(float), prob)
        own = np.array([interval_of(column, "t", prob) for column in d.T])
        over = ("K", "ci_bound")
        values = {"own": ("K", d.mean(0)), "own_ci": (over, own), "effect": ("K", mean)}
        values |= {"ci": (over, np.stack([low, high], axis=1)), "n_seeds": ("K", np.full(len(K), len(d)))}
        return xr.Dataset(values, coords={"K": K, "ci_bound": ["lower", "upper"], "source": source})

    made, refused = each(map(str, cube.source.values), one)
    out = xr.concat(made, "source", join="outer", coords="minimal")
    out["n_seeds"] = out.n_seeds.fillna(0).astype(int)
    about = attributes(cube, learner, baseline, kind="of a mixture of t, given all K", prob=prob)
    out.attrs = about | {
        "units": "pp",
        "family": "one per source and K, not adjusted",
        "refused": list(refused.values()),
    }
    return out
