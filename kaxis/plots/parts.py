"""What several figures share: hollow dots for seeds, a mean with its interval, a logarithmic K axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kaxis.plots.style import BLACK, for_text

__all__ = [
    "BLACK",
    "HOLLOW",
    "Rows",
    "effect_rows",
    "interval_name",
    "k_axis",
    "kind",
    "mean_with_interval",
    "minus",
    "name_lines",
    "panels",
    "short",
    "span",
    "spread",
]

Rows = list[dict[str, Any]]
HOLLOW: dict[str, Any] = {
    "linestyle": "",
    "markerfacecolor": "none",
    "markersize": 3.5,
    "markeredgewidth": 0.8,
    "alpha": 0.55,
}


def panels(
    count: int, most: int, each: tuple[float, float], more: tuple[float, float], **shared: Any
) -> tuple[Figure, list[Axes], int]:
    """A figure of `count` panels, at most `most` beside each other; their size, and what stands around them, in inches.

    The panels in order, and how many a row has: so many at the end have none below.
    """
    wide = min(most, count)
    high = -(-count // wide)
    figure = Figure(figsize=(each[0] * wide + more[0], each[1] * high + more[1]))
    axes = list(figure.subplots(high, wide, squeeze=False, **shared).flat)
    for ax in axes[count:]:
        ax.remove()
    return figure, axes[:count], wide


def mean_with_interval(
    ax: Axes,
    x: Any,
    one: xr.Dataset,
    *,
    colour: str,
    marker: str,
    label: str | None = None,
    dash: str = "-",
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
        linestyle=dash,
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


def minus(learner: str, baseline: str, what: str, most: int = 44) -> str:
    """What an axis of differences is of, on two lines where the names are long.

    Examples
    --------
    >>> minus("dtg_ff", "bp_deepsup", "test accuracy (pp)")
    'dtg_ff - bp_deepsup, test accuracy (pp)'
    >>> minus("dtg_ff[lr=0.004,temperature=1]", "bp_deepsup[lr=0.008]", "(pp)")
    'dtg_ff[lr=0.004,temperature=1]\\n- bp_deepsup[lr=0.008] (pp)'
    """
    comma = " " if what.startswith("(") else ", "
    learner, baseline = short(learner, most), short(baseline, most)
    between = " " if len(learner) + len(baseline) <= 40 else "\n"
    return f"{learner}{between}- {baseline}{comma}{what}"


def span(counts: Any) -> str:
    """How many seeds: one number where it is the same everywhere.

    Examples
    --------
    >>> span([5, 5]), span([4, 5])
    ('5', '4-5')
    """
    low, high = int(min(counts)), int(max(counts))
    return str(low) if low == high else f"{low}-{high}"


def interval_name(about: Mapping[str, Any]) -> str:
    """Probability and kind of a result's intervals."""
    return f"{100 * about['ci_prob']:.10g}% {about['ci_kind']} interval"


def kind(about: Mapping[str, Any]) -> dict[str, Any]:
    """What a row of numbers says of itself: the units, and kind and probability of its interval."""
    return {name: about[name] for name in ("units", "ci_kind", "ci_prob") if name in about}


def k_axis(ax: Axes, K: set[int], ylabel: str) -> None:
    ax.axhline(0, color=BLACK, linewidth=0.8, zorder=0)
    ax.set_xscale("log")
    ticks = sorted(K)
    ax.set_xticks(ticks, [str(k) for k in ticks])
    ax.minorticks_off()
    if len(ticks) == 1:  # else an axis as wide as nothing
        ax.set_xlim(ticks[0] / 1.5, ticks[0] * 1.5)
    ax.set_xlabel("number of classes K")
    ax.set_ylabel(ylabel)


def effect_rows(one: xr.Dataset, source: str) -> Rows:
    rows = []
    for k in one.K.values:
        at = one.sel(K=k)
        row = {"source": source, "K": int(k), "effect": float(at.effect), "n_seeds": int(at.n_seeds)}
        row |= {f"ci_{bound}": float(at.ci.sel(ci_bound=bound)) for bound in ("lower", "upper")} | kind(one.attrs)
        row |= {f"seed_{int(s)}": float(at.difference.sel(seed=s)) for s in one.seed.values}
        rows.append(row)
    return rows


def name_lines(ax: Axes, ends: Sequence[tuple[float, float, str, str]], *, size: float = 7) -> None:
    """Lines named at the right of the axes instead of in a legend: where each ends (x, y), its colour and its text."""
    ends = sorted(ends, key=lambda end: -end[1])
    bottom, top = ax.get_ylim()
    whole = ax.get_figure(root=True)
    assert whole is not None
    longest = max(len(line) for *_, text in ends for line in text.split("\n"))
    whole.set_figwidth(
        whole.get_figwidth() + 0.6 * longest * size / 72
    )  # so that a long name takes nothing of the axes
    lines = 72 * whole.get_figheight() * ax.get_position().height / (1.5 * size)  # of text that fit
    heights = spread([y for _, y, *_ in ends], (top - bottom) / max(lines, len(ends)))
    ax.set_ylim(min(bottom, heights[-1] - 0.02 * (top - bottom)), max(top, heights[0] + 0.02 * (top - bottom)))
    right = max(x for x, *_ in ends)
    look: dict[str, Any] = {"fontsize": size, "va": "center", "annotation_clip": False}
    for (x, y, colour, text), height in zip(ends, heights, strict=True):
        leader = {"arrowstyle": "-", "color": colour, "linewidth": 0.4, "alpha": 0.6, "relpos": (0.0, 0.5)}
        ax.annotate(text, (x, y), (right * 1.25, height), color=for_text(colour), arrowprops=leader, **look)
    ax.set_xlim(right=right * 1.15)


def spread(heights: Sequence[float], apart: float) -> list[float]:
    """Heights from the largest down, moved as little as keeps each `apart` from the next.

    Examples
    --------
    >>> spread([5.0, 4.9, 0.0], 1.0)
    [5.45, 4.45, 0.0]
    """
    groups: list[list[float]] = []
    for height in heights:
        groups.append([height])
        while (
            len(groups) > 1
            and _middle(groups[-2]) - _middle(groups[-1]) < apart * (len(groups[-2]) + len(groups[-1])) / 2
        ):
            groups[-2:] = [groups[-2] + groups[-1]]
    out = []
    for group in groups:
        top = _middle(group) + apart * (len(group) - 1) / 2
        out += [top - apart * i for i in range(len(group))]
    return out


def _middle(group: Sequence[float]) -> float:
    return sum(group) / len(group)
