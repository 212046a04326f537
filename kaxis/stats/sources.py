"""Questions across sources: does the slope along K differ between a synthetic and a real leg, and does meaning matter
at one K?
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from kaxis.errors import KaxisError
from kaxis.spec.catalog import set_of
from kaxis.stats.apart import AGAINST, apart_means
from kaxis.stats.arrays import estimate
from kaxis.stats.blocks import asked, attributes, block, check_pair, check_there, difference, nets
from kaxis.stats.multiplicity import holm
from kaxis.stats.scales import NO_NUMBER, log_weights, off_scale, scaled

__all__ = ["AGAINST", "conflict", "differential"]


def conflict(
    cube: xr.Dataset,
    *,
    learner: str,
    baseline: str,
    synthetic: str,
    real: str,
    scale: str = "pp",
    drop_incomplete: bool = False,
    prob: float = 0.95,
) -> xr.Dataset:
    """Slope on ln K of the real leg minus that of the synthetic one, over the K that both have.

    Seeds of one number share initial weights and batch order where inputs have one size, and nothing of their data. One
    slope per seed, then Welch's interval, as of independent groups; but where both legs have the same seeds, and slopes
    of one number run against each other (``seed_correlation`` of `AGAINST` or below), the paired interval, since
    Welch's covers too little there. ``welch_ci`` and ``paired_ci`` (of the seeds in common) are both given. Effects at
    each K go by the same rule.

    Parameters
    ----------
    cube : Dataset
    learner, baseline : str
    synthetic, real : str
        Sources.
    scale : {"pp", "normalised", "logit"}
    drop_incomplete : bool
        Leave out seeds that lack a K, instead of refusing.
    prob : float
        Of the intervals.

    Returns
    -------
    Dataset
        ``slope`` with ``slope_ci`` over (leg,), ``difference`` of the slopes (real - synthetic) with ``ci`` of the kind
        in attrs, and ``p``: Welch's, or of pairs the exact sign-flip test's (``n_pairs`` seeds that were paired, else
        0);
        ``effect_difference`` with ``effect_ci``, ``effect_p``, Holm's ``effect_p_holm`` and ``effect_n_pairs`` over
        (K,); ``reversal``: whether both slopes' intervals exclude 0 on opposite sides, and that of their difference
        does. Units in attrs, and, where it is
        known, ``nets`` and the most samples that either source's training saw, each pass counted: ``samples_seen``.

    Raises
    ------
    KaxisError
        For a source that is not there, two legs of one image set (whose seeds share images: `differential`), or fewer
        than two K in common.
    """
    tables, units = _legs(cube, learner, baseline, (synthetic, real), scale, drop_incomplete)
    slopes = [xr.dot(table, log_weights(table.K.values), dim="K") for table in tables]
    out = _slopes_apart(slopes, prob).merge(_effects_apart(tables, prob)).assign_coords(leg=[synthetic, real])
    kind = "paired t" if int(out.n_pairs) else "Welch t"
    out.attrs |= {
        **attributes(cube.sel(source=[synthetic, real]), learner, baseline, kind=kind, prob=prob),
        "units": f"{units} per unit of ln K",
        "effect_units": units,
        "synthetic": synthetic,
        "real": real,
        "scale": scale,
        "family": f"one slope difference; {out.sizes['K']} effects at matched K, Holm",
    }
    out.attrs["notes"] += off_scale(cube.sel(source=[synthetic, real]), scale, (learner, baseline))
    if len(own := nets(cube.sel(source=[synthetic, real], learner=[learner, baseline]))) == 2:
        out.attrs["nets"] = [own[synthetic], own[real]]
    if {"epochs", "n_train"} <= set(cube):
        seen = (cube.epochs * cube.n_train).sel(learner=[learner, baseline]).max(("K", "learner", "seed"))
        if seen.sel(source=[synthetic, real]).notnull().all():
            out.attrs["samples_seen"] = [float(seen.sel(source=s)) for s in (synthetic, real)]
    return out


def _legs(
    cube: xr.Dataset, learner: str, baseline: str, sources: tuple[str, str], scale: str, drop_incomplete: bool
) -> tuple[list[xr.DataArray], str]:
    """Effects of either source, (seed, K), over the K that both have; and their units."""
    check_pair(cube, learner, baseline)
    for source in sources:
        check_there(cube, source, "source")
    if sources[0] == sources[1]:
        raise KaxisError(f"synthetic and real are both '{sources[1]}'; compare two sources")
    if (one := set_of(sources[0])) == set_of(sources[1]) != "synthetic":
        raise KaxisError(
            f"{sources[0]} and {sources[1]} are legs of one set, {one}, whose seeds share images: pair them, kaxis "
            f"analyze differential --slope --of {sources[1]} --against {sources[0]}"
        )
    accuracy, units = scaled(cube, scale, (learner, baseline))
    effects = difference(accuracy, learner, baseline)
    return _tables(cube, effects, learner, baseline, sources, drop_incomplete, NO_NUMBER[scale]), units


def _tables(
    cube: xr.Dataset, effects: xr.DataArray, learner: str, baseline: str, sources: tuple[str, str], drop: bool, why: str
) -> list[xr.DataArray]:
    """Effects of either source over the K that both have, seeds complete."""
    wanted = asked(cube, learner, baseline)
    held = [set(cube.K.values[wanted.sel(source=s).any("seed").values].tolist()) for s in sources]
    shared = sorted(held[0] & held[1])
    if len(shared) < 2:
        raise KaxisError(
            f"{sources[0]} and {sources[1]} have {len(shared)} values of K in common ({shared}); two are needed"
        )
    return [block(effects.sel(source=s), wanted.sel(source=s), s, shared, drop, why) for s in sources]


def _slopes_apart(slopes: list[xr.DataArray], prob: float) -> xr.Dataset:
    """Slopes of either leg, one a seed, and the second minus the first."""
    each = [estimate(slope.values, prob) for slope in slopes]
    apart = apart_means(slopes[0], slopes[1], prob)
    return xr.Dataset(
        {
            "slope": ("leg", [e.mean for e in each]),
            "slope_ci": (("leg", "ci_bound"), [[e.lower, e.upper] for e in each]),
            "slope_p": ("leg", [e.p for e in each]),
            "n_seeds": ("leg", [e.n for e in each]),
            "difference": apart.difference,
            "ci": ("ci_bound", [apart.lower, apart.upper]),
            "p": apart.p,
            "n_pairs": apart.n_pairs,
            "welch_ci": ("ci_bound", [apart.welch.lower, apart.welch.upper]),
            "df": apart.welch.df,
            "reversal": _excludes([*each, apart]) and each[0].mean * each[1].mean < 0,
            "seed_correlation": apart.r,
            "paired_ci": ("ci_bound", [apart.paired.lower, apart.paired.upper]),
        },
        coords={"ci_bound": ["lower", "upper"]},
    )


def _effects_apart(tables: list[xr.DataArray], prob: float) -> xr.Dataset:
    """The second leg's effects minus the first's at each K, by the rule of the slopes."""
    shared = tables[0].K.values.tolist()
    by_K = [apart_means(tables[0].sel(K=k), tables[1].sel(K=k), prob) for k in shared]
    p = np.array([w.p for w in by_K])
    return xr.Dataset(
        {
            "effect_difference": ("K", [w.difference for w in by_K]),
            "effect_ci": (("K", "ci_bound"), [[w.lower, w.upper] for w in by_K]),
            "effect_p": ("K", p),
            "effect_p_holm": ("K", holm(p)),
            "effect_n_pairs": ("K", [w.n_pairs for w in by_K]),
        },
        coords={"K": shared, "ci_bound": ["lower", "upper"]},
    )


def differential(
    cube: xr.Dataset,
    *,
    learner: str,
    baseline: str,
    of: str,
    against: str,
    K: tuple[int | None, int | None] = (None, None),
    slope: bool = False,
    scale: str = "pp",
    interval: str = "t",
    prob: float = 0.95,
) -> xr.Dataset:
    """The effect on one source minus that on another that shares its images, paired within the seed.

    For label views of one set: ``coarse`` against ``fine`` moves K and meaning together, ``merge:20`` against ``fine``
    K alone, ``coarse`` against ``merge:20`` meaning alone.

    Parameters
    ----------
    of, against : str
        Sources.
    K : pair of int or None
        Of either; None where it has one K.
    slope : bool
        Compare the slopes on ln K, over the values of K that both have, instead of the effects at one K.

    Returns
    -------
    Dataset
        ``effect`` (a seed's effect on `of` minus its effect on `against`), ``ci``, ``bootstrap_ci``, ``p``, ``wins``,
        ``n_seeds``; ``per_seed`` (seed,); ``K_of``, ``K_against`` (0 for a slope), and every K that went into either
        side as text: ``used_K_of``, ``used_K_against``.

    Raises
    ------
    KaxisError
        If a source is not there, has several K and none is named, or no seed has both.
    """
    if slope and K != (None, None):
        raise KaxisError("differential: K and slope; a slope takes every K that both have")
    columns, chosen, units = _columns(cube, learner, baseline, (of, against), None if slope else K, scale)
    per_seed = columns[0] - columns[1]
    d = per_seed.values[np.isfinite(per_seed.values)]
    if not len(d):
        raise KaxisError(f"no seed has both {of} and {against} done for {learner} and {baseline}")
    out = _one(per_seed, d, chosen, interval, prob)
    out.attrs |= {
        **attributes(cube.sel(source=[of, against]), learner, baseline, kind=interval, prob=prob),
        "quantity": "slope on ln K of " if slope else "",
        "units": units,
        "of": of,
        "against": against,
        "scale": scale,
        "family": "one",
    }
    out.attrs["notes"] += off_scale(cube.sel(source=[of, against]), scale, (learner, baseline))
    return out


def _columns(
    cube: xr.Dataset,
    learner: str,
    baseline: str,
    sources: tuple[str, str],
    K: tuple[int | None, int | None] | None,
    scale: str,
) -> tuple[list[xr.DataArray], list[list[int]], str]:
    """Of either source one number a seed, at its K, or (None) the slope; the values of K of either; units."""
    check_pair(cube, learner, baseline)
    if K is not None and (isinstance(K, int) or len(K) != 2):
        raise KaxisError(f"K = {K}: two values, of either source, e.g. K=(20, 100)")
    accuracy, units = scaled(cube, scale, (learner, baseline))
    effects = difference(accuracy, learner, baseline)
    for source in sources:
        check_there(cube, source, "source")
    if K is not None:
        return *_at(effects, sources, K), units
    tables = _tables(cube, effects, learner, baseline, sources, False, NO_NUMBER[scale])
    slopes = [xr.dot(table, log_weights(table.K.values), dim="K") for table in tables]
    return slopes, [table.K.values.tolist() for table in tables], f"{units} per unit of ln K"


def _one(per_seed: xr.DataArray, d: np.ndarray, K: list[list[int]], interval: str, prob: float) -> xr.Dataset:
    e = estimate(d, prob, interval)
    sides = dict(zip(("of", "against"), K, strict=True))
    return xr.Dataset(
        {
            "effect": e.mean,
            "ci": ("ci_bound", [e.lower, e.upper]),
            "bootstrap_ci": ("ci_bound", [e.boot_lower, e.boot_upper]),
            "p": e.p,
            "wins": e.wins,
            "n_seeds": e.n,
            "per_seed": per_seed.drop_vars(["source", "K"], errors="ignore"),
            **{f"K_{side}": used[0] if len(used) == 1 else 0 for side, used in sides.items()},
            **{f"used_K_{side}": " ".join(map(str, used)) for side, used in sides.items()},
        },
        coords={"ci_bound": ["lower", "upper"]},
    )


def _at(
    effects: xr.DataArray, sources: tuple[str, str], K: tuple[int | None, int | None]
) -> tuple[list[xr.DataArray], list[list[int]]]:
    """Effects of either source at its K."""
    columns, chosen = [], []
    for source, k in zip(sources, K, strict=True):
        own = effects.sel(source=source)
        values = [int(v) for v in own.K.values[own.notnull().any("seed").values]]
        if k is None and len(values) != 1:
            raise KaxisError(f"{source} has K = {', '.join(map(str, values)) or 'none done'}: name one with --K")
        k = values[0] if k is None else k
        if k not in values:
            raise KaxisError(f"{source} has no K = {k}; it has {', '.join(map(str, values))}")
        columns.append(own.sel(K=k, drop=True))
        chosen.append([k])
    return columns, chosen


def _excludes(estimates: list[Any]) -> bool:
    return all(e.lower > 0 or e.upper < 0 for e in estimates)
