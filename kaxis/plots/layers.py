"""The figure of a trained network's layers: accuracy, temperatures, information, disagreement (after the paper's
diagnostics).
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kaxis.plots.parts import BLACK, HOLLOW, Rows
from kaxis.plots.style import SERIES, learner_look, style

__all__ = ["diagnose"]


def diagnose(one: xr.Dataset) -> tuple[Figure, Rows]:
    """What `kaxis.measure.diagnose.diagnose` found for one source, K and learner; panels for which there is nothing are
    left out.

    Dots are seeds, lines their means.
    """
    panels = [_accuracy]
    panels += [_temperature] if "temperature" in one else []
    panels += [_information] if one.sizes["estimator"] else []
    panels += [_disagreement] if int(one.layer_accuracy.isel(seed=0).notnull().sum()) > 1 else []
    rows: Rows = []
    with style():
        figure = Figure(figsize=(3.5 * len(panels), 3.2), layout="constrained")
        for ax, draw in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            rows += draw(ax, one)
        n = one.sizes["seed"]
        figure.suptitle(f"{one.attrs['learner']} on {one.attrs['source']}, K = {one.attrs['K']}, n = {n}", fontsize=9)
    return figure, rows


def _seeds(ax: Axes, values: xr.DataArray, **look: object) -> None:
    for seed in values.transpose("seed", "layer").values:
        ax.plot(values.layer.values, seed, **{**HOLLOW, **look})


def _layer_axis(ax: Axes, one: xr.Dataset, label: str) -> None:
    ax.set_xticks(one.layer.values)
    ax.set_xlabel("layer")
    ax.set_ylabel(label)


def _rows(quantity: str, values: xr.DataArray) -> Rows:
    return [
        {
            "quantity": quantity,
            "layer": int(layer),
            "seed": int(seed),
            "value": float(values.sel(layer=layer, seed=seed)),
        }
        for layer in values.layer.values
        for seed in values.seed.values
    ]


def _accuracy(ax: Axes, one: xr.Dataset) -> Rows:
    look = learner_look(one.attrs["learner"])
    values = 100 * one.layer_accuracy
    _seeds(ax, values, **look)
    ax.plot(one.layer, values.mean("seed"), color=look["color"], linewidth=1.2, label="a layer alone")
    together, oracle = 100 * float(one.accuracy.mean()), 100 * float(one.oracle.mean())
    ax.axhline(together, color=BLACK, linewidth=1, label=f"its own inference, {together:.1f}")
    if np.isfinite(oracle):
        ax.axhline(oracle, color=BLACK, linewidth=1, linestyle=":", label=f"some layer right, {oracle:.1f}")
    _layer_axis(ax, one, "test accuracy (%)")
    ax.legend(fontsize=7)
    return _rows("accuracy", values)


def _temperature(ax: Axes, one: xr.Dataset) -> Rows:
    rows: Rows = []
    headed = [int(layer) for layer in one.layer.values if one.last_temperature.sel(layer=layer).notnull().all()]
    for i, layer in enumerate(headed):
        colour = SERIES[i % len(SERIES)][0]
        for n, seed in enumerate(one.seed.values):
            own = one.sel(layer=layer, seed=seed)
            label = str(layer) if n == 0 else None
            ax.plot(own.step, own.temperature, color=colour, linewidth=0.9, alpha=0.8, label=label)
            rows += [
                {"quantity": "temperature", "layer": layer, "seed": int(seed), "step": int(s), "value": float(v)}
                for s, v in zip(own.step.values, own.temperature.values, strict=True)
                if np.isfinite(s)
            ]
    ax.set_xlabel("step")
    ax.set_ylabel("learned temperature")
    ax.legend(title="layer", fontsize=7, title_fontsize=7, ncols=2)
    return rows


def _information(ax: Axes, one: xr.Dataset) -> Rows:
    rows: Rows = []
    names = [str(e) for e in one.estimator.values]
    bins = [e for e in names if e.startswith("histogram")]
    if bins:
        between = one.information.sel(estimator=bins).mean("seed")
        low, high = between.min("estimator"), between.max("estimator")
        span = f"{bins[0].split('_')[1]} to {bins[-1].split('_')[1]}"
        ax.fill_between(one.layer, low, high, color="0.8", label=f"scalar, histograms, {span} bins")
        for name in bins:
            rows += _rows(name, one.information.sel(estimator=name))
    lines = {
        "ksg": "scalar, neighbours",
        "probe_goodness": "goodness, probe's bound",
        "probe_gap": "pooled, probe's bound",
    }
    for (name, label), (colour, marker) in zip(lines.items(), SERIES, strict=False):
        if name in names:
            values = one.information.sel(estimator=name)
            _seeds(ax, values, color=colour, marker=marker)
            ax.plot(one.layer, values.mean("seed"), color=colour, linewidth=1.2, label=label)
            rows += _rows(name, values)
    ax.set_ylim(bottom=0)
    _layer_axis(ax, one, "bits about the label")
    ax.legend(fontsize=7)
    return rows


def _disagreement(ax: Axes, one: xr.Dataset) -> Rows:
    mean = 100 * one.disagreement.mean("seed").values
    ax.imshow(mean, cmap="Greys", vmin=0, vmax=max(1.0, 1.4 * float(np.nanmax(mean))))
    for (i, j), value in np.ndenumerate(mean):
        if i != j:
            ax.text(j, i, f"{value:.0f}", ha="center", va="center", fontsize=7)
    ax.set_xticks(one.layer.values)
    ax.set_yticks(one.layer.values)
    ax.set_xlabel("layer")
    ax.set_ylabel("layer")
    ax.set_title("two layers answer differently (%)", fontsize=8)
    return [
        {"quantity": "disagreement", "layer": i, "other": j, "value": float(v)}
        for (i, j), v in np.ndenumerate(mean)
        if i < j
    ]
