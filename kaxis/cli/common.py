"""Flags that several verbs share."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from kaxis.errors import KaxisError

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

    from kaxis.cli.report import Report
    from kaxis.store.records import Store

__all__ = [
    "DEFAULT_PAIR",
    "DRAWN",
    "FIGURES",
    "PLAIN",
    "SHOWN",
    "Baseline",
    "Call",
    "Check",
    "Csv",
    "DataFolder",
    "Draw",
    "Drawing",
    "Folder",
    "Interval",
    "Json",
    "Learner",
    "Learners",
    "Output",
    "Pair",
    "Prob",
    "Read",
    "Scale",
    "Shown",
    "StorePath",
    "Table",
    "Where",
    "Whole",
    "called_names",
    "check_output",
    "conditions",
    "existing_store",
    "name_skipped",
    "open_cube",
    "open_store",
    "over",
    "saved",
]

StorePath = Annotated[Path | None, Parameter(name="--store", help="folder of records; $KAXIS_STORE, else runs/")]
Where = Annotated[
    list[str] | None,
    Parameter(name="--where", help="only records with these values, of one key any: --where source=digits lr=0.001"),
]
Call = Annotated[
    list[str] | None,
    Parameter(
        name="--call",
        help="one name for learners of different sources, to compare these: --call 'dtg_ff=dtg_ff[lr=0.004]'",
    ),
]
Folder = Annotated[Path, Parameter(name="--out", help="folder to write to")]
FIGURES = Path("figures")
Csv = Annotated[Path | None, Parameter(name="--csv", help="write the rows here too")]
Draw = Annotated[Path | None, Parameter(name="--figure", help="folder to draw into")]
DataFolder = Annotated[
    Path | None, Parameter(name="--data", help="folder of image files; $KAXIS_DATA, else the user's cache")
]
Json = Annotated[bool, Parameter(name="--json", help="one JSON object on stdout")]
Baseline = Annotated[str, Parameter(name="--baseline", help="the learner that is subtracted")]
Learner = Annotated[str, Parameter(name="--learner", help="the learner that is compared with the baseline")]
Prob = Annotated[float, Parameter(name="--prob", help="probability of the intervals")]
Check = Annotated[
    bool,
    Parameter(name="--check", help="add the slope by least squares, seeds as clusters (CRV3), and by a mixed model"),
]
Whole = Annotated[bool, Parameter(name="--drop-incomplete", help="leave out seeds that lack a K instead of refusing")]
Learners = Annotated[
    list[str] | None, Parameter(name="--learner", help="learners to compare with it; all others by default")
]
Table = Annotated[
    Path | None,
    Parameter(help="a CSV file of results made elsewhere: columns K, learner, seed, accuracy; else the store"),
]


Scale = Annotated[
    Literal["pp", "normalised", "logit"], Parameter(help="pp, per cent of the headroom above chance, or log odds")
]
Interval = Annotated[
    Literal["t", "studentized", "bca", "percentile"],
    Parameter(name="--interval", help="of the mean over seeds; choose before looking (docs/statistics.md)"),
]


@Parameter(name="*")
@dataclass(frozen=True)
class Pair:
    """Who is compared with whom, and by which interval."""

    baseline: Baseline = "bp_deepsup"
    learner: Learners = None
    interval: Interval = "t"
    prob: Annotated[float, Parameter(help="of the intervals")] = 0.95


DEFAULT_PAIR = Pair()


@Parameter(name="*")
@dataclass(frozen=True)
class Read:
    """Where an analysis or a figure has its numbers from."""

    store: StorePath = None
    where: Where = None
    call: Call = None

    @property
    def names(self) -> dict[str, list[str]]:
        """Names that stand for several learners."""
        return called_names(self.call)

    def cube(self, table: Path | None = None, *, curves: bool = False) -> xr.Dataset:
        return open_cube(self.store, self.where, table, curves=curves, call=self.call)

    def records(self) -> tuple[Store, dict[str, list[str]]]:
        """For what looks up records by their learners' own names: the store, and the conditions."""
        if self.call:
            raise KaxisError("--call: records are looked up by their own names here; leave it out")
        return existing_store(self.store), conditions(self.where)


@Parameter(name="*")
@dataclass(frozen=True)
class Shown:
    """How what was found is shown."""

    json: Json = False
    csv: Csv = None
    markdown: Annotated[bool, Parameter(help="print the table as Markdown")] = False
    latex: Annotated[bool, Parameter(help="print it as LaTeX, with booktabs")] = False

    def show(self, report: Report) -> None:
        forms = [name for name in ("json", "markdown", "latex") if getattr(self, name)]
        if len(forms) > 1:
            raise KaxisError(f"--{forms[0]} and --{forms[1]}: choose one")
        if self.csv is not None:
            check_output(self.csv, (".csv",))
        report.show(form="".join(forms), csv_file=self.csv)


