"""What ``kaxis analyze contrast`` and ``slope`` show, and whether it was planned."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kaxis.cli import effect_rows
from kaxis.cli.common import Output, Pair, open_store
from kaxis.cli.report import Column, Report, interval, number
from kaxis.errors import KaxisError

if TYPE_CHECKING:
    import xarray as xr

    from kaxis.spec.study import Study

__all__ = ["UNTIL_CLEAR", "Asked", "show_contrast"]


@dataclass(frozen=True)
class Asked:
    """The question. `split` is (low, high), both empty for the slope, or None for what the plan says."""

    pair: Pair
    split: tuple[tuple[int, ...], tuple[int, ...]] | None
    shape: str
    scale: str
    published: bool
    drop_incomplete: bool
    check: bool


def show_contrast(asked: Asked, out: Output, table: Path | None) -> int:
    """Estimate, source by source, and print."""
    from kaxis.spec.study import check_split
    from kaxis.stats.blocks import check_pair
    from kaxis.stats.intervals import check_interval

    if asked.split is not None:
        check_split(*asked.split)
    check_interval(asked.pair.interval, asked.pair.prob)
    cube = out.cube(table)
    for name in asked.pair.learner or ():  # a wrong name is wrong for every source
        check_pair(cube, name, asked.pair.baseline)
    studies = open_store(out.store).studies() if table is None else []

    def real(name: str) -> list[str]:
        return [name, *out.names.get(name, [])]

    pair, results, standings, refused = asked.pair, [], [], []
    checks: list[str] = []
    for name in effect_rows.learners(cube, pair.learner, pair.baseline):
        for source in map(str, cube.source.values):
            study, created = _planned(studies, source, real(name), real(pair.baseline))
            plan = study.plan if study else None
            low, high = asked.split if asked.split is not None else (plan.low, plan.high) if plan else ((), ())
            try:
                result = _estimated(cube.sel(source=[source]), name, (low, high), asked)
            except KaxisError as refusal:
                refused.append(f"{name} - {pair.baseline}: {refusal}")
                continue
            results.append(result)
            standings.append(_standing(study, created, cube, source, result, asked))
            if asked.check and "slope" in result.attrs["contrast"]:
                checks.append(f"{source}, {name} - {pair.baseline}: {_checked(cube, source, name, asked)}")
    if not results:
        raise KaxisError("; ".join(refused[:3]) or f"no seed has both {pair.baseline} and another learner done")
    made = effect_rows.joined(results)
    for row, result, standing in zip(made.rows, results, standings, strict=True):
        row |= {"contrast": result.attrs["contrast"], "units": result.attrs["units"], "standing": standing}
    standings = [f"{r['source']}, {r['learner']} - {pair.baseline}: {r['standing']}" for r in made.rows]
    remarks = [
        *([AS_PUBLISHED] if asked.published else []),
        "seed r: mean correlation of a seed's effects between values of K.",
        *effect_rows.remarks(made.rows, made.notes, bootstrap=not asked.published, prob=pair.prob),
        *(effect_rows.little_headroom(cube) if asked.scale == "normalised" else []),
        *standings,
        *checks,
        *(f"Refused: {refusal}" for refusal in refused),
        *([] if asked.published else made.verdicts),
    ]
    units = ", ".join(dict.fromkeys(r["units"] for r in made.rows))
    attrs = made.attrs | {"refused": refused, "standing": standings}
    title = f"Contrast of paired effects along K, {units}"
    out.show(Report("contrast", title, attrs, made.rows, _columns(made, asked), remarks))
    return 0


def _estimated(cube: xr.Dataset, learner: str, split: tuple[Sequence[int], Sequence[int]], asked: Asked) -> xr.Dataset:
    from kaxis.stats.contrasts import contrast

    return contrast(
        cube,
        learner=learner,
        baseline=asked.pair.baseline,
        low=split[0],
        high=split[1],
        shape=asked.shape,
        scale=asked.scale,
        drop_incomplete=asked.drop_incomplete,
        published=asked.published,
        interval=asked.pair.interval,
        prob=asked.pair.prob,
    )


def _columns(made: effect_rows.Compared, asked: Asked) -> list[Column]:
    columns: list[Column] = [
        ("source", lambda r: r["source"]),
        made.who(),
        ("contrast", lambda r: r["contrast"]),
        ("effect", lambda r: number(r["effect"])),
        (f"{100 * asked.pair.prob:.10g}% bootstrap", made.ci()[1]) if asked.published else made.ci(),
        ("sign-flip p", lambda r: number(r["p"], ".3g")),
        ("wins", lambda r: f"{r['wins']}/{r['n_seeds']}"),
        ("seed r", lambda r: number(r["seed_correlation"])),
    ]
    if not asked.published:
        columns.insert(-1, ("bootstrap", lambda r: interval(r["bootstrap_lower"], r["bootstrap_upper"])))
    if all("slope" in r["contrast"] for r in made.rows):
        columns.insert(4, ("a doubling of K", lambda r: number(r["effect"] * math.log(2))))
    return columns


UNTIL_CLEAR = "whose seeds were added until it was clear"
"""What is said of a contrast that decided how many seeds there are: its plain interval is too narrow."""

AS_PUBLISHED = (
    "As published: (K, seed) observations are resampled as independent. They share seeds; do not trust this interval."
)


def _checked(cube: xr.Dataset, source: str, learner: str, asked: Asked) -> str:
    """The slope by other roads, in words."""
    from kaxis.stats.contrasts import slope_checks

    names = {"learner": learner, "baseline": asked.pair.baseline, "source": source}
    try:
        roads = slope_checks(
            cube, **names, scale=asked.scale, prob=asked.pair.prob, drop_incomplete=asked.drop_incomplete
        )
    except KaxisError as refusal:
        return f"no cross-check, {refusal}"
    parts = [f"{road} {number(slope)} {interval(low, high)}" for road, (slope, low, high) in roads.items()]
    return (
        f"slope on ln K by {', '.join(parts)}; CRV3 is the t interval when seeds are complete, MixedLM covers too "
        "little at few."
    )


def _planned(
    studies: list[tuple[Study, str]], source: str, learner: Sequence[str], baseline: Sequence[str]
) -> tuple[Study | None, str]:
    """The oldest study that covers a source and planned a contrast of these learners, with its date."""
    for study, created in studies:
        if (
            study.plan
            and (study.plan.learner in learner and study.plan.baseline in baseline)
            and source in {c.source for c in study.cells()}
        ):
            return study, created
    return None, ""


def _standing(
    study: Study | None, created: str, cube: xr.Dataset, source: str, result: xr.Dataset, asked: Asked
) -> str:
    """Primary or secondary, and whether the plan is older than the results."""
    if study is None or study.plan is None:
        return "secondary, in no study's plan."
    if study.plan.max_seeds:
        return f"of the study '{study.name}', {UNTIL_CLEAR}: quote kaxis analyze sequential."
    cells = [c for c in study.cells() if c.source == source]
    split = asked.split if asked.split is not None else (study.plan.low, study.plan.high)
    planned_K = sorted({*study.plan.low, *study.plan.high} or {c.K for c in cells})
    used_K = sorted(int(k) for k in str(result.used_K.item()).split())
    differs = [
        what
        for what, same in (
            ("contrast", split == (study.plan.low, study.plan.high) and asked.shape == "slope"),
            ("scale", asked.scale == "pp"),
            ("interval", not asked.published and asked.pair.interval == "t" and asked.pair.prob == 0.95),
            ("values of K", used_K == planned_K),
            ("number of seeds", int(result.n_seeds.item()) == len({c.seed for c in cells})),
        )
        if not same
    ]
    if differs:
        are = "is" if len(differs) == 1 and differs[0] != "values of K" else "are"
        return f"secondary; its {' and '.join(differs)} {are} not what the study '{study.name}' planned."
    pair = [result.attrs["learner"], result.attrs["baseline"]]
    times = cube.finished.sel(source=source, learner=pair).values.ravel()
    first = min((t for t in times if t), default="")
    when = "before" if created <= first else "AFTER"
    return f"primary contrast of the study '{study.name}', planned {when} the first result ({created[:16]} UTC)."
