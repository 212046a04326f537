"""Figures of effects: the band over all K, factors, slopes, places, and lists with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from kaxis.errors import KaxisError
from kaxis.plots.parts import (
    BLACK,
    HOLLOW,
    Rows,
    effect_rows,
    interval_name,
    k_axis,
    kind,
    mean_with_interval,
    minus,
    short,
    span,
)
from kaxis.plots.style import SERIES, learner_look, style
from kaxis.stats.intervals import constant

__all__ = ["band", "factorial", "forest", "places", "slopes"]

Row = Mapping[str, Any]


def band(effects: xr.Dataset, source: str) -> tuple[Figure, Rows]:
    """Effects of one source along K: every seed, the mean with its interval at each K, and the band that holds all K at
    once.

    Parameters
    ----------
    effects : Dataset
        From `kaxis.stats.effects.paired`.
    source : str

    Returns
    -------
    figure, list of dict
        The figure, and a row for each number that is drawn.

    Raises
    ------
    KaxisError
        If a seed lacks a K, for which there is no band.
    """
    one = effects.sel(source=source)
    one = one.isel(K=np.flatnonzero(one.n_seeds.values > 0))
    low, high = one.band.transpose("ci_bound", "K").values
    there = np.isfinite(one.difference.transpose("K", "seed").values)
    if there.sum() < 2 * len(there) or not (there == there[:1]).all():
        raise KaxisError(f"{source}: a band over all K needs two seeds or more, each done at every K")
    if not np.isfinite(low).all():
        same = ", ".join(
            str(k)
            for k, d in zip(one.K.values, one.difference.transpose("K", "seed").values, strict=True)
            if constant(d[np.isfinite(d)])
        )
        raise KaxisError(f"{source}: seeds do not differ at K = {same}, which leaves no band")
    learner, prob = effects.attrs["learner"], f"{100 * effects.attrs['ci_prob']:.10g} %"
    look, K = learner_look(learner), one.K.values
    with style():
        figure = Figure(figsize=(5.6, 3.8))
        ax = figure.add_subplot()
        ax.fill_between(K, low, high, color=look["color"], alpha=0.15, linewidth=0, label=f"{prob} band, all K at once")
        for line in one.difference.transpose("seed", "K").values:
            ax.plot(K * 0.97, line, **{**HOLLOW, **look})
        label = f"mean, {prob} {effects.attrs['ci_kind']} interval at each K"
        mean_with_interval(ax, K, one, colour=look["color"], marker=look["marker"], label=label)
        k_axis(ax, set(K.tolist()), minus(learner, effects.attrs["baseline"], "test accuracy (pp)"))
        ax.set_title(f"{source}, n = {int(one.n_seeds.max())}", fontsize=9)
        ax.legend(loc="best")
    rows = effect_rows(one, source)
    for row, a, b in zip(rows, low, high, strict=True):
        row |= {"band_lower": float(a), "band_upper": float(b)}
    return figure, rows


def forest(rows: Sequence[Row], xlabel: str, *, mark: tuple[float, str] | None = None) -> tuple[Figure, Rows]:
    """Estimates with their intervals, one below the other.

    Parameters
    ----------
    rows : sequence of mapping
        ``label``, ``effect``, ``ci_lower``, ``ci_upper``, and where series are to be told apart ``series``.
    xlabel : str
        What they estimate, its units, and what the intervals are.
    mark : (value, what it is), optional
        A vertical line.

    Returns
    -------
    figure, list of dict
        The figure, and a row for each number that is drawn.
    """
    labels = list(dict.fromkeys(str(r["label"]) for r in rows))
    series = list(dict.fromkeys(r.get("series", "") for r in rows))
    with style():
        figure = Figure(figsize=(6.0, 1.0 + 0.26 * len(labels) * max(1.0, 0.6 * len(series))))
        ax = figure.add_subplot()
        for i, name in enumerate(series):
            own = [r for r in rows if r.get("series", "") == name]
            y = [labels.index(str(r["label"])) + 0.6 * ((i + 0.5) / len(series) - 0.5) for r in own]
            x = np.array([r["effect"] for r in own])
            reach = np.abs(np.array([[r["ci_lower"], r["ci_upper"]] for r in own]).T - x)
            colour, marker = SERIES[i % len(SERIES)]
            ax.errorbar(
                x, y, xerr=reach, color=colour, marker=marker, markersize=4, linestyle="", capsize=2.5, label=name
            )
        ax.axvline(0, color=BLACK, linewidth=0.8)
        if mark is not None:
            ax.axvline(mark[0], color="0.45", linestyle=":", label=mark[1])
        ax.set_yticks(range(len(labels)), labels)
        ax.set_ylim(len(labels) - 0.4, -0.6)
        ax.set_xlabel(xlabel)
        if any(series) or mark is not None:
            ax.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2)
    return figure, [dict(r) for r in rows]


def slopes(rows: Sequence[Row], called: str) -> tuple[Figure, Rows]:
    """The slope along K of every source, one below the other.

    Parameters
    ----------
    rows : sequence of mapping
        ``source``, ``effect``, ``ci_lower``, ``ci_upper``, ``n_seeds``, ``steps`` of training (None where not known).
    called : str
        What is drawn.

    Returns
    -------
    figure, list of dict
        The figure, and a row for each number that is drawn.
    """
    long = ["" if r["steps"] is None else f", {r['steps']:,} steps" for r in rows]
    labels = [f"{short(str(r['source']))} (n = {r['n_seeds']}{steps})" for r, steps in zip(rows, long, strict=True)]
    return forest([{**r, "label": label} for r, label in zip(rows, labels, strict=True)], called)


def places(result: xr.Dataset) -> tuple[Figure, Rows]:
    """The place of every learner at one K: the share of resampled studies in which it is first, and where its true
    place may be.

    Parameters
    ----------
    result : Dataset
        From `kaxis.stats.rankings.rankings`, of one source and K.

    Returns
    -------
    figure, list of dict
        The figure, and a row for each number that is drawn.
    """
    one = result.isel(learner=np.flatnonzero(np.isfinite(result["rank"].values)))
    one = one.sortby("rank")
    names, n = [str(name) for name in one.learner.values], one.sizes["learner"]
    rows: Rows = []
    with style():
        longest = max(len(short(name)) for name in names)  # of which none takes the place of the axes
        figure = Figure(figsize=(4.0 + 0.07 * longest, 1.2 + 0.26 * n))
        ax = figure.add_subplot()
        for i, name in enumerate(names):
            at = one.isel(learner=i)
            low, high = at.place_ci.values
            ax.plot([low, high], [i, i], color="0.6", linewidth=4, solid_capstyle="round", zorder=1)
            ax.plot([float(at["rank"])], [i], "o", color=BLACK, markersize=4)
            if np.isfinite(at.best):  # of one seed no study can be resampled
                ax.annotate(f"{float(at.best):.0%}", (n + 0.6, i), fontsize=8, va="center", annotation_clip=False)
            row = {"learner": name, "mean_rank": float(at["rank"]), "place_lower": int(low), "place_upper": int(high)}
            rows.append(row | {"best": float(at.best), "n_seeds": int(one.n_seeds), "ci_prob": one.attrs["ci_prob"]})
        ax.set_yticks(range(n), [short(name) for name in names])
        ax.set_ylim(n - 0.4, -0.6)
        ax.set_xlim(0.7, n + 0.4)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        prob = f"{100 * one.attrs['ci_prob']:.10g} %"
        ax.set_xlabel(
            f"dot: mean rank; bar: place by true mean, {prob} (1 is best)\n"
            "at the right: best in this share of resampled studies"
        )
        ax.set_title(f"{short(str(one.source.item()))}, K = {int(one.K)}, n = {int(one.n_seeds)}", fontsize=9)
    return figure, rows


def factorial(result: xr.Dataset) -> tuple[Figure, Rows]:
    """What each factor carries of the difference between the corners along K, and that difference; a panel for each
    source.

    Parameters
    ----------
    result : Dataset
        From `kaxis.stats.factorial.factorial`.

    Returns
    -------
    figure, list of dict
        The figure, and a row for each number that is drawn.
    """
    sources, factors = [str(s) for s in result.source.values], result.attrs["factors"]
    lines = [("corners", "all of them", BLACK, "o")]
    lines += [(f"carried by {f}", f, *SERIES[i % len(SERIES)]) for i, f in enumerate(factors)]
    rows: Rows = []
    with style():
        figure = Figure(figsize=(3.2 * len(sources) + 1.2, 3.6))
        axes = figure.subplots(1, len(sources), squeeze=False)[0]
        for ax, source in zip(axes, sources, strict=True):
            drawn: set[int] = set()
            for i, (term, label, colour, marker) in enumerate(lines):
                one = result[["effect", "ci", "n_seeds"]].sel(source=source, term=term)
                one = one.isel(K=np.flatnonzero(one.n_seeds.values > 0))
                x = one.K.values * 1.035 ** (i - len(lines) / 2)
                mean_with_interval(ax, x, one, colour=colour, marker=marker, label=label)
                drawn |= set(one.K.values.tolist())
                for k in one.K.values:
                    at = one.sel(K=k)
                    ends = {"ci_lower": float(at.ci[0]), "ci_upper": float(at.ci[1]), "n_seeds": int(at.n_seeds)}
                    row = {"source": source, "K": int(k), "term": term, "effect": float(at.effect)}
                    rows.append(row | ends | kind(result.attrs))
            k_axis(ax, drawn, f"carried ({result.attrs['units']})" if ax is axes[0] else "")
            ax.set_title(short(source, 34), fontsize=9)
        axes[-1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
        what, n = "All switches on minus all off, and what each carries", span([row["n_seeds"] for row in rows] or [0])
        figure.suptitle(f"{what}; mean and {interval_name(result.attrs)}, n = {n}", fontsize=9)
    return figure, rows