@Parameter(name="*")
@dataclass(frozen=True)
class Output(Read, Shown):
    """Where an analysis reads, and how it shows what it found."""

    def cube(self, table: Path | None = None, *, curves: bool = False) -> xr.Dataset:
        if self.csv is not None:
            check_output(self.csv, (".csv",), table)
        return super().cube(table, curves=curves)

    def show(self, report: Report) -> None:
        if self.call:
            said = [f"{name} is the name of {', '.join(own)} too." for name, own in self.names.items()]
            report = replace(report, remarks=[*report.remarks, *said], attrs={**report.attrs, "called": self.names})
        super().show(report)


PLAIN, SHOWN = Output(), Shown()


@Parameter(name="*")
@dataclass(frozen=True)
class Drawing(Read):
    """Where a figure's numbers come from, and where it goes."""

    out: Folder = FIGURES

    def save(self, drawn: tuple[Figure, Sequence[Mapping[str, Any]]], name: str, table: Path | None = None) -> None:
        check_output(self.out / f"{name}.csv", (".csv",), table)
        saved(drawn, self.out, name)


DRAWN = Drawing()


def saved(drawn: tuple[Figure, Sequence[Mapping[str, Any]]], out: Path, name: str, *, on_stderr: bool = False) -> None:
    """Write a figure and its numbers, and say which files these are: on stderr where stdout holds JSON."""
    from kaxis import plots

    for file in plots.save(*drawn, out, name):
        print(file, file=sys.stderr if on_stderr else sys.stdout)


def open_store(path: Path | None) -> Store:
    from kaxis.store.records import Store

    return Store(path or os.environ.get("KAXIS_STORE") or "runs")


def check_output(file: Path, kinds: tuple[str, ...], *read: Path | None) -> None:
    """KaxisError for a file to write that is read, or that is there and of another kind: it would be lost."""
    if not file.is_file():
        return
    if any(one is not None and one.exists() and file.samefile(one) for one in read):
        raise KaxisError(f"{file} is what is read; name another file to write")
    if not file.name.lower().endswith(kinds):
        raise KaxisError(f"{file} is there, and no {kinds[0]} file; name another file to write")


def existing_store(path: Path | None) -> Store:
    """A store that is there."""
    store = open_store(path)
    if not store.path.is_dir():
        raise KaxisError(
            f"no store at {store.path}; fill one with, for example: kaxis run digits --K 3 5 10 --store {store.path}"
        )
    if not any((store.path / name).is_dir() for name in ("cells", "studies")):
        others = sorted(d.name for d in store.path.iterdir() if (d / "cells").is_dir())
        inside = f"; stores in it: {', '.join(others)}" if others else ""
        up = f"; {store.path.parent} is one" if store.path.name in ("cells", "studies") else ""
        raise KaxisError(f"{store.path} is no store{inside}{up}")
    return store


def conditions(where: list[str] | None) -> dict[str, list[str]]:
    """``key=value`` items as a mapping; several values of a key are all taken."""
    out: dict[str, list[str]] = {}
    if where is not None and not where:
        raise KaxisError("--where: needs a value, e.g. source=digits")
    for item in where or []:
        key, equals, value = item.partition("=")
        if not equals:
            raise KaxisError(f"--where {item}: write key=value, e.g. source=digits")
        out.setdefault(key, []).append(value)
    return out


def called_names(call: list[str] | None) -> dict[str, list[str]]:
    """``name=learner`` items: each name with its learners."""
    out: dict[str, list[str]] = {}
    for item in call or []:
        name, equals, learner = item.partition("=")
        if not (name and equals and learner) or "[" in name:
            raise KaxisError(f"--call {item}: write NAME=LEARNER, e.g. 'dtg_ff=dtg_ff[lr=0.004]'")
        out.setdefault(name, []).append(learner)
    return out


def over(at_K: int | None, low: list[int] | None, high: list[int] | None) -> dict[str, Any]:
    """What of a seed an analysis looks at: the effect at one K, high K minus low K, or by default the slope."""
    if at_K is None:
        return {"low": tuple(low or ()), "high": tuple(high or ())} if low or high else {}
    if low or high:
        raise KaxisError(f"--at-K {at_K} and --low, --high: choose one")
    return {"K": at_K}


def open_cube(
    path: Path | None,
    where: list[str] | None,
    table: Path | None = None,
    *,
    curves: bool = False,
    call: list[str] | None = None,
) -> xr.Dataset:
    """The cube of a store that exists, or of a CSV file; records that were skipped are named on stderr."""
    names = called_names(call)
    if table is not None:
        from kaxis.stats.tables import read_csv

        if (path is not None or where) and table.expanduser().exists():  # else that is what is wrong
            raise KaxisError(f"{table}: a table stands alone, without --store and --where")
        cube = read_csv(table)
    else:
        store = existing_store(path)
        from kaxis.store.cube import load_cube

        cube = load_cube(store, conditions(where), curves=curves)
        name_skipped(store)
    from kaxis.stats.names import called

    return called(cube, names)


def name_skipped(store: Store) -> None:
    """Files that the store's last reading passed over, on stderr."""
    import warnings

    for problem in store.problems:
        warnings.warn(problem, stacklevel=3)
