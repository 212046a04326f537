"""Figures along training: accuracies, and the slope along K."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from kaxis.plots.parts import (
    BLACK,
    HOLLOW,
    Rows,
    interval_name,
    kind,
    mean_with_interval,
    minus,
    name_lines,
    panels,
    short,
    span,
)
from kaxis.plots.style import learner_looks, series_look, style

__all__ = ["curves", "slope_steps"]


def slope_steps(result: xr.Dataset) -> tuple[Figure, Rows]:
    """The slope along K against the number of training steps or epochs, every source: a slope says little without it.

    Parameters
    ----------
    result : Dataset
        From `kaxis.stats.contrasts.slope_steps`.

    Returns
    -------
    figure, list of dict
        The figure, and a row for each number that is drawn.
    """
    about, by = result.attrs, "epoch" if "epoch" in result.dims else "step"
    rows: Rows = []

    def aside(x: Any, places: float) -> Any:
        """Looks after steps lie on a scale of ratios, those after epochs at equal distances."""
        return x * 1.04**places if by == "step" else x + places * 0.012 * float(result[by].max())

    with style():
        figure = Figure(figsize=(3.8, 3.5))
        ax = figure.add_subplot()
        sources = [str(s) for s in result.source.values]
        ends = []
        for i, source in enumerate(sources):
            colour, marker, dash = series_look(i)
            one = result.sel(source=source)
            one = one.isel({by: np.flatnonzero(one.n_seeds.values > 0)})
            x = aside(one[by].values, i - (len(sources) - 1) / 2)
            seeds = one.per_seed.transpose(by, "seed").values
            ax.plot(np.repeat(aside(x, 0.5), seeds.shape[1]), seeds.ravel(), marker=marker, color=colour, **HOLLOW)
            mean_with_interval(ax, x, one, colour=colour, marker=marker, dash=dash, along=by)
            said = f"{short(source)} (n = {span(one.n_seeds.values)})"
            ends.append((float(x[-1]), float(one.effect[-1]), colour, said))
            for look in one[by].values.tolist():
                at = one.sel({by: look})
                row = {"source": source, by: look, "effect": float(at.effect), "n_seeds": int(at.n_seeds)}
                row |= {"ci_lower": float(at.ci[0]), "ci_upper": float(at.ci[1])} | kind(about)
                rows.append(row | {f"seed_{int(s)}": float(at.per_seed.sel(seed=s)) for s in one.seed.values})
        ax.axhline(0, color=BLACK, linewidth=0.8, zorder=0)
        if by == "step":
            ax.set_xscale("log")
            ticks = sorted({row[by] for row in rows})
            ax.set_xticks(ticks, [f"{t:,}" for t in ticks], rotation=0 if len(ticks) < 9 else 60)
            ax.minorticks_off()
        ax.set_xlabel("training steps" if by == "step" else "epochs")
        ax.set_ylabel(f"{about['contrast']}\n({about['units']})")
        called = interval_name(about)
        ax.set_title(f"{minus(about['learner'], about['baseline'], 'along training')}; mean and {called}", fontsize=9)
        name_lines(ax, ends, size=8)
    return figure, rows


def curves(cube: xr.Dataset, source: str, learners: Sequence[str]) -> tuple[Figure, Rows]:
    """Train (dashed) and test accuracy along training, mean over seeds, a panel for each K."""
    one = cube.sel(source=source, learner=list(learners))
    K = [k for k in one.K.values if (one.status.sel(K=k) == "done").any()]
    rows: Rows = []
    looks = learner_looks(map(str, cube.learner.values))  # the same in the figure of every source
    with style():
        figure, axes, wide = panels(len(K), 3, (2.2, 2.2), (1.0, 0.4), sharex=True, sharey=True)
        for ax, k in zip(axes, K, strict=True):
            for name in learners:
                for split, dash in (("test", "-"), ("train", "--")):
                    line = 100 * one[f"{split}_accuracy_curve"].sel(K=k, learner=name)
                    line = line.isel(step=np.flatnonzero(line.notnull().any("seed"))).mean("seed")
                    ax.plot(
                        line.step + 1,
                        line,
                        dash,
                        **looks[name],
                        markersize=3,
                        label=name if split == "test" else None,
                    )
                    rows += [
                        {
                            "source": source,
                            "K": int(k),
                            "learner": name,
                            "split": split,
                            "step": int(s),
                            "accuracy": float(v),
                        }
                        for s, v in zip(line.step.values, line.values, strict=True)
                    ]
            ax.set_xscale("log")
            ax.xaxis.set_major_formatter(lambda step, _: f"{step:,.0f}")  # no mathematics: text is text
            ax.set_title(f"K = {k}")
        for ax in axes[-wide:]:
            ax.set_xlabel("step + 1")
            ax.tick_params(labelbottom=True)
        figure.supylabel("accuracy (%), train dashed", fontsize=9)
        done = (one.status.sel(learner=list(learners)) == "done").any("learner").sum("seed")
        figure.suptitle(f"{short(source)}: mean over seeds, n = {span(done.sel(K=K).values)}", fontsize=9)
        axes[wide - 1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure, rows
