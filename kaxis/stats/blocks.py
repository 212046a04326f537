"""Seed-matched differences out of a cube: which cells there are, which are asked for, and which seeds are whole along
K.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from kaxis.errors import KaxisError, hint
from kaxis.stats.arrays import Estimate, estimate
from kaxis.stats.intervals import interval
from kaxis.stats.models import fieller

__all__ = [
    "asked",
    "attributes",
    "block",
    "check_dims",
    "check_pair",
    "check_there",
    "difference",
    "estimates",
    "incomplete",
    "intervals",
    "made_apart",
    "nets",
    "ratios",
    "without_common_seed",
]


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


def intervals(numbers: xr.DataArray, kind: str = "t", prob: float = 0.95) -> xr.Dataset:
    """Mean and interval over the finite seeds of each remaining coordinate, without tests: ``effect``, ``ci``,
    ``n_seeds``.
    """

    def one(d: Any) -> Any:
        d = d[np.isfinite(d)]
        return (d.mean() if len(d) else np.nan, *interval(d, kind, prob), np.float64(len(d)))

    mean, low, high, n = xr.apply_ufunc(
        one, numbers, input_core_dims=[["seed"]], output_core_dims=[[]] * 4, vectorize=True
    )
    ci = xr.concat([low, high], xr.IndexVariable("ci_bound", ["lower", "upper"]))
    return xr.Dataset({"effect": mean, "ci": ci, "n_seeds": n.astype(int)}).drop_attrs()


def ratios(above: xr.DataArray, below: xr.DataArray, prob: float = 0.95) -> xr.Dataset:
    """Ratio of means over the seeds that both have, with Fieller's interval: ``effect``, ``ci``, ``n_seeds``."""

    def one(a: Any, b: Any) -> Any:
        both = np.isfinite(a) & np.isfinite(b)
        return (*fieller(a[both], b[both], prob), np.float64(both.sum()))

    mean, low, high, n = xr.apply_ufunc(
        one, above, below, input_core_dims=[["seed"]] * 2, output_core_dims=[[]] * 4, vectorize=True
    )
    ci = xr.concat([low, high], xr.IndexVariable("ci_bound", ["lower", "upper"]))
    return xr.Dataset({"effect": mean, "ci": ci, "n_seeds": n.astype(int)}).drop_attrs()


def attributes(cube: xr.Dataset, learner: str, baseline: str, *, kind: str = "t", prob: float = 0.95) -> dict[str, Any]:
    """What every result says of itself; ``origin`` is where the cube came from, ``notes`` are the cells it lacks."""
    return {
        "ci_kind": kind,
        "ci_prob": prob,
        "learner": learner,
        "baseline": baseline,
        "origin": cube.attrs.get("origin", "store"),
        "notes": [*incomplete(cube, learner, baseline), *cube.attrs.get("foreign", [])],
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


def made_apart(cube: xr.Dataset, learner: str, baseline: str) -> str:
    """What is to be said where the halves of pairs were trained on different kinds of machine; nothing where none
    were, or nobody knows.
    """
    if "made_on" not in cube:
        return ""
    done = (cube.status == "done").sel(learner=[learner, baseline]).all("learner").values
    one, other = (cube.made_on.sel(learner=name).values[done] for name in (learner, baseline))
    apart = (one != other) & (one != "") & (other != "")
    kinds = sorted({*one[apart], *other[apart]})
    if not apart.any():
        return ""
    return (
        f"{learner} - {baseline}: {apart.sum()} of {done.sum()} pairs are of two kinds of machine "
        f"({'; '.join(kinds)}), on which the same cell is equal to rounding, not bitwise."
    )


def nets(cube: xr.Dataset) -> dict[str, str]:
    """By source, the nets that its cells are of, where that is known."""
    if "net" not in cube:
        return {}
    own = cube.net.transpose("source", ...).values
    out = {}
    for source, names in zip(map(str, cube.source.values), own, strict=True):
        # Of cubes that were put together what one lacks is NaN.
        if known := sorted({name for name in names.ravel() if isinstance(name, str) and name}):
            out[source] = " and ".join(known)
    return out


def without_common_seed(cube: xr.Dataset, learner: str, baseline: str) -> str:
    """What to say where both learners are done for some seeds and for none together; else nothing."""
    done = (cube.status == "done").any(("source", "K")).transpose("learner", "seed")
    held = {name: cube.seed.values[done.sel(learner=name).values].tolist() for name in (learner, baseline)}
    if not all(held.values()) or set(held[learner]) & set(held[baseline]):
        return ""
    seeds = [f"{name} has {', '.join(map(str, own[:6]))}{' ...' if len(own) > 6 else ''}" for name, own in held.items()]
    return f"{learner} and {baseline} share no seed: {', '.join(seeds)}"


def block(
    effects: xr.DataArray,
    wanted: xr.DataArray,
    source: str,
    only_K: Sequence[int],
    drop_incomplete: bool,
    why: str = "not done for both learners",
) -> xr.DataArray:
    """Effects of one source as a full table, K by seed; incomplete seeds are refused by name, or dropped when asked."""
    table = effects.isel(K=np.flatnonzero(wanted.any("seed")))
    there = [int(k) for k in table.K.values]
    if absent := [k for k in only_K if k not in there]:
        raise KaxisError(f"{source} has no K = {absent[0]}; it has {', '.join(map(str, there)) or 'none'}")
    table = table.sel(K=list(only_K)) if only_K else table
    table = table.isel(seed=np.flatnonzero(wanted.sel(K=table.K).any("K")))
    if table.sizes["K"] < 2:
        raise KaxisError(f"{source}: a contrast along K needs two values of K or more, there is {table.sizes['K']}")
    if not table.sizes["seed"]:
        raise KaxisError(f"{source}: no seed was run with either learner")
    complete = table.notnull().all("K")
    if not complete.any() or not (complete.all() or drop_incomplete):
        gaps = [
            f"K={k} seed {s}"
            for s in table.seed.values
            for k in table.K.values
            if not np.isfinite(table.sel(K=k, seed=s))
        ]
        at = f"{why} at " + ", ".join(gaps[:8]) + (f" and {len(gaps) - 8} more" if len(gaps) > 8 else "")
        if not complete.any():
            raise KaxisError(f"{source}: no seed is complete along K = {', '.join(map(str, table.K.values))}, {at}")
        raise KaxisError(f"{source}: incomplete seeds, {at}; use --drop-incomplete to do without")
    return table.isel(seed=np.flatnonzero(complete))


def check_dims(cube: xr.Dataset) -> None:
    """KaxisError for a cube out of which one source, K, learner or seed was taken."""
    if lost := [d for d in ("source", "K", "learner", "seed") if d not in cube.dims]:
        raise KaxisError(f"the cube has no dim {lost[0]}: choose with a list, cube.sel({lost[0]}=[...])")


def check_there(cube: xr.Dataset, name: str, role: str = "learner") -> None:
    """KaxisError if no such learner (or, as its role, baseline or source) is in the cube, or it is no whole cube."""
    check_dims(cube)
    there = [str(n) for n in cube["source" if role == "source" else "learner"].values]
    if name not in there:
        place = cube.attrs.get("origin", "store")
        raise KaxisError(f"{role} '{name}' is not in the {place}, which has {hint(name, there)}")


def check_pair(cube: xr.Dataset, learner: str, baseline: str) -> None:
    """KaxisError if either is not in the cube, or both are one."""
    check_there(cube, learner)
    check_there(cube, baseline, "baseline")
    if learner == baseline:
        raise KaxisError(f"learner and baseline are both '{learner}'; their difference is 0 by definition")
