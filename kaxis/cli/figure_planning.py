"""``kaxis figure power`` and ``coverage``: what a study can say."""

from __future__ import annotations

import warnings
from typing import Literal

from kaxis.cli.common import DRAWN, FIGURES, Baseline, Drawing, Folder, Learner, Table, saved
from kaxis.cli.figure import app
from kaxis.errors import KaxisError

__all__ = ["coverage", "power"]


@app.command
def power(
    table: Table = None,
    /,
    *,
    effect: float,
    learner: Learner = "dtg_ff",
    baseline: Baseline = "bp_deepsup",
    target: float = 0.8,
    seeds: int = 20,
    out: Drawing = DRAWN,
) -> int:
    """Power against the number of seeds, with the spread that the store's own seeds show.

    Example: kaxis figure power --effect 1 --where source=synthetic --out figures

    Parameters
    ----------
    effect
        In pp at one K, or in pp per unit of ln K for the slope.
    target
        Wanted power, drawn as a line.
    seeds
        Up to which number.
    """
    if not 2 <= seeds <= 10_000:
        raise KaxisError(f"--seeds {seeds}: 2 to 10,000")
    from kaxis import plots
    from kaxis.stats import planning
    from kaxis.stats.intervals import constant

    planning.seeds_needed(effect, abs(effect) or 1.0, target)  # refuses an effect or a power that there is not
    curves, same = {}, False
    for spread in planning.spreads(out.cube(table), learner=learner, baseline=baseline):
        what = "slope on ln K" if spread["K"] is None else f"K = {spread['K']}"
        if constant(spread["d"]):
            warnings.warn(f"{spread['source']}, {what}: its seeds do not differ, which plans nothing", stacklevel=2)
            same = True
            continue
        sd = float(spread["d"].std(ddof=1))
        curves[f"{spread['source']}, {what} (spread {sd:.2f})"] = [
            {"source": spread["source"], "n_seeds": n, "power": planning.power(effect, sd, n)}
            for n in range(2, seeds + 1)
        ]
    if not curves:
        which = "whose differences differ" if same else f"with both {learner} and {baseline} done"
        raise KaxisError(f"no source has two seeds {which}")
    out.save(plots.power(curves, effect, target=target), "power", table)
    return 0


@app.command
def coverage(
    *,
    n: list[int] | None = None,
    intervals: list[str] | None = None,
    shapes: list[str] | None = None,
    icc: float = 0.5,
    tilt: float = 0.0,
    question: Literal["effect", "contrast", "slope", "gap", "mean"] = "effect",
    draws: int = 1_000,
    out: Folder = FIGURES,
) -> int:
    """What intervals that say 95 % cover, against the number of seeds, by simulation; a panel for each shape.

    Example: kaxis figure coverage --intervals t studentized percentile --out figures

    Parameters
    ----------
    n
        Seeds; 5 8 10 15.
    intervals
        Out of t, studentized, bca, percentile, as-published; t, studentized and percentile.
    shapes
        Out of normal, exponential, contaminated; all.
    icc
        Share of the variance that is a seed's own level.
    tilt
        Share of the variance that is a seed's own slope along K.
    question
        As in `kaxis analyze coverage`.
    draws
        Simulated studies a point.
    """
    from kaxis import plots
    from kaxis.stats import simulate

    rows = [
        simulate.coverage(kind, k, shape=shape, icc=icc, tilt=tilt, question=question, draws=draws)
        for shape in shapes or simulate.SHAPES
        for kind in intervals or ["t", "studentized", "percentile"]
        for k in n or [5, 8, 10, 15]
    ]
    saved(plots.coverage(rows), out, "coverage")
    return 0
