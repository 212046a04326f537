"""Figures of the systems audit: where a step's memory goes and what it buys, and which loss reaches which layer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kaxis.measure.options import shape_of
from kaxis.plots.parts import BLACK, Rows
from kaxis.plots.style import SERIES, learner_looks, style

__all__ = ["audit", "locality"]

Row = Mapping[str, Any]
MiB = 2**20
SPLIT = ("parameters", "gradients", "optimizer", "activations", "temporaries")
"""`kaxis.measure.tracker.KINDS`, which is not imported for torch's sake."""


def audit(rows: Sequence[Row]) -> tuple[Figure, Rows]:
    """A step's memory at its peak by what it is for, and peak memory against images a second (or, untimed, arithmetic
    an image).

    Parameters
    ----------
    rows : sequence of mapping
        From `kaxis.measure.audit.audit`; every net and shape has a row of panels, of which the fewest classes are
        drawn.

    Returns
    -------
    figure, list of dict
        The figure, and a row for each number that is drawn.
    """
    kinds = list(dict.fromkeys(map(shape_of, rows)))
    with style():
        figure = Figure(figsize=(9.2, 0.8 + 2.9 * len(kinds)), layout="constrained")
        axes = figure.subplots(len(kinds), 2, squeeze=False, gridspec_kw={"width_ratios": (1.15, 1)})
        for (bars, dots), kind in zip(axes, kinds, strict=True):
            own = [r for r in rows if shape_of(r) == kind]
            own = [r for r in own if r["K"] == min(o["K"] for o in own)]
            _bars(bars, own)
            _dots(dots, own)
            bars.set_title(f"{kind}, K = {own[0]['K']}", fontsize=9)
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize=8)
    return figure, [dict(r) for r in rows]


def _bars(ax: Axes, rows: Sequence[Row]) -> None:
    places = np.arange(len(rows))[::-1]
    left = np.zeros(len(rows))
    for kind, (colour, _) in zip(SPLIT, SERIES, strict=False):
        size = np.array([r[kind] / MiB for r in rows])
        ax.barh(places, size, left=left, height=0.62, color=colour, label=kind)
        left += size
    for place, r in zip(places, rows, strict=True):
        if r["allocated"]:
            label = "measured" if place == places[0] else None
            ax.plot(r["allocated"] / MiB, place, marker="|", color=BLACK, markersize=13, linestyle="", label=label)
    ax.set_yticks(places, [f"{r['configuration']}  {n}" for n, r in enumerate(rows, 1)])
    ax.set_xlabel("predicted memory at the peak of a step (MiB)")


def _dots(ax: Axes, rows: Sequence[Row]) -> None:
    timed = any(r["steps"] for r in rows)
    measured = any(r["allocated"] for r in rows)
    places: dict[tuple[float, float], list[str]] = {}
    looks = learner_looks(r["learner"].split("[")[0] for r in rows)
    for n, r in enumerate(rows, 1):
        x = ((r["allocated"] or math.nan) if measured else r["peak"]) / MiB
        y = r["images_per_second"] if timed else r["flops_step"] / 1e9
        if math.isfinite(x) and math.isfinite(y):
            ax.plot(x, y, linestyle="", markersize=6, **looks[r["learner"].split("[")[0]])
            same = next((p for p in places if abs(p[0] / x - 1) < 0.03 and abs(p[1] / y - 1) < 0.05), (x, y))
            places.setdefault(same, []).append(str(n))
    for place, numbers in places.items():
        ax.annotate(", ".join(numbers), place, xytext=(6, 4), textcoords="offset points", fontsize=8)
    ax.margins(x=0.15, y=0.2)
    ax.set_xlim(left=0)
    ax.set_ylim(bottom=0)
    ax.set_xlabel(f"{'measured' if measured else 'predicted'} peak memory (MiB)")
    ax.set_ylabel("images a second" if timed else "GFLOP a training image")


def locality(*matrices: xr.DataArray) -> tuple[Figure, Rows]:
    """Which loss reaches which layer: filled squares, as dark as the gradient's norm is large beside the row's largest;
    0 is empty.

    Parameters
    ----------
    *matrices : DataArray
        From `kaxis.measure.locality.locality`; a panel each.

    Returns
    -------
    figure, list of dict
        The figure, and a row for each number that is drawn.
    """
    wide, high = (sum(m.shape[1] for m in matrices), max(m.shape[0] for m in matrices))
    rows: Rows = []
    with style():
        figure = Figure(figsize=(1.2 * len(matrices) + 0.4 * wide, 1.3 + 0.42 * high), layout="constrained")
        widths = [m.shape[1] + 1 for m in matrices]
        axes = figure.subplots(1, len(matrices), squeeze=False, gridspec_kw={"width_ratios": widths})[0]
        for ax, matrix in zip(axes, matrices, strict=True):
            rows += _blocks(ax, matrix)
            ax.set_aspect("equal")
            ax.set_ylabel(matrix.attrs["rows"])
    return figure, rows


def _blocks(ax: Axes, matrix: xr.DataArray) -> Rows:
    values = matrix.values
    share = values / np.maximum(values.max(1, keepdims=True), 1e-300)
    for (i, j), part in np.ndenumerate(share):
        look = {"color": SERIES[1][0], "alpha": 0.25 + 0.75 * part} if part else {"color": "none"}
        ax.scatter(j, i, marker="s", s=90, edgecolors="0.8", **look)
    ax.set_xticks(range(values.shape[1]), [str(v) for v in matrix.layer.values])
    ax.set_yticks(range(values.shape[0]), [str(v) for v in matrix.loss.values])
    ax.set_xlim(-0.6, values.shape[1] - 0.4)
    ax.set_ylim(values.shape[0] - 0.4, -0.6)
    ax.set_xlabel("parameters of layer")
    ax.set_title(f"{matrix.attrs['learner']} on {matrix.attrs['net']}", fontsize=9)
    place = {"net": matrix.attrs["net"], "learner": matrix.attrs["learner"]}
    return [
        {**place, "loss": str(loss), "layer": str(layer), "norm": float(matrix.sel(loss=loss, layer=layer))}
        for loss in matrix.loss.values
        for layer in matrix.layer.values
    ]
