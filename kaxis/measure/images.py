"""Do effects hold over other test samples, and for which classes: from the record of which samples were right."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from kaxis.errors import KaxisError
from kaxis.outcomes import unpack
from kaxis.sources.load import load_task
from kaxis.spec.cell import Cell
from kaxis.spec.teacher import TeacherSpec
from kaxis.stats.blocks import attributes, check_pair
from kaxis.stats.crossed import Crossed, crossed
from kaxis.store.cube import build_cube, select
from kaxis.store.records import Store
from kaxis.store.select import Conditions

__all__ = ["over_images", "per_class"]


@dataclass(frozen=True)
class Samples:
    """Of one source and K, seed after seed: whose sample it is, which of the set, its class, who is right."""

    seed: NDArray[np.int64]
    sample: NDArray[np.int64]
    name: NDArray[np.str_]
    learner: NDArray[np.bool_]
    baseline: NDArray[np.bool_]

    @property
    def effect(self) -> NDArray[np.float64]:
        return 100 * np.subtract(self.learner, self.baseline, dtype=np.float64)


def over_images(
    store: Store,
    *,
    learner: str,
    baseline: str,
    where: Conditions | None = None,
    data: Path | None = None,
    prob: float = 0.95,
) -> xr.Dataset:
    """Effects with an interval over seeds and test samples at once, and how often two learners are right on different
    samples.

    Parameters
    ----------
    store : Store
        Cells that keep which test samples were right (`test_right`; those from before do not).
    learner, baseline : str
    where : mapping, optional
        As `kaxis.load_cube`.
    data : Path, optional
        Folder of image files: which image a test sample is, its labels say.
    prob : float
        Of the intervals.

    Returns
    -------
    Dataset
        Over (source, K): ``effect`` (pp, of all samples of all seeds: where seeds have unequally many, `kaxis.paired`
        takes the mean of the seeds instead), ``ci`` over seeds x samples, ``seeds_ci`` over seeds alone; ``part`` (of
        seeds, samples, rest), shares of the variance of the mean; ``disagree``, share of samples on which exactly one
        learner is right, ``disagree_alone``, that of two seeds of one learner on samples that both have (mean of the
        two learners; NaN where they share none), ``disagree_chance``, what it would be if the two erred independently;
        ``n_seeds``, ``n_samples``.

    Raises
    ------
    KaxisError
        If no pair of cells keeps its outcomes, or the images are not there.
    """
    cube, places = _outcomes(store, learner, baseline, where, data)
    table = []
    for (source, K), one in places.items():
        a, b = one.learner, one.baseline
        found = crossed(one.effect, one.seed, one.sample, prob)
        parts = np.array([found.of_seeds, found.of_samples, found.of_rest])
        parts = parts / parts.sum() if parts.sum() > 0 else parts * np.nan
        row = {"source": source, "K": K, **_said(found)}
        row |= {f"seeds_ci_{end}": v for end, v in zip(ENDS, (found.seeds_lower, found.seeds_upper), strict=True)}
        row |= {f"part_{of}": v for of, v in zip(("seeds", "samples", "rest"), parts, strict=True)}
        row["disagree"] = float((a != b).mean())
        row["disagree_alone"] = float(np.mean([_alone(x, one.sample) for x in (a, b)]))
        row["disagree_chance"] = float(a.mean() * (1 - b.mean()) + b.mean() * (1 - a.mean()))
        table.append(row)
    out = _gridded(table, ["source", "K"])
    out["seeds_ci"] = _joined(out, "seeds_ci", ENDS, "ci_bound")
    out["part"] = _joined(out, "part", ("seeds", "samples", "rest"), "of")
    about = attributes(cube, learner, baseline, kind="t over seeds x test samples", prob=prob)
    out.attrs = about | {"units": "pp", "family": "one per source and K, not adjusted"}
    return out.drop_vars([n for n in out.data_vars if re.match(r"(seeds_ci|part)_", str(n))])


def per_class(
    store: Store,
    *,
    learner: str,
    baseline: str,
    where: Conditions | None = None,
    data: Path | None = None,
    prob: float = 0.95,
) -> xr.Dataset:
    """Effects class by class along K, each with an interval over seeds and test samples at once.

    Parameters
    ----------
    store, learner, baseline, where, data, prob
        As in `over_images`.

    Returns
    -------
    Dataset
        Over (source, K, class): ``effect`` (pp), ``ci``, ``n_seeds``, ``n_samples``; NaN and 0 for classes that no seed
        drew. Of a synthetic source classes are numbers that mean another thing at every seed: it is left out.

    Raises
    ------
    KaxisError
        If no pair of cells keeps its outcomes, or the images are not there.
    """
    cube, places = _outcomes(store, learner, baseline, where, data)
    table = []
    for (source, K), one in places.items():
        for name in np.unique(one.name) if source.split("/")[0] != "synthetic" else ():
            own = one.name == name
            found = crossed(one.effect[own], one.seed[own], one.sample[own], prob)
            table.append({"source": source, "K": K, "class": str(name), **_said(found)})
    if not table:
        raise KaxisError("no source with classes of its own keeps which test samples were right")
    out = _gridded(table, ["source", "K", "class"])
    about = attributes(cube, learner, baseline, kind="t over seeds x test samples", prob=prob)
    out.attrs = about | {"units": "pp", "family": "one per source, K and class, not adjusted"}
    return out


ENDS = ("lower", "upper")


def _said(found: Crossed) -> dict[str, float]:
    ends = {"ci_lower": found.lower, "ci_upper": found.upper}
    return {"effect": found.mean, **ends, "n_seeds": found.n_seeds, "n_samples": found.n_samples}


def _gridded(table: list[dict[str, Any]], dims: list[str]) -> xr.Dataset:
    """Rows as arrays, with NaN and counts of 0 where there is none."""
    out = xr.Dataset.from_dataframe(pd.DataFrame(table).set_index(dims))
    out["ci"] = _joined(out, "ci", ENDS, "ci_bound")
    counts = {name: out[name].fillna(0).astype(int) for name in ("n_seeds", "n_samples")}
    return out.assign(counts).drop_vars(["ci_lower", "ci_upper"])


def _joined(out: xr.Dataset, name: str, parts: Sequence[str], dim: str) -> xr.DataArray:
    return xr.concat([out[f"{name}_{part}"] for part in parts], xr.DataArray(list(parts), dims=dim, name=dim))


def _outcomes(
    store: Store, learner: str, baseline: str, where: Conditions | None, data: Path | None
) -> tuple[xr.Dataset, dict[tuple[str, int], Samples]]:
    """The cube, and of every source and K the samples of the seeds of which both learners keep their outcomes."""
    records, asked = select(store, where)
    cube = build_cube(records, asked)
    check_pair(cube, learner, baseline)
    kept: dict[tuple[str, int], dict[int, dict[str, tuple[Mapping[str, Any], NDArray[np.bool_]]]]] = {}
    for record in records:
        cell = Cell(record["config"])
        if cell.learner in (learner, baseline) and record["status"] == "done" and "test_right" in record:
            right = unpack(record["test_right"], record["data"]["n_test"])
            kept.setdefault((cell.source, cell.K), {}).setdefault(cell.seed, {})[cell.learner] = record, right
    places = {}
    for (source, K), seeds in sorted(kept.items()):
        parts = [
            (*_samples(own[baseline][0], data), own[learner][1], own[baseline][1])
            for _, own in sorted(seeds.items())
            if len(own) == 2
        ]
        if parts:
            seed = np.repeat(np.arange(len(parts)), [len(part[0]) for part in parts])
            places[source, K] = Samples(seed, *(np.concatenate(columns) for columns in zip(*parts, strict=True)))
    if not places:
        raise KaxisError(f"no seed of {learner} and {baseline} keeps which test samples were right; train them anew")
    return cube, places


def _samples(record: Mapping[str, Any], data: Path | None) -> tuple[NDArray[np.int64], NDArray[np.str_]]:
    """Which sample of the set each test sample is, and its class."""
    cell = Cell(record["config"])
    task = load_task(cell.data, cell.K, cell.seed, data, pixels=cell.conv)
    if task.facts.get("checksums") != record["data"].get("checksums"):
        raise KaxisError(f"{cell} was trained on other files than are here now: which sample is which is not known")
    own = isinstance(cell.data, TeacherSpec)  # samples of the seed's own: no other has them
    ids = (cell.seed << 32) + task.test_rows if own else task.test_rows
    names = np.array(task.facts.get("classes") or [str(k) for k in range(cell.K)])
    return ids, names[task.y_test]


def _alone(right: NDArray[np.bool_], i: NDArray[np.int64]) -> float:
    """How often two seeds of one learner differ on a sample that both have."""
    order = np.argsort(i, kind="stable")
    right, i = right[order], i[order]
    start = np.flatnonzero(np.r_[True, i[1:] != i[:-1]])
    n = np.diff(np.r_[start, len(i)]).astype(float)
    ones = np.add.reduceat(right.astype(float), start)
    pairs = (n * (n - 1)).sum()
    return float((2 * ones * (n - ones)).sum() / pairs) if pairs else float("nan")
