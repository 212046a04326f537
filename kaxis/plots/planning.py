"""What a study can say: power against the number of seeds, and what intervals cover."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from kaxis.errors import KaxisError
from kaxis.plots.parts import BLACK, Rows, panels, short
from kaxis.plots.style import SERIES, series_look, style

__all__ = ["coverage", "power"]

Row = Mapping[str, Any]


def coverage(rows: Sequence[Row], *, near: float = 0.015) -> tuple[Figure, Rows]:
    """What intervals cover against the number of seeds, a panel for each shape of the seeds' numbers.

    Parameters
    ----------
    rows : sequence of mapping
        From `kaxis.stats.simulate.coverage`.
    near : float
        Half the width of the strip around what they say.

    Returns
    -------
    figure, list of dict
        The figure, and a row for each number that is drawn.
    """
    shapes = list(dict.fromkeys(r["shape"] for r in rows))
    kinds = list(dict.fromkeys(r["interval"] for r in rows))
    with style():
        figure = Figure(figsize=(2.4 * len(shapes) + 1.6, 3.0))
        axes = figure.subplots(1, len(shapes), sharey=True, squeeze=False)[0]
        for ax, shape in zip(axes, shapes, strict=True):
            nominal = rows[0]["nominal"]
            ax.axhspan(100 * (nominal - near), 100 * (nominal + near), color="0.9", linewidth=0)
            ax.axhline(100 * nominal, color=BLACK, linewidth=0.8)
            for i, kind in enumerate(kinds):
                own = [r for r in rows if (r["shape"], r["interval"]) == (shape, kind)]
                n, y = [r["n_seeds"] for r in own], np.array([100 * r["covers"] for r in own])
                reach = np.abs(np.array([[100 * r["low"], 100 * r["high"]] for r in own]).T - y)
                colour, marker = SERIES[i % len(SERIES)]
                ax.errorbar(n, y, yerr=reach, color=colour, marker=marker, capsize=2, label=kind)
                ax.set_xticks(n, [str(v) for v in n])
            ax.set_title(f"{shape} seeds")
            ax.set_xlabel("seeds n")
        axes[0].set_ylabel("intervals with the truth inside (%)")
        figure.suptitle(
            f"What intervals that say {100 * rows[0]['nominal']:g} % cover: {rows[0]['question']}", fontsize=9
        )
        axes[-1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure, [dict(r) for r in rows]


def power(curves: Mapping[str, Sequence[Row]], effect: float, *, target: float = 0.8) -> tuple[Figure, Rows]:
    """Power of the two-sided t test against the number of seeds, a curve for each spread, a panel for each source.

    Parameters
    ----------
    curves : mapping of str to sequence of mapping
        Label to rows with ``n_seeds`` and ``power``, and ``source`` where there are several.
    effect : float
        To be shown, in the curves' units.
    target : float
        Wanted power, drawn as a line.

    Returns
    -------
    figure, list of dict
        The figure, and a row for each number that is drawn.
    """
    curves = {label: rows for label, rows in curves.items() if rows}
    if not curves:
        raise KaxisError("power: no curve to draw")
    sources = list(dict.fromkeys(str(r.get("source", "")) for rows in curves.values() for r in rows))
    with style():
        figure, axes, wide = panels(len(sources), 2, (4.9, 2.4), (1.0, 0.8), sharex=True, sharey=True)
        for ax, source in zip(axes, sources, strict=True):
            own = {label: rows for label, rows in curves.items() if str(rows[0].get("source", "")) == source}
            for i, (label, rows) in enumerate(own.items()):
                colour, marker, dash = series_look(i)
                x, y = [r["n_seeds"] for r in rows], [r["power"] for r in rows]
                called = label.removeprefix(f"{source}, ")
                ax.plot(x, y, dash, color=colour, marker=marker, markersize=3, label=called)
            ax.axhline(target, color=BLACK, linewidth=0.8, linestyle=":")
            ax.axvline(6, color="0.7", linewidth=0.8, zorder=0)
            ax.set_title(short(source, 36), fontsize=9)
            ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=7)
        axes[0].set_ylim(0, 1.02)
        axes[0].xaxis.set_major_locator(MaxNLocator(integer=True))
        for ax in axes[-wide:]:
            ax.set_xlabel("seeds n; from 6 on the exact test can reject", fontsize=8)
            ax.tick_params(labelbottom=True)
        figure.supylabel(f"power to show an effect of {effect:g}", fontsize=9)
    return figure, [{"curve": label, **r} for label, rows in curves.items() for r in rows]
