"""Factorial designs over learners: which switch carries the difference, by contrasts within each seed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from kaxis.errors import KaxisError, hint
from kaxis.spec.learners import parse
from kaxis.stats.blocks import asked, check_there, estimates, incomplete
from kaxis.stats.multiplicity import holm
from kaxis.stats.scales import log_weights, off_scale, scaled

__all__ = ["FACTORS", "factorial", "find_design"]

FACTORS: dict[str, tuple[str, str]] = {
    "gradient": ("global", "local"),
    "power": ("1", "2"),
    "temperature": ("1", "learned"),
    "readout": ("learned", "fixed"),
}
"""Switches with BP-DeepSup's level and DTG-FF's (paper, section on DTG-FF)."""

Design = dict[tuple[int, ...], str]


def factorial(
    cube: xr.Dataset,
    *,
    factors: Sequence[str] = tuple(FACTORS),
    design: Mapping[str, Mapping[str, int]] | None = None,
    scale: str = "pp",
    interval: str = "t",
    prob: float = 0.95,
) -> xr.Dataset:
    """Main effects, interactions, and what each factor carries of the difference between the two corners, along K.

    With y the accuracy of the 2^k learners of one seed and factors coded -1 and +1, the effect of a set of factors is
    sum(product of their codes * y) / 2^(k-1). What a factor carries is its Shapley value (1953): what switching it on
    adds, averaged over all orders of switching; they add up to the difference of the corners, in every seed.

    Parameters
    ----------
    cube : Dataset
    factors : sequence of str
        Keys of `FACTORS`; the store needs a learner for every combination, alike in all else.
    design : mapping of learner to mapping of factor to 0 or 1, optional
        For learners that are not rows of our table.
    scale, interval, prob
        As in `kaxis.paired`.

    Returns
    -------
    Dataset
        Over (source, K, term): ``effect``, ``ci``, ``p`` and ``n_seeds``, as in `kaxis.paired`; ``p_holm`` over the
        terms of one kind at one K. Over (source, term): ``slope`` on ln K, ``slope_ci``, ``slope_p``, ``slope_p_holm``
        (over terms of one kind), ``slope_n``, of seeds complete along K. ``kind`` of each term: main, carried, corners
        (all factors on minus all off), interaction. ``difference`` (source, K, term, seed).

    Raises
    ------
    KaxisError
        For a factor that there is not, or a design that is not complete, naming a combination that lacks.
    """
    runs = find_design(cube, factors) if design is None else _given(cube, factors, design)
    accuracy, unit = scaled(cube, scale, list(runs.values()))
    numbers, kind = _numbers(accuracy, list(factors), runs)
    out = estimates(numbers, interval, prob)
    out["p_holm"] = _holm_by_kind(out.p.transpose("source", "K", "term"), kind)
    out = out.merge(_slopes(numbers, asked(cube, *runs.values()), kind, interval, prob))
    out = out.assign_coords(kind=kind)
    out["difference"] = numbers
    high, low = runs[tuple([1] * len(factors))], runs[tuple([0] * len(factors))]
    out.attrs |= {
        "ci_kind": interval,
        "ci_prob": prob,
        "units": unit,
        "scale": scale,
        "learner": high,
        "baseline": low,
        "factors": list(factors),
        "family": "terms of one kind (main, carried, interaction) at one K of one source, or their slopes: Holm",
        "origin": cube.attrs.get("origin", "store"),
        "notes": [*incomplete(cube, *runs.values()), *off_scale(cube, scale, list(runs.values()))],
    }
    return out


def _numbers(accuracy: xr.DataArray, factors: list[str], runs: Design) -> tuple[xr.DataArray, xr.DataArray]:
    """Each seed's number of each term, (source, K, term, seed), and each term's kind."""
    y = accuracy.sel(learner=list(runs.values())).transpose("source", "K", "seed", "learner")
    terms = _terms(factors, np.array(list(runs)))
    weights = xr.DataArray(np.array([w for _, w in terms.values()]), {"term": list(terms)}, ("term", "learner"))
    numbers = xr.dot(y, weights.assign_coords(learner=y.learner), dim="learner").where(y.notnull().all("learner"))
    return numbers, xr.DataArray([k for k, _ in terms.values()], {"term": list(terms)}, "term")


def find_design(cube: xr.Dataset, factors: Sequence[str]) -> Design:
    """The learners of a full two-level design among those of a cube, by their codes (0 BP-DeepSup's level, 1 DTG-FF's).

    Learners must agree in every switch and setting that is no factor; other learners are no part of it.
    """
    if unknown := [f for f in factors if f not in FACTORS]:
        raise KaxisError(f"factor '{unknown[0]}' is not {hint(unknown[0], FACTORS)}")
    if not factors or len(set(factors)) < len(factors):
        raise KaxisError(f"factors {' '.join(factors) or 'none'}: one or more, each once")
    groups: dict[tuple[tuple[str, str], ...], Design] = {}
    for name in map(str, cube.learner.values):
        try:
            row = parse(name)
        except KaxisError:
            continue  # not of our table: no part of the design
        if row.rule is not None:
            continue  # code, without switches
        switches = row.switches() | dict(row.overrides)
        levels = [str(switches.pop(f)) for f in factors]
        if all(level in FACTORS[f] for f, level in zip(factors, levels, strict=True)):
            code = tuple(FACTORS[f].index(level) for f, level in zip(factors, levels, strict=True))
            groups.setdefault(tuple(sorted((k, str(v)) for k, v in switches.items())), {})[code] = name
    whole = [rest for rest, runs in groups.items() if len(runs) == 2 ** len(factors)]
    if len(whole) > 1:
        differ = sorted({key for rest in whole for key, _ in set(rest) ^ set(whole[0])})
        raise KaxisError(
            f"{len(whole)} full designs of {' x '.join(factors)} are there, which differ in {', '.join(differ)}: "
            "add factors, or choose learners"
        )
    largest = max(groups.values(), key=len, default={})
    for code in itertools.product((0, 1), repeat=len(factors)):
        if code not in largest:
            lacking = ", ".join(f"{f}={FACTORS[f][c]}" for f, c in zip(factors, code, strict=True))
            raise KaxisError(
                f"no full design of {' x '.join(factors)}: of {2 ** len(factors)} learners {len(largest)} are "
                f"there, one with {lacking} lacks"
            )
    return dict(sorted(largest.items()))


def _given(cube: xr.Dataset, factors: Sequence[str], design: Mapping[str, Mapping[str, int]]) -> Design:
    for name, levels in design.items():
        if wrong := [f for f in factors if levels.get(f) not in (0, 1)]:
            raise KaxisError(f"design: {name} has {wrong[0]} = {levels.get(wrong[0])}: 0 or 1")
    runs = {tuple(int(levels[f]) for f in factors): name for name, levels in design.items()}
    wanted = set(itertools.product((0, 1), repeat=len(factors)))
    if set(runs) != wanted or len(design) != len(wanted):
        raise KaxisError(f"design: {len(design)} learners do not name each of the {len(wanted)} combinations once")
    for name in runs.values():
        check_there(cube, name)
    return dict(sorted(runs.items()))


def _terms(factors: list[str], codes: np.ndarray) -> dict[str, tuple[str, np.ndarray]]:
    """Weights over the learners (rows of `codes`) of every term, with its kind."""
    k, signs = len(factors), 2 * codes - 1
    terms: dict[str, tuple[str, np.ndarray]] = {}
    for i, factor in enumerate(factors):
        terms[factor] = ("main", signs[:, i] / 2 ** (k - 1))
    for i, factor in enumerate(factors):
        others = codes.sum(1) - codes[:, i]
        share = np.array([math.factorial(n) * math.factorial(k - n - 1) / math.factorial(k) for n in others])
        terms[f"carried by {factor}"] = ("carried", signs[:, i] * share)
    terms["corners"] = ("corners", (codes.all(1).astype(float) - (~codes.any(1)).astype(float)))
    for size in range(2, k + 1):
        for chosen in itertools.combinations(range(k), size):
            name = " x ".join(factors[i] for i in chosen)
            terms[name] = ("interaction", signs[:, chosen].prod(1) / 2 ** (k - 1))
    return terms


def _holm_by_kind(p: xr.DataArray, kind: xr.DataArray) -> xr.DataArray:
    """Holm over the terms of one kind, which lie along the last axis, each remaining place by itself."""
    out = p.copy(data=np.full(p.shape, np.nan))
    for name in dict.fromkeys(kind.values):
        chosen = np.flatnonzero(kind.values == name)
        out.values[..., chosen] = np.apply_along_axis(holm, -1, p.values[..., chosen])
    return out


def _slopes(numbers: xr.DataArray, wanted: xr.DataArray, kind: xr.DataArray, interval: str, prob: float) -> xr.Dataset:
    """Slopes on ln K of every term over the K that were asked for; NaN for a source with one K or no seed that is
    complete along K.
    """
    rows = []
    for source in numbers.source.values:
        own = numbers.sel(source=source)
        own = own.isel(K=np.flatnonzero(wanted.sel(source=source).any("seed")))
        if own.sizes["K"] > 1:
            whole = own.notnull().all("K")
            per_seed = xr.dot(own.fillna(0), log_weights(own.K.values), dim="K").where(whole)
        else:
            per_seed = xr.full_like(numbers.sel(source=source).isel(K=0), np.nan)
        rows.append(estimates(per_seed.drop_vars(["source", "K"], errors="ignore"), interval, prob))
    out = xr.concat(rows, xr.IndexVariable("source", numbers.source.values))
    named = {"effect": "slope", "ci": "slope_ci", "p": "slope_p", "n_seeds": "slope_n"}
    out = out[list(named)].rename(named)
    out["slope_p_holm"] = _holm_by_kind(out.slope_p.transpose("source", "term"), kind)
    return out
