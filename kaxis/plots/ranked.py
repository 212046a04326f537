"""Many learners against one baseline along K, each named where its line ends."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from kaxis.errors import KaxisError
from kaxis.plots.parts import Rows, effect_rows, k_axis, name_lines
from kaxis.plots.style import series_look, style

__all__ = ["ranked"]


def ranked(effects: Mapping[str, xr.Dataset], source: str, *, floor: float | None = None) -> tuple[Figure, Rows]:
    """Mean effect of every learner along K with its interval, ordered by the effect at the largest K.

    Parameters
    ----------
    effects : mapping of str to Dataset
        By learner, each from `kaxis.stats.effects.paired` against the same baseline.
    source : str
    floor : float, optional
        Effects below it (pp) are drawn at it; their numbers, at the labels and beside the figure, are whole.

    Returns
    -------
    figure, list of dict
        The figure, and a row for each number that is drawn.

    Raises
    ------
    KaxisError
        If there is nothing to draw.
    """
    own = {name: one.sel(source=source) for name, one in effects.items()}
    own = {name: one.isel(K=np.flatnonzero(one.n_seeds.values > 0)) for name, one in own.items()}
    own = {name: one for name, one in own.items() if one.sizes["K"]}
    if not own:
        raise KaxisError(f"{source}: no learner has a seed beside the baseline")
    order = sorted(own, key=lambda name: -float(own[name].effect[-1]))
    baseline = next(iter(own.values())).attrs["baseline"]
    counts = [int(c) for one in own.values() for c in one.n_seeds.values]
    n = str(max(counts)) if min(counts) == max(counts) else f"{min(counts)}-{max(counts)}"
    prob = 100 * own[order[0]].attrs["ci_prob"]
    with style():
        figure = Figure(figsize=(5.9, max(4.0, 1.2 + 0.24 * len(order))), layout="constrained")
        ax = figure.add_subplot()
        ax.axhline(0, color="0.6", linewidth=0.8)
        ends = []
        for i, name in enumerate(order):
            one, (colour, marker, dash) = own[name], series_look(i)
            K = one.K.values * 1.012 ** (i - len(order) / 2)  # apart, so that intervals do not hide each other
            mean, (low, high) = one.effect.values, one.ci.transpose("ci_bound", "K").values
            if floor is not None:
                low, high, mean = (np.maximum(v, floor) for v in (low, high, mean))
            ax.plot(K, mean, dash, color=colour, marker=marker, markersize=3.5, linewidth=1.0)
            ax.vlines(K, low, high, color=colour, linewidth=0.9, alpha=0.7)
            ends.append((float(K[-1]), float(mean[-1]), colour))
        k_axis(ax, {int(k) for one in own.values() for k in one.K.values}, f"learner - {baseline}, test accuracy (pp)")
        kind, cut = own[order[0]].attrs["ci_kind"], "" if floor is None else f"; what is below {floor:g} is drawn there"
        ax.set_title(f"{source}: mean and {prob:.10g} % {kind} interval, n = {n}{cut}", fontsize=9)
        name_lines(
            ax, [(*end, f"{name} {float(own[name].effect[-1]):+.1f}") for name, end in zip(order, ends, strict=True)]
        )
    rows: Rows = []
    for name in order:
        rows += [{"learner": name, **row} for row in effect_rows(own[name], source)]
    return figure, rows
