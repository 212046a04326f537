"""Cubes in, effects out: seed-matched differences between two learners along K.

Every function returns an `xarray.Dataset`: the interval has a dim ``ci_bound = [lower, upper]``, attrs say kind,
probability, units and family, and ``notes`` name the cells that are missing or failed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from kaxis.errors import KaxisError, hint
from kaxis.stats.arrays import as_published, estimate, seed_correlation
from kaxis.stats.families import holm, max_t_p, simultaneous_band
from kaxis.stats.scales import SHAPES, log_weights, normalise, scaled
from kaxis.study import check_split

__all__ = ["contrast", "gap", "normalise", "paired"]

CI = {"ci_kind": "t", "ci_prob": 0.95}


def paired(cube: xr.Dataset, *, learner: str, baseline: str) -> xr.Dataset:
    """Seed-matched effects ``learner - baseline`` on test accuracy, for each source and K.

    Parameters
    ----------
    cube : Dataset
        Dims ``source, K, learner, seed``; see `kaxis.store.cube.build_cube`.
    learner, baseline : str

    Returns
    -------
    Dataset
        Over (source, K): ``effect`` (pp), ``ci`` (t interval), ``bootstrap_ci`` (percentile), ``p`` (exact sign-flip),
        ``wins``, ``n_seeds``; the same effect chance-normalised (``effect_normalised``, ``ci_normalised``, in per cent of
        the headroom above chance, over the ``n_normalised`` seeds that have any); ``difference`` (source, K, seed), in pp. A seed counts where both learners are done.
        Over all K of a source: ``p_holm``; and where its seeds are complete ``p_max_t`` (shared sign flips) and ``band``, which holds
        all K at once.

    Raises
    ------
    KaxisError
        If a learner is not in the cube, or is compared with itself.
    """
    _check(cube, learner, baseline)
    pp = 100 * _difference(cube.test_accuracy, learner, baseline)
    normalised = 100 * _difference(normalise(cube.test_accuracy, cube.chance), learner, baseline)
    out = _estimates(pp).merge(
        _estimates(normalised)[["effect", "ci"]].rename(effect="effect_normalised", ci="ci_normalised")
    )
    out["n_normalised"] = _estimates(normalised).n_seeds
    out["difference"] = pp
    out = out.merge(_families(pp, out.p))
    out.attrs |= {
        **CI,
        "units": "pp",
        "learner": learner,
        "baseline": baseline,
        "family": "one per source and K, not adjusted",
    }
    out.attrs["notes"] = _incomplete(cube, learner, baseline)
    return out


def gap(cube: xr.Dataset, *, learner: str, baseline: str) -> xr.Dataset:
    """Train-test gaps (train minus test accuracy) of both learners and their seed-matched difference.

    Returns
    -------
    Dataset
        Over (source, K): ``effect`` (difference of gaps, pp) with intervals as in `paired`; ``gap_learner`` and
        ``gap_baseline`` with ``gap_learner_ci`` and ``gap_baseline_ci``; ``train_effect`` and ``test_effect`` with theirs.
        The gap effect is the train effect minus the test effect, so it shares the test term with the accuracy effect.
        ``effect_normalised``: the difference of gaps as a share of the headroom above chance.
    """
    _check(cube, learner, baseline)
    gaps = 100 * (cube.train_accuracy - cube.test_accuracy)
    out = _estimates(_difference(gaps, learner, baseline))
    both = np.isfinite(_difference(gaps, learner, baseline))
    parts = {
        "gap_learner": gaps.sel(learner=learner, drop=True).where(both),
        "gap_baseline": gaps.sel(learner=baseline, drop=True).where(both),
        "train_effect": 100 * _difference(cube.train_accuracy, learner, baseline),
        "test_effect": 100 * _difference(cube.test_accuracy, learner, baseline),
        "effect_normalised": _difference(gaps / (1 - cube.chance), learner, baseline),
    }
    for name, values in parts.items():
        part = _estimates(values)
        out[name], out[f"{name}_ci"] = part.effect, part.ci
    out.attrs |= {
        **CI,
        "units": "pp",
        "learner": learner,
        "baseline": baseline,
        "family": "one per source and K, not adjusted",
    }
    out.attrs["notes"] = _incomplete(cube, learner, baseline)
    return out


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
) -> xr.Dataset:
    """One contrast of the paired effects along K: the slope on log K, their mean or curvature, or high K minus low K.

    Each seed gives one number, the weighted sum of its effects; the estimate is their mean, so that effects which
    share a seed are not taken for independent ones.

    Parameters
    ----------
    low, high : sequences of int
        Both or neither. Without them: what `shape` says.
    shape : {"slope", "mean", "curvature"}
        Least-squares slope on ln K, mean over K, or coefficient of (ln K)^2.
    scale : {"pp", "normalised", "logit"}
    drop_incomplete : bool
        Leave out seeds that lack a K, instead of refusing.
    published : bool
        The paper's procedure instead: percentile bootstrap over (K, seed) observations, taken as independent.

    Returns
    -------
    Dataset
        Over (source,): ``effect``, ``ci``, ``bootstrap_ci``, ``p``, ``wins``, ``n_seeds``, ``seed_correlation`` (mean
        correlation of effects between K), ``n_K``, ``used_K``; ``per_seed`` (source, seed).

    Raises
    ------
    KaxisError
        For incomplete seeds (named), a source with fewer than two K, or a K that is not there. With several sources,
        those that can answer do, and ``attrs["refused"]`` says why the others do not.
    """
    _check(cube, learner, baseline)
    if bool(low) != bool(high):
        raise KaxisError("a low-high contrast needs both --low and --high")
    check_split(low, high)
    if published and not low:
        raise KaxisError(
            "the published procedure compares low with high K: name them, e.g. --low 5 10 15 --high 20 30 50"
        )
    if shape not in SHAPES:
        raise KaxisError(f"shape '{shape}' is not {hint(shape, SHAPES)}")
    accuracy, unit = scaled(cube, scale)
    difference = _difference(accuracy, learner, baseline)
    asked = _asked(cube, learner, baseline)
    rows, refusals = [], []
    for source in map(str, cube.source.values):
        try:
            table = _block(
                difference.sel(source=source), asked.sel(source=source), source, [*low, *high], drop_incomplete
            )
        except KaxisError as refusal:
            refusals.append(str(refusal))
        else:
            try:
                rows.append(_contrast_row(source, table, low, high, shape, published))
            except KaxisError as refusal:
                refusals.append(str(refusal))
    if not rows:
        raise KaxisError("; ".join(refusals))
    out = xr.concat(rows, "source", join="outer")
    name, per = SHAPES[shape] if not low else (f"high {list(high)} minus low {list(low)}", "")
    out.attrs |= {
        **CI,
        "ci_kind": "percentile bootstrap over (K, seed) observations, as published" if published else "t",
        "contrast": name,
        "units": unit + per,
        "scale": scale,
        "learner": learner,
        "baseline": baseline,
        "family": "one primary contrast per source",
        "notes": _incomplete(cube, learner, baseline),
        "refused": refusals,
    }
    return out


def _block(
    difference: xr.DataArray, asked: xr.DataArray, source: str, only_K: list[int], drop_incomplete: bool
) -> xr.DataArray:
    """Effects of one source as a full table, K by seed; incomplete seeds are refused by name, or dropped when asked."""
    table = difference.isel(K=np.flatnonzero(asked.any("seed")), seed=np.flatnonzero(asked.any("K")))
    there = [int(k) for k in table.K.values]
    if absent := [k for k in only_K if k not in there]:
        raise KaxisError(f"{source} has no K = {absent[0]}; it has {', '.join(map(str, there)) or 'none'}")
    table = table.sel(K=only_K) if only_K else table
    if table.sizes["K"] < 2:
        raise KaxisError(f"{source}: a contrast along K needs two values of K or more, there is {table.sizes['K']}")
    complete = table.notnull().all("K")
    if not complete.all() and not drop_incomplete:
        gaps = [
            f"K={k} seed {s}"
            for s in table.seed.values
            for k in table.K.values
            if not np.isfinite(table.sel(K=k, seed=s))
        ]
        shown = ", ".join(gaps[:8]) + (f" and {len(gaps) - 8} more" if len(gaps) > 8 else "")
        why = "not done for both learners (or without headroom)"
        raise KaxisError(f"{source}: incomplete seeds, {why} at {shown}; use --drop-incomplete to do without")
    return table.isel(seed=np.flatnonzero(complete))


def _contrast_row(
    source: str, table: xr.DataArray, low: Sequence[int], high: Sequence[int], shape: str, published: bool
) -> xr.Dataset:
    K = table.K.values
    if low:
        weights = xr.DataArray(np.where(np.isin(K, high), 1 / len(high), -1 / len(low)), {"K": K}, "K")
    elif shape == "mean":
        weights = xr.DataArray(np.full(len(K), 1 / len(K)), {"K": K}, "K")
    elif shape == "curvature":
        if len(K) < 3:
            raise KaxisError(f"{source}: a curvature needs three values of K or more, there are {len(K)}")
        weights = log_weights(K, power=2)
    else:
        weights = log_weights(K)
    per_seed = xr.dot(table, weights, dim="K")
    row = _estimates(per_seed)
    if published:
        effect, lower, upper = as_published(table.sel(K=list(low)).values, table.sel(K=list(high)).values)
        row["effect"], row["ci"] = xr.DataArray(effect), xr.DataArray([lower, upper], dims="ci_bound")
        row["p"] = xr.DataArray(np.nan)
        row["bootstrap_ci"] = row["ci"]
    row["seed_correlation"] = xr.DataArray(seed_correlation(table.transpose("seed", "K").values))
    row["n_K"] = xr.DataArray(len(K))
    row["used_K"] = xr.DataArray(" ".join(map(str, K)))
    row["per_seed"] = per_seed
    return row.drop_vars("source", errors="ignore").expand_dims(source=[source])


def _difference(values: xr.DataArray, learner: str, baseline: str) -> xr.DataArray:
    return values.sel(learner=learner, drop=True) - values.sel(learner=baseline, drop=True)


def _estimates(difference: xr.DataArray) -> xr.Dataset:
    """`estimate` over the finite seeds of each remaining coordinate."""

    def one(d: Any) -> Any:
        return tuple(np.float64(v) for v in estimate(d[np.isfinite(d)]))

    mean, low, high, boot_low, boot_high, p, wins, n = xr.apply_ufunc(
        one, difference, input_core_dims=[["seed"]], output_core_dims=[[]] * 8, vectorize=True
    )
    bound = xr.IndexVariable("ci_bound", ["lower", "upper"])
    return xr.Dataset(
        {
            "effect": mean,
            "ci": xr.concat([low, high], bound),
            "bootstrap_ci": xr.concat([boot_low, boot_high], bound),
            "p": p,
            "wins": wins.astype(int),
            "n_seeds": n.astype(int),
        }
    ).drop_attrs()


def _families(difference: xr.DataArray, p: xr.DataArray) -> xr.Dataset:
    """Adjusted p-values and the simultaneous band over the K of each source."""
    d = difference.transpose("source", "K", "seed").values
    adjusted = np.apply_along_axis(holm, 1, p.transpose("source", "K").values)
    max_t, band = np.full(d.shape[:2], np.nan), np.full((2, *d.shape[:2]), np.nan)
    for i, table in enumerate(d):
        there = np.isfinite(table).any(1)
        seeds = np.isfinite(table[there]).all(0) & there.any()
        whole = (np.isfinite(table[there]).any(0) == seeds).all()
        if whole and seeds.sum() >= 2:
            complete = table[there][:, seeds].T
            max_t[i, there] = max_t_p(complete)
            band[:, i, there] = simultaneous_band(complete)
    dims = ("source", "K")
    parts = {"p_holm": (dims, adjusted), "p_max_t": (dims, max_t), "band": (("ci_bound", *dims), band)}
    coords = {"source": difference.source, "K": difference.K, "ci_bound": ["lower", "upper"]}
    return xr.Dataset(parts, coords=coords)


def _asked(cube: xr.Dataset, learner: str, baseline: str) -> xr.DataArray:
    """Which (source, K, seed) belong to a grid that was run for either learner."""
    return cube.asked.sel(learner=[learner, baseline]).any("learner")


def _incomplete(cube: xr.Dataset, learner: str, baseline: str) -> list[str]:
    """The cells of the grid that are missing or failed, by name."""
    asked = _asked(cube, learner, baseline)
    notes = []
    for name in (learner, baseline):
        status, reason = cube.status.sel(learner=name), cube.reason.sel(learner=name)
        for source, K, seed in zip(
            *np.nonzero((asked & (status != "done")).transpose("source", "K", "seed").values), strict=True
        ):
            at = {"source": source, "K": K, "seed": seed}
            where = f"{cube.source.values[source]} K={cube.K.values[K]} {name} seed {cube.seed.values[seed]}"
            why = str(reason.isel(at).item())
            notes.append(f"{where}: {status.isel(at).item()}" + (f", {why}" if why else ""))
    return notes


def _check(cube: xr.Dataset, learner: str, baseline: str) -> None:
    there = [str(name) for name in cube.learner.values]
    for role, name in (("learner", learner), ("baseline", baseline)):
        if name not in there:
            raise KaxisError(f"{role} '{name}' is not in the store, which has {hint(name, there)}")
    if learner == baseline:
        raise KaxisError(f"learner and baseline are both '{learner}'; their difference is 0 by definition")
