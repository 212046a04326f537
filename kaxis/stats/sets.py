"""Over data sets: one number a set, its mean over sets, and what a new set would show."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr
from scipy.special import stdtrit

from kaxis.errors import KaxisError
from kaxis.spec.catalog import set_of
from kaxis.stats.blocks import check_there
from kaxis.stats.intervals import check_interval, constant
from kaxis.stats.per_seed import numbers

__all__ = ["FEWEST", "over_sets"]

FEWEST = 3
"""Sets without which nothing is said of others."""


def over_sets(
    cube: xr.Dataset,
    *,
    learner: str,
    baseline: str,
    sources: list[str] | None = None,
    K: int | None = None,
    prob: float = 0.95,
    **shape: Any,
) -> xr.Dataset:
    """A slope (or effect) of each set, and over sets: mean, heterogeneity, and the interval of a new set.

    Sets count alike (Hartung and Knapp's variance with equal weights: the standard error of the sets' own means), which
    holds its level where each set's error is known from few seeds; with weights by precision (`hk_ci`) it does not.

    Parameters
    ----------
    cube : Dataset
    learner, baseline : str
    sources : list of str, optional
        The sets; all of the cube that are not synthetic.
    K : int, optional
        The effect at one K, instead of the contrast along K.
    prob : float
        Of the intervals.
    **shape
        `low`, `high` or `shape` of `kaxis.contrast`; its slope without.

    Returns
    -------
    Dataset
        Over (source,): ``effect``, ``se``, ``n_seeds``. Over sets: ``mean`` with ``ci``; ``new_ci``, where the estimate
        of a new set lies, drawn and measured as these were; ``hk_ci``, Hartung and Knapp's interval with weights by
        precision; ``tau`` (spread of the sets' true effects, Paule and Mandel), ``I2`` (share of the variance that it
        is), both from variances that few seeds know badly; ``anova_p`` (of no heterogeneity, Welch's analysis of
        variance over the sets' seeds) and ``Q_p`` (by Cochran's Q as chi-square, as published where each set's error
        is known: of five seeds it errs in 13 to 32 % of cases where it says 5); ``n_sets``.

    Raises
    ------
    KaxisError
        For fewer than three sets, two sources of one set, a set with fewer than two seeds or no spread.
    """
    names = sources or [str(s) for s in cube.source.values if set_of(str(s)) != "synthetic"]
    for name in names:
        check_there(cube, name, "source")
    of: dict[str, list[str]] = {}
    for name in names:
        of.setdefault(set_of(name), []).append(name)
    if twice := [legs for legs in of.values() if len(legs) > 1]:
        raise KaxisError(f"sets: {' and '.join(twice[0][:3])} are one set; choose with --source")
    check_interval("t", prob)
    from statsmodels.stats.oneway import anova_oneway

    d, about = numbers(cube.sel(source=names), learner, baseline, K, shape)
    if lost := [name for name in sources or () if name not in d.source.values]:
        why = next((r for r in about.get("refused", []) if r.startswith(f"{lost[0]}:")), f"{lost[0]}: no such number")
        raise KaxisError(f"sets: {why}")
    if d.sizes["source"] < FEWEST:
        raise KaxisError(
            f"sets: {FEWEST} or more are needed, there is {d.sizes['source']}: {', '.join(map(str, d.source.values))}"
        )
    for name in map(str, d.source.values):
        own = d.sel(source=name).dropna("seed").values
        if len(own) < 2 or constant(own):
            raise KaxisError(f"sets: {name} has {len(own)} seeds{' without a spread' if len(own) > 1 else ''}")
    effect, n = d.mean("seed"), d.notnull().sum("seed")
    se = d.std("seed", ddof=1) / np.sqrt(n)
    out = xr.Dataset({"effect": effect, "se": se, "n_seeds": n}).merge(_together(effect.values, se.values, prob))
    seeds = [d.sel(source=name).dropna("seed").values for name in d.source.values]
    out["anova_p"] = float(anova_oneway(seeds, use_var="unequal").pvalue)
    out.attrs = about | {"ci_kind": "t over sets", "ci_prob": prob, "family": "one question over sets"}
    return out


def _together(effect: Any, se: Any, prob: float) -> xr.Dataset:
    from statsmodels.stats.meta_analysis import combine_effects

    k = len(effect)
    mean, spread = float(effect.mean()), float(effect.std(ddof=1))
    t = float(stdtrit(k - 1, (1 + prob) / 2))
    weighted = combine_effects(effect, se**2, method_re="iterated", use_t=True, alpha=1 - prob)
    half = t * float(weighted.sd_eff_w_re_hksj)
    tau2 = float(weighted.tau2)
    weights = 1 / se**2
    typical = (k - 1) * weights.sum() / (weights.sum() ** 2 - (weights**2).sum())  # Higgins & Thompson 2002
    Q = float((weights * (effect - (weights * effect).sum() / weights.sum()) ** 2).sum())
    from scipy.stats import chi2

    bounds = ["lower", "upper"]
    pair = {
        "ci": (mean - t * spread / math.sqrt(k), mean + t * spread / math.sqrt(k)),
        "new_ci": (mean - t * spread * math.sqrt(1 + 1 / k), mean + t * spread * math.sqrt(1 + 1 / k)),
        "hk_ci": (weighted.mean_effect_re - half, weighted.mean_effect_re + half),
    }
    one = {
        "mean": mean,
        "hk_mean": float(weighted.mean_effect_re),
        "tau": math.sqrt(tau2),
        "I2": tau2 / (tau2 + typical),
    }
    return xr.Dataset(
        {name: ("ci_bound", list(ends)) for name, ends in pair.items()}
        | {**one, "Q_p": float(chi2.sf(Q, k - 1)), "n_sets": k},
        coords={"ci_bound": bounds},
    )
