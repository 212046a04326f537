"""Effects class by class, in small multiples."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from kaxis.errors import KaxisError
from kaxis.plots.parts import BLACK, Rows, kind, minus, panels, short
from kaxis.plots.style import learner_look, style

__all__ = ["per_class"]

NAMED = 3
"""Classes at either end that are named."""


def per_class(result: xr.Dataset, source: str) -> tuple[Figure, Rows]:
    """Effects of one source class by class, a panel for each K: classes in the order of their effects, with intervals.

    Parameters
    ----------
    result : Dataset
        From `kaxis.measure.images.per_class`.
    source : str

    Returns
    -------
    figure, list of dict
        The figure, and a row for each number that is drawn.

    Raises
    ------
    KaxisError
        If there is nothing to draw.
    """
    one, about = result.sel(source=source), result.attrs
    K = [k for k in one.K.values if int(one.n_seeds.sel(K=k).sum())]
    if not K:
        raise KaxisError(f"{source}: no class has an effect")
    rows: Rows = []
    look = learner_look(about["learner"])
    with style():
        figure, axes, _ = panels(len(K), 3, (2.4, 2.4), (0.6, 0.5), sharey=True)
        for ax, k in zip(axes, K, strict=True):
            at = one.sel(K=k)
            at = at.isel({"class": np.flatnonzero(at.n_seeds.values > 0)}).sortby("effect")
            place, effect, names = np.arange(at.sizes["class"]), at.effect.values, [str(c) for c in at["class"].values]
            low, high_ = at.ci.transpose("ci_bound", "class").values
            ax.vlines(place, low, high_, color=look["color"], linewidth=0.7, alpha=0.5)
            ax.plot(place, effect, linestyle="", markersize=2.5, **look)
            ax.axhline(0, color=BLACK, linewidth=0.8, zorder=0)
            ax.set_title(f"K = {k}, up to {int(at.n_seeds.max())} seeds a class", fontsize=9)
            ax.set_xticks([])
            if len(names) > 1:
                lowest, highest = (
                    ", ".join(short(n, 14) for n in part) for part in (names[:NAMED], names[-NAMED:][::-1])
                )
                ax.annotate(f"lowest: {lowest}", (0.03, 0.02), xycoords="axes fraction", fontsize=6)
                ax.annotate(f"highest: {highest}", (0.03, 0.95), xycoords="axes fraction", fontsize=6)
            for i, name in enumerate(names):
                row = {"source": source, "K": int(k), "class": name, "effect": float(effect[i])}
                ends_of = {"ci_lower": float(low[i]), "ci_upper": float(high_[i])}
                rows.append(row | ends_of | {"n_seeds": int(at.n_seeds[i])} | kind(about))
        reach = max(1.15 * float(np.nanmax(np.abs([*one.effect.values.ravel(), *one.ci.values.ravel()]))), 1.0)
        axes[0].set_ylim(-reach, reach)
        figure.supylabel(minus(about["learner"], about["baseline"], "(pp)"), fontsize=9)
        called = f"{100 * about['ci_prob']:.10g} % {about['ci_kind']} interval over seeds and samples"
        figure.suptitle(f"{short(source)}, class by class; {called}", fontsize=9)
    return figure, rows
