"""What several figures share: hollow dots for seeds, a mean with its interval, a logarithmic K axis."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from kaxis.plots.style import BLACK

__all__ = ["BLACK", "HOLLOW", "Rows", "effect_rows", "k_axis", "mean_with_interval", "short"]

Rows = list[dict[str, Any]]
HOLLOW: dict[str, Any] = {
    "linestyle": "",
    "markerfacecolor": "none",
    "markersize": 3.5,
    "markeredgewidth": 0.8,
    "alpha": 0.55,
}


def mean_with_interval(
    ax: Axes,
    x: Any,
    one: xr.Dataset,
    *,
    colour: str,
    marker: str,
    label: str | None = None,
    line: bool = True,
    along: str = "K",
) -> None:
    mean, ci = one.effect.values, one.ci.transpose("ci_bound", along).values
    reach = np.abs(ci - mean)  # NaN for one seed, which has no interval
    ax.errorbar(
        x,
        mean,
        yerr=reach,
        color=colour,
        marker=marker,
        linestyle="-" if line else "",
        capsize=2.5,
        elinewidth=1.1,
        label=label,
        zorder=3,
    )


def short(name: str, most: int = 44) -> str:
    """A name that fits beside a figure: the middle of a long one, such as the path of a set of your own, is left out.

    Examples
    --------
    >>> short("cifar100/pca:32"), short("folder:/home/somebody/data/photographs/of/birds/size:224", 24)
    ('cifar100/pca:32', 'folder:/hom…rds/size:224')
    """
    left = (most - 1) // 2
    return name if len(name) <= most else f"{name[:left]}…{name[left + 1 - most :]}"


def k_axis(ax: Axes, K: set[int], ylabel: str) -> None:
    ax.axhline(0, color=BLACK, linewidth=0.8, zorder=0)
    ax.set_xscale("log")
    ticks = sorted(K)
    ax.set_xticks(ticks, [str(k) for k in ticks])
    ax.minorticks_off()
    ax.set_xlabel("number of classes K")
    ax.set_ylabel(ylabel)


def effect_rows(one: xr.Dataset, source: str) -> Rows:
    rows = []
    for k in one.K.values:
        at = one.sel(K=k)
        row = {"source": source, "K": int(k), "effect": float(at.effect), "n_seeds": int(at.n_seeds)}
        row |= {f"ci_{bound}": float(at.ci.sel(ci_bound=bound)) for bound in ("lower", "upper")}
        row |= {f"seed_{int(s)}": float(at.difference.sel(seed=s)) for s in one.seed.values}
        rows.append(row)
    return rows
