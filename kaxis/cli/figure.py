"""``kaxis figure``: draw what a store holds."""

from __future__ import annotations

import re
from pathlib import Path

from cyclopts import App

from kaxis.cli.common import StorePath, Where, open_cube
from kaxis.errors import KaxisError

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
    cube = open_cube(store, where)
    from kaxis import plots
    from kaxis.stats import effects

    result = effects.paired(cube, learner=learner, baseline=baseline)
    if not int(result.n_seeds.sum()):
        raise KaxisError(f"no seed has both {learner} and {baseline} done")
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
    """Same-seed slopes from baseline to learner, and every seed's difference along K; a file for each source.

    Example: kaxis figure paired --where source=digits --out figures
    """
    cube = open_cube(store, where)
    from kaxis import plots
    from kaxis.stats import effects

    result = effects.paired(cube, learner=learner, baseline=baseline)
    drawn = [str(s) for s in result.source.values if int(result.n_seeds.sel(source=s).sum())]
    if not drawn:
        raise KaxisError(f"no seed has both {learner} and {baseline} done")
    for source in drawn:
        figure, rows = plots.paired(cube, result, source)
        _say(plots.save(figure, rows, out, f"paired_{_slug(source)}"))
    return 0


@app.command
def curves(
    *, learner: list[str] | None = None, out: Path = Path("figures"), store: StorePath = None, where: Where = None
) -> int:
    """Train and test accuracy along training, mean over seeds; a file for each source.

    Example: kaxis figure curves --where source=synthetic --learner dtg_ff bp_deepsup
    """
    cube = open_cube(store, where)
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
            _say(plots.save(figure, rows, out, f"curves_{_slug(str(source))}"))
    return 0


def _slug(text: str) -> str:
    return re.sub(r"[^\w.-]+", "_", text)


def _say(files: list[Path]) -> None:
    for file in files:
        print(file)
