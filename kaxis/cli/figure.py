"""``kaxis figure``: draw what a store holds."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from kaxis.cli import effect_rows
from kaxis.cli.common import DRAWN, Baseline, DataFolder, Drawing, Learner, Table, name_skipped
from kaxis.errors import KaxisError, each
from kaxis.io import file_name

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["app"]

app = App(
    name="figure",
    help="Figures, each with the plotted numbers as CSV.\n\nExample: kaxis figure k-conflict --out figures",
)


@app.command
def k_conflict(
    table: Table = None,
    /,
    *,
    learner: Learner = "dtg_ff",
    baseline: Baseline = "bp_deepsup",
    paper: bool = False,
    name: str = "k_conflict",
    out: Drawing = DRAWN,
) -> int:
    """The difference between two learners along K, every source of the store on one logarithmic axis.

    Example: kaxis figure k-conflict --paper --out figures

    Parameters
    ----------
    paper
        Overlay the published points, labelled as such.
    name
        Name of the files.
    """
    _, result = _effects(out.cube(table), learner, baseline)
    from kaxis import plots

    out.save(plots.k_conflict(result, paper=paper), name, table)
    return 0


@app.command
def paired(
    table: Table = None,
    /,
    *,
    learner: Learner = "dtg_ff",
    baseline: Baseline = "bp_deepsup",
    out: Drawing = DRAWN,
) -> int:
    """Same-seed slopes from baseline to learner, every seed's difference along K, and the slope on log K; a file for
    each source.

    Example: kaxis figure paired --where source=digits --out figures
    """
    cube, result = _effects(out.cube(table), learner, baseline)
    from kaxis import plots
    from kaxis.stats.contrasts import contrast

    for source in _drawn(result):
        try:
            slope = contrast(cube.sel(source=[source]), learner=learner, baseline=baseline)
        except KaxisError:  # one K, or incomplete seeds: the figure says what there is
            slope = None
        out.save(plots.paired(cube, result, source, slope), f"paired_{file_name(source)}", table)
    return 0


@app.command
def band(
    table: Table = None,
    /,
    *,
    learner: Learner = "dtg_ff",
    baseline: Baseline = "bp_deepsup",
    out: Drawing = DRAWN,
) -> int:
    """Effects along K with a band that holds all K at once; a file for each source whose seeds are complete.

    Example: kaxis figure band --where source=synthetic --out figures
    """
    _, result = _effects(out.cube(table), learner, baseline)
    from kaxis import plots

    def draw(source: str) -> None:
        out.save(plots.band(result, source), f"band_{file_name(source)}", table)

    _without(each(_drawn(result), draw)[1])
    return 0


@app.command
def slope_steps(
    *,
    learner: Learner = "dtg_ff",
    baseline: Baseline = "bp_deepsup",
    name: str = "slope_steps",
    by: Literal["step", "epoch"] = "step",
    out: Drawing = DRAWN,
) -> int:
    """The slope along K against training length, from the learning curves that a store has; nothing is trained.

    Example: kaxis figure slope-steps --store studies/results/main --where source=synthetic

    Parameters
    ----------
    name
        Name of the files.
    by
        What is equal at every K: steps, or epochs where cells train by epochs.
    """
    from kaxis import plots
    from kaxis.stats.contrasts import slope_steps as along

    result = along(out.cube(curves=True), learner=learner, baseline=baseline, by=by)
    out.save(plots.slope_steps(result), name)
    return 0


@app.command
def slopes(
    table: Table = None,
    /,
    *,
    learner: Learner = "dtg_ff",
    baseline: Baseline = "bp_deepsup",
    out: Drawing = DRAWN,
) -> int:
    """The slope along K of every source, one below the other, with its training length.

    Example: kaxis figure slopes --store studies/results/main
    """
    from kaxis import plots

    rows, called = effect_rows.slopes(out.cube(table, curves=True), learner, baseline)
    if not rows:
        raise KaxisError(f"no source has {learner} and {baseline} at several K in one seed")
    out.save(plots.slopes(rows, called), "slopes", table)
    return 0


@app.command
def factorial(table: Table = None, /, *, out: Drawing = DRAWN) -> int:
    """What each switch carries of the difference between DTG-FF and BP-DeepSup along K, a panel for each source.

    Example: kaxis figure factorial --store studies/results/factorial --out figures
    """
    from kaxis import plots
    from kaxis.stats.factorial import factorial as analyse

    out.save(plots.factorial(analyse(out.cube(table))), "factorial", table)
    return 0


@app.command
def per_class(
    *,
    learner: Learner = "dtg_ff",
    baseline: Baseline = "bp_deepsup",
    data: DataFolder = None,
    out: Drawing = DRAWN,
) -> int:
    """Effects class by class, a panel for each K, with intervals over seeds and test samples; a file for each source.

    Example: kaxis figure per-class --store studies/results/published --where activation=relu
    """
    from kaxis import plots
    from kaxis.measure import images

    place, only = out.records()
    result = images.per_class(place, learner=learner, baseline=baseline, where=only, data=data)
    name_skipped(place)
    for source in map(str, result.source.values):
        out.save(plots.per_class(result, source), f"per_class_{file_name(source)}")
    return 0


@app.command
def places(
    table: Table = None, /, *, K: Annotated[int | None, Parameter(name=["--K", "--k"])] = None, out: Drawing = DRAWN
) -> int:
    """The place of every learner by mean accuracy, with the interval that comparisons with all others leave it; a file
    for each source.

    Example: kaxis figure places --where source=synthetic --store studies/results/main

    Parameters
    ----------
    K
        Number of classes; the largest of each source without it.
    """
    from kaxis import plots
    from kaxis.stats.rankings import rankings

    result = rankings(out.cube(table))

    def draw(source: str) -> None:
        there = result.K.values[(result.n_seeds.sel(source=source) > 0).values].tolist()
        if not there or (K is not None and K not in there):
            raise KaxisError(f"{source}: no seed has every learner at {f'K = {K}' if K else 'any K'}")
        out.save(plots.places(result.sel(source=source, K=K or there[-1])), f"places_{file_name(source)}", table)

    _without(each(map(str, result.source.values), draw)[1])
    return 0


@app.command
def curves(
    *,
    learner: Annotated[list[str] | None, Parameter(help="learners to draw; all by default")] = None,
    out: Drawing = DRAWN,
) -> int:
    """Train and test accuracy along training, mean over seeds; a file for each source.

    Example: kaxis figure curves --where source=synthetic --learner dtg_ff bp_deepsup
    """
    from kaxis import plots

    cube = out.cube(curves=True)
    names = learner or [str(name) for name in cube.learner.values]
    for name in names:
        if name not in cube.learner.values:
            raise KaxisError(
                f"learner '{name}' is not in the store, which has: {', '.join(map(str, cube.learner.values))}"
            )
    for source in cube.source.values:
        there = [n for n in names if (cube.status.sel(source=source, learner=n) == "done").any()]
        if there:
            out.save(plots.curves(cube, str(source), there), f"curves_{file_name(str(source))}")
    return 0


def _effects(cube: xr.Dataset, learner: str, baseline: str) -> tuple[xr.Dataset, xr.Dataset]:
    from kaxis.stats import effects

    result = effects.paired(cube, learner=learner, baseline=baseline)
    if not int(result.n_seeds.sum()):
        raise KaxisError(f"no seed has both {learner} and {baseline} done")
    return cube, result


def _without(refused: dict[str, str]) -> None:
    for why in refused.values():
        print(f"kaxis: left out: {why}", file=sys.stderr)


def _drawn(result: xr.Dataset) -> list[str]:
    return [str(s) for s in result.source.values if int(result.n_seeds.sel(source=s).sum())]
