"""``kaxis figure``: draw what a store holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cyclopts import App

from kaxis.cli import effect_rows
from kaxis.cli.common import StorePath, Where, open_cube
from kaxis.errors import KaxisError
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
    *,
    learner: str = "dtg_ff",
    baseline: str = "bp_deepsup",
    paper: bool = False,
    out: Path = Path("figures"),
    name: str = "k_conflict",
    store: StorePath = None,
    where: Where = None,
) -> int:
    """The difference between two learners along K, every source of the store on one logarithmic axis.

    Example: kaxis figure k-conflict --paper --out figures

    Parameters
    ----------
    paper
        Overlay the published points, labelled as such.
    out
        Folder to write to.
    name
        Name of the files.
    """
    _, result = _effects(store, where, learner, baseline)
    from kaxis import plots

    figure, rows = plots.k_conflict(result, paper=paper)
    _say(plots.save(figure, rows, out, name))
    return 0


@app.command
def paired(
    *,
    learner: str = "dtg_ff",
    baseline: str = "bp_deepsup",
    out: Path = Path("figures"),
    store: StorePath = None,
    where: Where = None,
) -> int:
    """Same-seed slopes from baseline to learner, every seed's difference along K, and the slope on log K; a file for
    each source.

    Example: kaxis figure paired --where source=digits --out figures
    """
    cube, result = _effects(store, where, learner, baseline)
    from kaxis import plots
    from kaxis.stats.contrasts import contrast

    for source in _drawn(result):
        try:
            slope = contrast(cube.sel(source=[source]), learner=learner, baseline=baseline)
        except KaxisError:  # one K, or incomplete seeds: the figure says what there is
            slope = None
        figure, rows = plots.paired(cube, result, source, slope)
        _say(plots.save(figure, rows, out, f"paired_{file_name(source)}"))
    return 0


@app.command
def band(
    *,
    learner: str = "dtg_ff",
    baseline: str = "bp_deepsup",
    out: Path = Path("figures"),
    store: StorePath = None,
    where: Where = None,
) -> int:
    """Effects along K with a band that holds all K at once; a file for each source whose seeds are complete.

    Example: kaxis figure band --where source=synthetic --out figures
    """
    _, result = _effects(store, where, learner, baseline)
    from kaxis import plots

    for source in _drawn(result):
        _say(plots.save(*plots.band(result, source), out, f"band_{file_name(source)}"))
    return 0


@app.command
def slope_steps(
    *,
    learner: str = "dtg_ff",
    baseline: str = "bp_deepsup",
    out: Path = Path("figures"),
    name: str = "slope_steps",
    store: StorePath = None,
    where: Where = None,
) -> int:
    """The slope along K against training length, from the learning curves that a store has; nothing is trained.

    Example: kaxis figure slope-steps --store studies/results/main --where source=synthetic

    Parameters
    ----------
    name
        Name of the files.
    """
    cube = open_cube(store, where, curves=True)
    from kaxis import plots
    from kaxis.stats.contrasts import slope_steps as along

    _say(plots.save(*plots.slope_steps(along(cube, learner=learner, baseline=baseline)), out, name))
    return 0


@app.command
def slopes(
    *,
    learner: str = "dtg_ff",
    baseline: str = "bp_deepsup",
    out: Path = Path("figures"),
    store: StorePath = None,
    where: Where = None,
) -> int:
    """The slope along K of every source, one below the other, with its training length.

    Example: kaxis figure slopes --store studies/results/main
    """
    cube = open_cube(store, where, curves=True)
    from kaxis import plots

    rows, called = effect_rows.slopes(cube, learner, baseline)
    if not rows:
        raise KaxisError(f"no source has {learner} and {baseline} at several K in one seed")
    _say(plots.save(*plots.slopes(rows, called), out, "slopes"))
    return 0


@app.command
def factorial(*, out: Path = Path("figures"), store: StorePath = None, where: Where = None) -> int:
    """What each switch carries of the difference between DTG-FF and BP-DeepSup along K, a panel for each source.

    Example: kaxis figure factorial --store studies/results/factorial --out figures
    """
    cube = open_cube(store, where)
    from kaxis import plots
    from kaxis.stats.factorial import factorial as analyse

    _say(plots.save(*plots.factorial(analyse(cube)), out, "factorial"))
    return 0


@app.command
def power(
    *,
    effect: float,
    learner: str = "dtg_ff",
    baseline: str = "bp_deepsup",
    target: float = 0.8,
    seeds: int = 20,
    out: Path = Path("figures"),
    store: StorePath = None,
    where: Where = None,
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
    cube = open_cube(store, where)
    from kaxis import plots
    from kaxis.stats import planning

    planning.seeds_needed(effect, abs(effect) or 1.0, target)  # refuses an effect or a power that there is not
    curves = {}
    for spread in planning.spreads(cube, learner=learner, baseline=baseline):
        what = "slope on ln K" if spread["K"] is None else f"K = {spread['K']}"
        sd = float(spread["d"].std(ddof=1))
        curves[f"{spread['source']}, {what} (spread {sd:.2f})"] = [
            {"n_seeds": n, "power": planning.power(effect, sd, n)} for n in range(2, seeds + 1)
        ]
    if not curves:
        raise KaxisError(f"no source has two seeds with both {learner} and {baseline} done")
    _say(plots.save(*plots.power(curves, effect, target=target), out, "power"))
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
    out: Path = Path("figures"),
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
    icc, tilt
        Shares of the variance that are a seed's own level and slope along K.
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
    _say(plots.save(*plots.coverage(rows), out, "coverage"))
    return 0


@app.command
def curves(
    *, learner: list[str] | None = None, out: Path = Path("figures"), store: StorePath = None, where: Where = None
) -> int:
    """Train and test accuracy along training, mean over seeds; a file for each source.

    Example: kaxis figure curves --where source=synthetic --learner dtg_ff bp_deepsup
    """
    cube = open_cube(store, where, curves=True)
    from kaxis import plots

    names = learner or [str(name) for name in cube.learner.values]
    for name in names:
        if name not in cube.learner.values:
            raise KaxisError(
                f"learner '{name}' is not in the store, which has: {', '.join(map(str, cube.learner.values))}"
            )
    for source in cube.source.values:
        there = [n for n in names if (cube.status.sel(source=source, learner=n) == "done").any()]
        if there:
            figure, rows = plots.curves(cube, str(source), there)
            _say(plots.save(figure, rows, out, f"curves_{file_name(str(source))}"))
    return 0


def _effects(store: Path | None, where: list[str] | None, learner: str, baseline: str) -> tuple[xr.Dataset, xr.Dataset]:
    from kaxis.stats import effects

    cube = open_cube(store, where)
    result = effects.paired(cube, learner=learner, baseline=baseline)
    if not int(result.n_seeds.sum()):
        raise KaxisError(f"no seed has both {learner} and {baseline} done")
    return cube, result


def _drawn(result: xr.Dataset) -> list[str]:
    return [str(s) for s in result.source.values if int(result.n_seeds.sel(source=s).sum())]


def _say(files: list[Path]) -> None:
    for file in files:
        print(file)
