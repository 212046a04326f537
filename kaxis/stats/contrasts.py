"""Contrasts of effects along K: one number per seed, then a one-sample problem."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import xarray as xr

from kaxis.errors import KaxisError, each, hint
from kaxis.spec.study import check_split
from kaxis.stats.arrays import as_published, seed_correlation
from kaxis.stats.blocks import (
    asked,
    attributes,
    block,
    check_pair,
    check_there,
    difference,
    estimates,
    without_common_seed,
)
from kaxis.stats.intervals import check_interval
from kaxis.stats.models import crv3_slope, mixed_slope
from kaxis.stats.scales import NO_NUMBER, SHAPES, log_weights, off_scale, scaled

__all__ = ["contrast", "slope_checks", "slope_steps", "training_length"]


PUBLISHED = "percentile bootstrap over (K, seed) observations, as published"


def contrast(
    cube: xr.Dataset,
    *,
    learner: str,
    baseline: str,
    low: Sequence[int] = (),
    high: Sequence[int] = (),
    shape: str = "slope",
    scale: str = "pp",
    drop_incomplete: bool = False,
    published: bool = False,
    interval: str = "t",
    prob: float = 0.95,
) -> xr.Dataset:
    """One contrast of the paired effects along K: the slope on log K, their mean or curvature, or high minus low K.

    Each seed gives one number: effects which share a seed are not taken for independent ones.

    Parameters
    ----------
    cube, learner, baseline
    low, high : sequences of int, both or neither
    shape : {"slope", "mean", "curvature"}
        Without them least-squares slope on ln K, mean over K, or coefficient of (ln K)^2.
    drop_incomplete, published : bool
        Leave out seeds that lack a K instead of refusing; take (K, seed) as independent, as the paper does.
    scale, interval, prob
        As in `kaxis.paired`.

    Returns
    -------
    Dataset
        Over (source,): ``effect``, ``ci``, ``bootstrap_ci``, ``p``, ``wins``, ``n_seeds``, ``seed_correlation`` (mean
        correlation of effects between K), ``n_K``, ``used_K``; ``per_seed`` (source, seed).

    Raises
    ------
    KaxisError
        Where no source can answer, and why; ``attrs["refused"]`` says why others do not.
    """
    check_interval(interval, prob)
    _check_contrast(cube, learner, baseline, low, high, shape, published)
    accuracy, unit = scaled(cube, scale, (learner, baseline))
    apart, wanted = difference(accuracy, learner, baseline), asked(cube, learner, baseline)

    def one(source: str) -> xr.Dataset:
        own, there = apart.sel(source=source), wanted.sel(source=source)
        table = block(own, there, source, [*low, *high], drop_incomplete, NO_NUMBER[scale])
        row = _row(table, _weights(source, table.K.values, low, high, shape), interval, prob)
        row = row.assign(_published(table, low, high, prob)) if published else row
        return row.expand_dims(source=[source])

    rows, refused = each(map(str, cube.source.values), one)
    name, per = SHAPES[shape] if not low else (f"high {list(high)} minus low {list(low)}", "")
    about = attributes(cube, learner, baseline, kind=PUBLISHED if published else interval, prob=prob)
    about |= {"contrast": name, "quantity": "", "units": unit + per, "scale": scale}
    about["notes"] += off_scale(cube, scale, (learner, baseline))
    about |= {"family": "one primary contrast per source", "refused": list(refused.values())}
    return xr.concat(rows, "source", join="outer").assign_attrs(about)


def _check_contrast(
    cube: xr.Dataset,
    learner: str,
    baseline: str,
    low: Sequence[int],
    high: Sequence[int],
    shape: str,
    published: bool,
) -> None:
    """KaxisError for learners without a seed in common, or a contrast that is none."""
    check_pair(cube, learner, baseline)
    if isinstance(low, int) or isinstance(high, int):
        raise KaxisError(f"low = {low}, high = {high}: values of K as lists, e.g. low=[5], high=[50]")
    if unpaired := without_common_seed(cube, learner, baseline):
        raise KaxisError(unpaired)
    if bool(low) != bool(high):
        raise KaxisError("a low-high contrast needs both --low and --high")
    check_split(low, high)
    if published and not low:
        raise KaxisError(
            "the published procedure compares low with high K: name them, e.g. --low 5 10 15 --high 20 30 50"
        )
    if shape not in SHAPES:
        raise KaxisError(f"shape '{shape}' is not {hint(shape, SHAPES)}")


def _row(table: xr.DataArray, weights: xr.DataArray, interval: str, prob: float) -> xr.Dataset:
    """What one source answers."""
    per_seed = xr.dot(table, weights, dim="K")
    row = estimates(per_seed, interval, prob)
    row["seed_correlation"] = xr.DataArray(seed_correlation(table.transpose("seed", "K").values))
    row["n_K"] = xr.DataArray(table.sizes["K"])
    row["used_K"] = xr.DataArray(" ".join(map(str, table.K.values)))
    row["per_seed"] = per_seed
    return row.drop_vars("source", errors="ignore")


def slope_steps(
    cube: xr.Dataset,
    *,
    learner: str,
    baseline: str,
    by: Literal["step", "epoch"] = "step",
    scale: str = "pp",
    interval: str = "t",
    prob: float = 0.95,
) -> xr.Dataset:
    """The slope on ln K after each number of training steps at which the same cells were looked at: length is a factor,
    not a detail.

    Parameters
    ----------
    cube : Dataset
        With learning curves.
    learner, baseline : str
    by : {"step", "epoch"}
        What is equal at every K: steps, or passes through the training images, for cells that train by epochs and take
        more steps where there are more images. An epoch is known to a hundredth of the training.
    scale, interval, prob
        As in `contrast`.

    Returns
    -------
    Dataset
        Over (source, `by`): ``effect``, ``ci``, ``p``, ``n_seeds``; ``per_seed`` (source, `by`, seed). NaN (and 0
        seeds) where a source was not looked at after that many steps in every cell; the start is left out.

    Raises
    ------
    KaxisError
        If `by` is neither, or no source has curves and complete seeds at two values of K.
    """
    check_pair(cube, learner, baseline)
    if by not in ("step", "epoch"):
        raise KaxisError(f"by = {by}: step or epoch")
    if "test_accuracy_curve" not in cube:
        raise KaxisError("no learning curves here: load the cube with them")
    parts, refusals = [], []
    for source in map(str, cube.source.values):
        looks = []
        one = cube.sel(source=[source])
        one = _at_epochs(one) if by == "epoch" else one
        wanted = asked(one, learner, baseline).isel(source=0)
        for step in one.step.values[one.step.values > 0]:
            at = one.assign(test_accuracy=one.test_accuracy_curve.sel(step=step, drop=True))
            seen = at.test_accuracy.sel(learner=[learner, baseline]).notnull().all("learner").isel(source=0)
            if not seen.where(wanted).any():  # another source's look
                continue
            try:
                made = contrast(at, learner=learner, baseline=baseline, scale=scale, interval=interval, prob=prob)
            except KaxisError as refusal:
                refusals.append(str(refusal))
                continue
            looks.append(made[["effect", "ci", "p", "n_seeds", "per_seed"]].expand_dims({by: [step]}).drop_attrs())
        parts += [xr.concat(looks, by, join="outer")] if looks else []
    if not parts:
        raise KaxisError(refusals[0] if refusals else f"no source has learning curves of {learner} and {baseline}")
    out = xr.concat(parts, "source", join="outer").sortby(by).transpose("source", by, ...)
    out["n_seeds"] = out.n_seeds.fillna(0).astype(int)
    out.attrs |= {
        **attributes(cube, learner, baseline, kind=interval, prob=prob),
        "contrast": SHAPES["slope"][0],
        "quantity": "",
        "units": scaled(cube, scale, (learner, baseline))[1] + SHAPES["slope"][1],
        "family": f"one per source and number of {by}s",
        "refused": refusals,
    }
    return out


def _at_epochs(one: xr.Dataset) -> xr.Dataset:
    """Each K looked at after epochs in the place of steps. An epoch's last batch may be short, so steps of it are no
    whole number: what differs by less than a hundredth of the training is one look.
    """
    parts = []
    for K in one.K.values:
        at = one.sel(K=[K])
        at = at.isel(step=np.flatnonzero(at.test_accuracy_curve.notnull().any(("source", "K", "learner", "seed"))))
        if at.sizes["step"]:
            share = np.round(at.step.values / at.step.values[-1], 2)
            at = at.assign_coords(step=np.round(np.round(float(at.epochs.max()), 1) * share, 2))
        parts.append(at.drop_duplicates("step", keep="last"))
    return xr.concat(parts, "K", join="outer", data_vars="all")


def slope_checks(
    cube: xr.Dataset,
    *,
    learner: str,
    baseline: str,
    source: str,
    scale: str = "pp",
    drop_incomplete: bool = False,
    prob: float = 0.95,
) -> dict[str, tuple[float, float, float]]:
    """The slope on ln K of one source by two other roads: least squares over all (seed, K) with CRV3, and a mixed
    model.

    Cross-checks of `contrast`, not second opinions: with complete seeds CRV3 is its t interval, and the mixed model's
    covers too little at few seeds.

    Returns
    -------
    dict
        ``{"CRV3": (slope, lower, upper), "MixedLM": ...}``
    """
    check_pair(cube, learner, baseline)
    check_there(cube, source, "source")
    check_interval("t", prob)
    apart = difference(scaled(cube, scale, (learner, baseline))[0], learner, baseline).sel(source=source)
    table = block(apart, asked(cube, learner, baseline).sel(source=source), source, [], drop_incomplete)
    table = table.transpose("seed", "K")
    x = np.log(table.K.values)
    return {"CRV3": crv3_slope(table.values, x, prob), "MixedLM": mixed_slope(table.values, x, prob)}


def _weights(source: str, K: np.ndarray, low: Sequence[int], high: Sequence[int], shape: str) -> xr.DataArray:
    if low:
        return xr.DataArray(np.where(np.isin(K, high), 1 / len(high), -1 / len(low)), {"K": K}, "K")
    if shape == "mean":
        return xr.DataArray(np.full(len(K), 1 / len(K)), {"K": K}, "K")
    if shape == "curvature" and len(K) < 3:
        raise KaxisError(f"{source}: a curvature needs three values of K or more, there are {len(K)}")
    return log_weights(K, power=2 if shape == "curvature" else 1)


def _published(table: xr.DataArray, low: Sequence[int], high: Sequence[int], prob: float) -> dict[str, xr.DataArray]:
    effect, lower, upper = as_published(table.sel(K=list(low)).values, table.sel(K=list(high)).values, prob)
    ci = xr.DataArray([lower, upper], dims="ci_bound")
    return {"effect": xr.DataArray(effect), "ci": ci, "bootstrap_ci": ci, "p": xr.DataArray(np.nan)}


def training_length(cube: xr.Dataset, source: str) -> int | None:
    """Steps of a source's longest training, from its learning curves, without which a slope means little; None where
    there is no curve.
    """
    if "step" not in cube.dims:
        return None
    looked = cube.test_accuracy_curve.sel(source=source).notnull().any(("K", "learner", "seed"))
    return int(cube.step.values[looked.values].max()) if looked.any() else None
