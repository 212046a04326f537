"""``kaxis report``: all that a store says, as one page that opens anywhere."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from kaxis.cli import analyze, effect_rows, sources
from kaxis.cli import page_facts as facts
from kaxis.cli import page_words as words
from kaxis.cli.common import (
    Baseline,
    Learners,
    Output,
    Pair,
    StorePath,
    Where,
    check_output,
    conditions,
    open_cube,
)
from kaxis.cli.common import Table as TablePath
from kaxis.cli.contrast import UNTIL_CLEAR
from kaxis.cli.report import LEFT, Report, interval, number
from kaxis.errors import KaxisError, hint, told
from kaxis.io import file_name, write_text

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

    from kaxis.page import Picture, Section, Table
    from kaxis.store.select import Conditions

__all__ = ["report"]


def report(
    table: TablePath = None,
    /,
    *,
    source: Annotated[list[str] | None, Parameter(help="these alone, of the store's")] = None,
    baseline: Baseline = "bp_deepsup",
    learner: Learners = None,
    out: Annotated[Path, Parameter(help="the file to write")] = Path("report.html"),
    store: StorePath = None,
    where: Where = None,
) -> int:
    """One HTML page of all that a store says: verdict, figures, tables, what is missing, settings, commands.

    It opens offline and asks nothing of any server; its numbers are in it to take away. A CSV file of results made
    elsewhere has a page too.

    Example: kaxis report --store runs --out report.html

    Parameters
    ----------
    learner
        The first is the one that figures and verdict are about: dtg_ff if it is there.
    """
    check_output(out, (".html", ".htm"), table)
    cube = open_cube(store, where, table, curves=True)
    there = [str(s) for s in cube.source.values]
    for name in source or ():
        if name not in there:
            place = table or "the store"
            raise KaxisError(f"source '{name}' is not in {place}, which has {hint(name, there)}")
    cube = cube.sel(source=source or there)
    names = effect_rows.learners(cube, learner, baseline)
    first = learner[0] if learner else "dtg_ff" if "dtg_ff" in names else names[0]
    page = _Maker(cube, store, table, Pair(baseline, names), first).page(conditions(where), source)
    from kaxis.page import render

    with told(f"--out {out}"):
        write_text(out, render(page))
    print(out)
    return 0


@dataclass(frozen=True)
class _Kept(Output):
    """Gives an analysis its cube, and keeps what it found instead of printing it."""

    of: Any = None
    found: list[Report] = field(default_factory=list)

    def cube(self, table: Path | None = None, *, curves: bool = False) -> xr.Dataset:
        return self.of

    def show(self, report: Report) -> None:
        self.found.append(report)


@dataclass(frozen=True)
class _Maker:
    """What the parts of a page are made from."""

    cube: xr.Dataset
    store: Path | None
    table: Path | None
    pair: Pair
    first: str

    def page(self, where: Conditions, asked: Sequence[str] | None) -> Any:
        from kaxis.page import Page

        baseline = self.pair.baseline
        parts = [self._source(str(s)) for s in self.cube.source.values]
        slopes, _ = self._found(analyze.slope, self.cube, pair=self.pair, drop_incomplete=True)
        conflicts = self._conflicts()
        verdict = [*self._along(slopes), *words.against(conflicts)]
        pictures = [*self._conflict_figure(), *self._forest(slopes)]
        across = [_table(r) for r in ([slopes] if slopes else []) + conflicts]
        from kaxis.page import Section

        records = [] if self.table else facts.made(self.cube, self.store, where)
        place = facts.Place(self.store, self.table, where)
        commands = facts.commands(self.cube, place, (baseline, self.first), asked)
        lines = [r.attrs["verdict"] for r in conflicts]
        together = [Section("All sources together", "together", lines, tables=across)] if across else []
        return Page(
            f"{self.first} against {baseline} along the number of classes K",
            verdict or [f"No slope along K can be given: no source has {self.first} and {baseline} at several K."],
            pictures,
            [*together, *parts, facts.cells(self.cube), *records, commands],
            _version(),
        )

    def _along(self, slopes: Report | None) -> list[str]:
        """What the slopes say, in a sentence."""
        rows = [r for r in slopes.rows if r["learner"] == self.first] if slopes else []
        if not slopes or not rows:
            return []
        kind = f"{100 * slopes.attrs['ci_prob']:.10g} % {slopes.attrs['ci_kind']} intervals, each by itself"
        said = []
        for word, own in words.by_sign(rows).items():
            at = [
                f"{r['source']} {interval(r['ci_lower'], r['ci_upper'])}, {self._seeds(r)}{self._length(r)}"
                for r in own
            ]
            said.append(f"{word} {'; '.join(at)}")
        what = f"Slope of {self.first} - {self.pair.baseline} along K, pp per unit of ln K ({kind})"
        return [f"{what}: {'. '.join(said)}."]

    def _seeds(self, row: Mapping[str, Any]) -> str:
        """How many, and how many there would be were none without a K."""
        asked = self.cube.asked.sel(source=row["source"], learner=[row["learner"], row["baseline"]])
        there = int(asked.any(("K", "learner")).sum())
        left_out = "" if there == row["n_seeds"] else f" of {there} seeds, the others lack a K"
        return f"n = {row['n_seeds']}{left_out}"

    def _steps(self, source: str) -> int | None:
        from kaxis.stats.contrasts import training_length

        return training_length(self.cube, source)

    def _length(self, row: Mapping[str, Any]) -> str:
        steps = self._steps(row["source"])
        stopped = f" ({UNTIL_CLEAR}: too narrow, quote kaxis analyze sequential)"
        return (f", {steps:,} steps" if steps else "") + (stopped if UNTIL_CLEAR in row["standing"] else "")

    def _found(self, verb: Callable[..., int], cube: xr.Dataset, **options: Any) -> tuple[Report | None, str]:
        """What an analysis found, or why it refused."""
        kept = _Kept(store=self.store, of=cube)
        try:
            verb(self.table, out=kept, **options)
        except KaxisError as refusal:
            return None, f"No {verb.__name__}: {refusal}."
        return (kept.found[0] if kept.found[0].rows else None), ""

    def _conflicts(self) -> list[Report]:
        names = [str(s) for s in self.cube.source.values]
        synthetic = [n for n in names if n.split("/")[0] == "synthetic"][:1]
        real = [n for n in names if n.split("/")[0] != "synthetic"] if synthetic else []
        pair = {"baseline": self.pair.baseline, "learner": self.first, "drop_incomplete": True}
        found = [self._found(sources.conflict, self.cube, synthetic=synthetic[0], real=r, **pair) for r in real]
        return [one for one, _ in found if one]

    def _forest(self, slopes: Report | None) -> list[Picture]:
        """The slope of each source, where there are several."""
        own = [r for r in slopes.rows if r["learner"] == self.first] if slopes else []
        if not slopes or len(own) < 2:
            return []
        from kaxis import plots

        kind = f"{100 * slopes.attrs['ci_prob']:.10g} % {slopes.attrs['ci_kind']} interval"
        rows = [{**r, "steps": self._steps(r["source"])} for r in own]
        figure, _ = plots.slopes(rows, f"slope on ln K, pp per unit, {kind}")
        return [_picture(figure, "The slope along K of each source", "pp per unit of ln K", own)]

    def _conflict_figure(self) -> list[Picture]:
        from kaxis import plots
        from kaxis.stats import effects

        result = effects.paired(self.cube, learner=self.first, baseline=self.pair.baseline)
        if not int(result.n_seeds.sum()):
            return []
        figure, rows = plots.k_conflict(result)
        return [_picture(figure, f"{self.first} - {self.pair.baseline} along K", "pp", rows)]

    def _source(self, source: str) -> Section:
        from kaxis import plots
        from kaxis.page import Section
        from kaxis.stats import effects
        from kaxis.stats.contrasts import contrast

        cube = self.cube.sel(source=[source])
        done = [str(n) for n in cube.learner.values if (cube.status.sel(learner=n) == "done").any()]
        baseline, others = self.pair.baseline, [n for n in self.pair.learner or () if n in done]
        if baseline not in done or not others:
            return Section(source, _anchor(source), ["No seed has the baseline and another learner done."])
        shown = self.first if self.first in others else others[0]
        pictures, result = [], effects.paired(cube, learner=shown, baseline=baseline)
        if int(result.n_seeds.sum()):
            slope = None
            with suppress(KaxisError):  # one K, or incomplete seeds: the figure says what there is
                slope = contrast(cube, learner=shown, baseline=baseline)
            figure, rows = plots.paired(cube, result, source, slope)
            rows = [r for r in rows if "K" in r]
            pictures.append(_picture(figure, f"{shown} - {baseline} on {source}", "pp", rows))
        if "step" in cube.dims:
            figure, _ = plots.curves(cube, source, [n for n in done if n in (baseline, shown)])
            pictures.append(_picture(figure, f"Accuracy of {baseline} and {shown} along training on {source}"))
        verbs = (analyze.paired, analyze.contrast, analyze.gap, analyze.layers)
        ours = cube.sel(learner=[n for n in done if n in (baseline, *others)])
        found = []
        for verb in verbs:  # layers takes those that have any; a contrast is the page's first sentence's
            drop = {"drop_incomplete": True} if verb is analyze.contrast else {}
            found.append(self._found(verb, ours, pair=Pair(baseline), **drop))
        found.append(self._found(analyze.rankings, cube.sel(learner=done)))
        tables = [_table(one, source) for one, _ in found if one]
        return Section(source, _anchor(source), [why for _, why in found if why], pictures, tables)


def _anchor(source: str) -> str:
    return f"source-{file_name(source)}"


def _table(found: Report, source: str = "") -> Table:
    from kaxis.page import Table

    name = f"{found.analysis}_{file_name(source)}" if source else file_name(f"{found.analysis}_{found.title}")
    left = frozenset(LEFT) | {"what", "by"}
    remarks = [remark.strip() for remark in found.remarks]
    return Table(found.title, found.headings, found.cells(), left, remarks, name, found.csv(), found.json())


def _picture(figure: Figure, what: str, units: str = "", rows: Sequence[Mapping[str, Any]] = ()) -> Picture:
    """A figure with its numbers in words."""
    from kaxis.page import Picture
    from kaxis.plots import drawn

    said = [
        f"{_place(r)} {number(r['effect'])} {interval(r['ci_lower'], r['ci_upper'])}"
        for r in rows
        if not math.isnan(r.get("ci_lower", math.nan))
    ]
    alt = f"{what}, {units} with intervals: {', '.join(said)}." if said else f"{what}."
    return Picture(drawn(figure).decode(), alt, what)


def _place(row: Mapping[str, Any]) -> str:
    return str(row["source"]) if row.get("K") is None else f"{row['source']} K = {row['K']}"


def _version() -> str:
    from datetime import UTC, datetime
    from importlib.metadata import version

    return f"Made by kaxis {version('kaxis')} on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC."
