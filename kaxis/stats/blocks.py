"""Seed-matched differences out of a cube: which cells there are, which are asked for, and which seeds are whole along K."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from kaxis.errors import KaxisError, hint
from kaxis.stats.arrays import Estimate, estimate

__all__ = ["asked", "attributes", "block", "check_pair", "check_source", "difference", "estimates", "incomplete"]


def difference(values: xr.DataArray, learner: str, baseline: str) -> xr.DataArray:
    """learner - baseline, NaN where either is."""
    return values.sel(learner=learner, drop=True) - values.sel(learner=baseline, drop=True)


def estimates(numbers: xr.DataArray, kind: str = "t", prob: float = 0.95) -> xr.Dataset:
    """`kaxis.stats.arrays.estimate` over the finite seeds of each remaining coordinate."""

    def one(d: Any) -> Any:
        return tuple(np.float64(v) for v in estimate(d[np.isfinite(d)], prob, kind))

    columns = xr.apply_ufunc(
        one, numbers, input_core_dims=[["seed"]], output_core_dims=[[]] * len(Estimate._fields), vectorize=True
    )
    part = dict(zip(Estimate._fields, columns, strict=True))
    bound = xr.IndexVariable("ci_bound", ["lower", "upper"])
    return xr.Dataset(
        {
            "effect": part["mean"],
            "ci": xr.concat([part["lower"], part["upper"]], bound),
            "bootstrap_ci": xr.concat([part["boot_lower"], part["boot_upper"]], bound),
            "p": part["p"],
            "wins": part["wins"].astype(int),
            "n_seeds": part["n"].astype(int),
        }
    ).drop_attrs()


def attributes(cube: xr.Dataset, learner: str, baseline: str, *, kind: str = "t", prob: float = 0.95) -> dict[str, Any]:
    """What every result says of itself; ``origin`` is where the cube came from, ``notes`` are the cells it lacks."""
    return {
        "ci_kind": kind,
        "ci_prob": prob,
        "learner": learner,
        "baseline": baseline,
        "origin": cube.attrs.get("origin", "store"),
        "notes": incomplete(cube, learner, baseline),
    }


def asked(cube: xr.Dataset, *learners: str) -> xr.DataArray:
    """Which (source, K, seed) belong to a grid that was run for any of the learners."""
    return cube.asked.sel(learner=list(learners)).any("learner")


def incomplete(cube: xr.Dataset, *learners: str) -> list[str]:
    """The cells of the grid that are missing or failed, by name."""
    order = ("source", "K", "seed")
    wanted = asked(cube, *learners).transpose(*order).values
    labels = [cube[dim].values for dim in order]
    notes = []
    for name in learners:
        one = cube[["status", "reason"]].sel(learner=name).transpose(*order)
        status, reason = one.status.values, one.reason.values
        for at in zip(*np.nonzero(wanted & (status != "done")), strict=True):
            source, K, seed = (values[i] for values, i in zip(labels, at, strict=True))
            why = f", {reason[at]}" if reason[at] else ""
            notes.append(f"{source} K={K} {name} seed {seed}: {status[at]}{why}")
    return notes


def block(
    effects: xr.DataArray, wanted: xr.DataArray, source: str, only_K: Sequence[int], drop_incomplete: bool
) -> xr.DataArray:
    """Effects of one source as a full table, K by seed; incomplete seeds are refused by name, or dropped when asked."""
    table = effects.isel(K=np.flatnonzero(wanted.any("seed")), seed=np.flatnonzero(wanted.any("K")))
    there = [int(k) for k in table.K.values]
    if absent := [k for k in only_K if k not in there]:
        raise KaxisError(f"{source} has no K = {absent[0]}; it has {', '.join(map(str, there)) or 'none'}")
    table = table.sel(K=list(only_K)) if only_K else table
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


def check_pair(cube: xr.Dataset, learner: str, baseline: str) -> None:
    """KaxisError if either is not in the cube, or both are one."""
    there = [str(name) for name in cube.learner.values]
    for role, name in (("learner", learner), ("baseline", baseline)):
        if name not in there:
            raise KaxisError(f"{role} '{name}' is not in the store, which has {hint(name, there)}")
    if learner == baseline:
        raise KaxisError(f"learner and baseline are both '{learner}'; their difference is 0 by definition")


def check_source(cube: xr.Dataset, source: str) -> None:
    """KaxisError if it is not in the cube."""
    names = [str(s) for s in cube.source.values]
    if source not in names:
        raise KaxisError(f"source '{source}' is not in the store, which has {hint(source, names)}")
