"""The order of several learners along K: mean ranks, and how far a seed's order at one K agrees with its order at
another.
"""

from __future__ import annotations

import math

import numpy as np
import scipy.stats
import xarray as xr
from numpy.typing import NDArray

from kaxis.errors import KaxisError
from kaxis.stats.best import first_share, places
from kaxis.stats.blocks import check_dims, estimates, incomplete
from kaxis.stats.intervals import check_interval

__all__ = ["rankings"]


def rankings(cube: xr.Dataset, *, interval: str = "t", prob: float = 0.95) -> xr.Dataset:
    """Ranks of all learners by test accuracy within each seed (1 is best, ties share), and how they move with K.

    Parameters
    ----------
    cube : Dataset
        A seed counts at a K where every learner that the source has is done.
    interval : {"t", "studentized", "bca", "percentile"}
        Of mean ranks: numbers on a short scale, for which any interval is rough.
    prob : float

    Returns
    -------
    Dataset
        Over (source, K, learner): ``rank`` with ``rank_ci``, ``first`` (seeds in which it has the best rank, alone or
        with others), ``best`` (share of resampled studies in which its mean is the highest), ``place_ci`` (interval of
        its place by true mean accuracy), ``change`` (a seed's rank at this K minus that at the smallest K at which the
        source has a whole seed) with ``change_ci``. Over (source, K): ``agreement``, mean over seeds of Kendall's tau-b
        between a seed's order at this K and at that smallest, with ``agreement_ci``; ``n_seeds``, and ``n_change`` of
        them that are whole at that smallest K too. NaN for learners that a source does not have.

    Raises
    ------
    KaxisError
        If no source has two learners.
    """
    check_dims(cube)
    check_interval(interval, prob)
    done = (cube.status == "done").transpose("source", "K", "learner", "seed")
    has = done.any(("K", "seed"))
    if not (has.sum("learner") > 1).any():
        raise KaxisError("a ranking needs two learners or more; every source here has fewer")
    accuracy = cube.test_accuracy.transpose(*done.dims)
    whole = (done | ~has).all("learner") & (has.sum("learner") > 1)
    ranks = xr.apply_ufunc(
        _ranks, accuracy.where(whole & has), input_core_dims=[["learner"]], output_core_dims=[["learner"]]
    ).transpose(*done.dims)
    first_K = {str(s): int(np.argmax(whole.sel(source=s).any("seed").values)) for s in cube.source.values}
    start = xr.concat([ranks.sel(source=s).isel(K=k, drop=True) for s, k in first_K.items()], "source")
    tau = xr.apply_ufunc(_tau, ranks, start, input_core_dims=[["learner"]] * 2, vectorize=True)
    rank, change = estimates(ranks, interval, prob), estimates(ranks - start, interval, prob)
    agreement = estimates(tau, interval, prob)
    out = xr.Dataset(
        {
            "rank": rank.effect,
            "rank_ci": rank.ci,
            "first": (ranks == ranks.min("learner")).sum("seed"),
            **_best(accuracy.where(whole & has), prob),
            "change": change.effect,
            "change_ci": change.ci,
            "n_change": change.n_seeds,
            "agreement": agreement.effect,
            "agreement_ci": agreement.ci,
            "n_seeds": whole.sum("seed"),
        }
    )
    held = {str(s): [str(n) for n in cube.learner.values[has.sel(source=s).values]] for s in cube.source.values}
    notes = [line for s, names in held.items() for line in incomplete(cube.sel(source=[s]), *names)]
    out.attrs |= {
        "notes": notes,
        "ci_kind": interval,
        "ci_prob": prob,
        "units": "rank",
        "family": "one per source, K and learner",
    }
    return out


def _best(accuracy: xr.DataArray, prob: float) -> dict[str, xr.DataArray]:
    """Of each source and K over the seeds that are whole."""
    axes = ("source", "K", "learner")
    best = xr.full_like(accuracy.isel(seed=0, drop=True), np.nan)
    ends = {end: best.copy() for end in ("lower", "upper")}
    for source in accuracy.source.values:
        for K in accuracy.K.values:
            at = {"source": source, "K": K}
            one = accuracy.sel(at).dropna("learner", how="all").dropna("seed").transpose("seed", "learner")
            if not one.sizes["seed"] or one.sizes["learner"] < 2:
                continue
            place = at | {"learner": one.learner.values}
            best.loc[place] = first_share(one.values)
            low, high = places(one.values, prob)
            ends["lower"].loc[place], ends["upper"].loc[place] = low, high
    place_ci = xr.concat(list(ends.values()), xr.DataArray(list(ends), dims="ci_bound", name="ci_bound"))
    return {"best": best.transpose(*axes), "place_ci": place_ci.transpose("ci_bound", *axes)}


def _ranks(accuracy: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(scipy.stats.rankdata(-accuracy.round(12), axis=-1, nan_policy="omit"))


def _tau(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    both = np.isfinite(a) & np.isfinite(b)
    if both.sum() < 2 or np.ptp(a[both]) == 0 or np.ptp(b[both]) == 0:
        return math.nan
    return float(scipy.stats.kendalltau(a[both], b[both]).statistic)
