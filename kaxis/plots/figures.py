"""The figures: the K-conflict and the paired plot."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

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
    name_lines,
    short,
    span,
)
from kaxis.plots.style import learner_looks, series_look, style
from kaxis.reference import published

__all__ = ["k_conflict", "paired"]


def k_conflict(effects: xr.Dataset, *, paper: bool = False) -> tuple[Figure, Rows]:
    """The difference between two learners along K, every source on one logarithmic axis (after the paper's central
    figure).

    Parameters
    ----------
    effects : Dataset
        From `kaxis.stats.effects.paired`.
    paper : bool
        Overlay the published points.

    Returns
    -------
    figure : Figure
    rows : list of dict
        The plotted numbers.
    """
    learner, baseline = effects.attrs["learner"], effects.attrs["baseline"]
    rows: Rows = []
    with style():
        figure = Figure(figsize=(3.3, 3.5))
        ax = figure.add_subplot()
        sources = [str(s) for s in effects.source.values if int(effects.n_seeds.sel(source=s).sum())]
        counts = effects.n_seeds.values[effects.n_seeds.values > 0]
        alike = counts.size > 0 and counts.min() == counts.max()
        apart, ends = min(1.06, 1.25 ** (1 / max(1, len(sources) - 1))), []
        for i, source in enumerate(sources):
            colour, marker, dash = series_look(i)
            one = effects.sel(source=source)
            one = one.isel(K=np.flatnonzero(one.n_seeds.values > 0))
            # Sources stand side by side at one K, so that intervals do not hide each other.
            x = one.K.values * apart ** (i - (len(sources) - 1) / 2)
            seeds = one.difference.transpose("K", "seed").values
            ax.plot(np.repeat(x * 1.025, seeds.shape[1]), seeds.ravel(), marker=marker, color=colour, **HOLLOW)
            mean_with_interval(ax, x, one, colour=colour, marker=marker, dash=dash)
            said = short(source) + ("" if alike else f" (n = {span(one.n_seeds.values)})")
            ends.append((float(x[-1]), float(one.effect[-1]), colour, said))
            rows += effect_rows(one, source)
        if paper:
            rows += _published_points(ax, learner, baseline)
            told = [line for line in ax.lines if str(line.get_label()).startswith("published")]
            for line in told:
                x, y = np.asarray(line.get_xydata())[-1]
                ends.append((float(x), float(y), "0.35", str(line.get_label())))
        k_axis(ax, {row["K"] for row in rows}, minus(learner, baseline, "test accuracy (pp)"))
        called = interval_name(effects.attrs)
        many = f", n = {counts[0]}" if alike else ""
        ax.set_title(f"Mean and {called} over seeds{many}", fontsize=9)
        if ends:
            name_lines(ax, ends, size=8)
    return figure, rows


def paired(
    cube: xr.Dataset, effects: xr.Dataset, source: str, contrast: xr.Dataset | None = None
) -> tuple[Figure, Rows]:
    """Same-seed slopes baseline -> learner at each K above; below, every seed's difference along K, and beside it the
    contrast.

    Parameters
    ----------
    cube : Dataset
    effects : Dataset
        From `kaxis.stats.effects.paired` on that cube.
    source : str
    contrast : Dataset, optional
        From `kaxis.stats.contrasts.contrast`: each seed's number, their mean and interval, on an axis of their own.

    Returns
    -------
    figure, list of dict
        The figure, and a row for each number that is drawn.
    """
    learner, baseline = effects.attrs["learner"], effects.attrs["baseline"]
    one = effects.sel(source=source)
    one = one.isel(K=np.flatnonzero(one.n_seeds.values > 0))
    K = one.K.values
    position = np.arange(len(K))
    accuracy = 100 * cube.test_accuracy.sel(source=source, K=K)
    looks = learner_looks([learner, baseline])
    done = np.isfinite(one.difference)
    with style():
        wide = max(4.2, 1.1 * len(K))
        figure = Figure(figsize=(wide + 1.6 * (contrast is not None), 5.2))
        grid = figure.subplot_mosaic(
            [["top"], ["bottom"]] if contrast is None else [["top", "."], ["bottom", "contrast"]],
            height_ratios=[3, 2],
            width_ratios=None if contrast is None else [wide, 1.1],
        )
        top, bottom = grid["top"], grid["bottom"]
        top.sharex(bottom)
        ends = {
            name: accuracy.sel(learner=name).where(done).transpose("K", "seed").values for name in (baseline, learner)
        }
        for i in range(len(K)):
            top.plot([i - 0.18, i + 0.18], [ends[baseline][i], ends[learner][i]], color="0.7", linewidth=0.8, zorder=1)
        for name, shift in ((baseline, -0.18), (learner, 0.18)):
            look = looks[name]
            x = np.repeat(position + shift, done.sizes["seed"])
            top.plot(x, ends[name].ravel(), **{**HOLLOW, "alpha": 0.9, **look}, label=name)
        top.set_ylabel("test accuracy (%)")
        called = f"mean and {interval_name(effects.attrs)}"
        figure.suptitle(f"{short(source)}: {called} over seeds, n = {span(one.n_seeds.values)}", fontsize=9)
        top.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2 if len(learner + baseline) <= 30 else 1)
        look = looks[learner]
        seeds = one.difference.transpose("seed", "K").values
        for line in seeds:
            bottom.plot(position - 0.1, line, color="0.8", linewidth=0.6, zorder=1)
            bottom.plot(position - 0.1, line, **{**HOLLOW, **look})
        mean_with_interval(bottom, position + 0.1, one, colour=look["color"], marker=look["marker"], dash="")
        bottom.axhline(0, color=BLACK, linewidth=0.8)
        bottom.set_xticks(position, [str(k) for k in K])
        top.tick_params(labelbottom=False)
        bottom.set_xlabel("number of classes K")
        bottom.set_ylabel(minus(learner, baseline, "(pp)", 24))  # both are whole in the legend
        rows = effect_rows(one, source)
        if contrast is not None and source in contrast.source.values:
            rows.append(_contrast_panel(grid["contrast"], contrast.sel(source=source), contrast.attrs, look))
    return figure, rows


def _contrast_panel(ax: Axes, one: xr.Dataset, about: dict[str, Any], look: dict[str, Any]) -> dict[str, Any]:
    seeds = one.per_seed.dropna("seed")
    ax.plot(np.full(seeds.size, -0.1), seeds.values, **{**HOLLOW, **look})
    mean, ci = float(one.effect), one.ci.values
    ax.errorbar([0.1], [mean], yerr=[[mean - ci[0]], [ci[1] - mean]], capsize=2.5, elinewidth=1.1, **look)
    ax.axhline(0, color=BLACK, linewidth=0.8)
    ax.set_xlim(-0.5, 0.5)
    ax.set_xticks([0], [about["contrast"]])
    ax.spines["left"].set_visible(False)
    ax.spines["right"].set_visible(True)
    ax.yaxis.tick_right()
    ax.yaxis.set_label_position("right")
    ax.set_ylabel(about["units"])
    row = {"source": str(one.source.item()), "contrast": about["contrast"], "effect": mean, "n_seeds": int(one.n_seeds)}
    row |= {"ci_lower": float(ci[0]), "ci_upper": float(ci[1])} | kind(about)
    return row | {f"seed_{int(s)}": float(v) for s, v in zip(seeds.seed.values, seeds.values, strict=True)}


def _published_points(ax: Axes, learner: str, baseline: str) -> Rows:
    tables = published()
    test = {(row["K"], row["learner"]): row["test"] for row in tables["synthetic"]}
    K = sorted({k for k, name in test if name == learner and (k, baseline) in test})
    rows: Rows = []
    if K:
        values = [round(test[k, learner] - test[k, baseline], 2) for k in K]
        ax.plot(
            K,
            values,
            color="0.45",
            marker="*",
            markersize=8,
            linestyle=":",
            label="published, synthetic (n = 5)",
            zorder=2,
        )
        rows += [{"source": "published synthetic", "K": k, "effect": v} for k, v in zip(K, values, strict=True)]
    real = [row for row in tables["real"] if (row["learner"], row["baseline"]) == (learner, baseline)]
    if real:
        label = f"published, CIFAR\n({real[0]['note']})"
        ax.plot(
            [r["K"] for r in real],
            [r["effect"] for r in real],
            color="0.45",
            marker="P",
            markersize=7,
            linestyle=":",
            label=label,
            zorder=2,
        )
        rows += [{"source": f"published {r['source']}", "K": r["K"], "effect": r["effect"]} for r in real]
    return rows
