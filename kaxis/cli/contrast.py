"""What ``kaxis analyze contrast`` and ``slope`` show, and whether it was planned."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kaxis.cli import effect_rows
from kaxis.cli.common import Output, open_store
from kaxis.cli.report import Report, interval, number
from kaxis.errors import KaxisError

if TYPE_CHECKING:
    import xarray as xr

    from kaxis.study import Study

__all__ = ["Asked", "show_contrast"]


@dataclass(frozen=True)
class Asked:
    """The question. `split` is (low, high), both empty for the slope, or None for what the plan says."""

    baseline: str
    learners: list[str] | None
    split: tuple[tuple[int, ...], tuple[int, ...]] | None
    shape: str
    scale: str
    published: bool
    drop_incomplete: bool


def show_contrast(asked: Asked, out: Output, table: Path | None) -> int:
    """Estimate, source by source, and print."""
    from kaxis.stats import effects
    from kaxis.study import check_split

    if asked.split is not None:
        check_split(*asked.split)
    cube = out.cube(table)
    studies = open_store(out.store).studies() if table is None else []
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    standings: list[str] = []
    refused: list[str] = []
    attrs: dict[str, Any] = {}
    for name in effect_rows.learners(cube, asked.learners, asked.baseline):
        for source in map(str, cube.source.values):
            study, created = _planned(studies, source, name, asked.baseline)
            plan = study.plan if study else None
            low, high = asked.split if asked.split is not None else (plan.low, plan.high) if plan else ((), ())
            try:
                result = effects.contrast(
                    cube.sel(source=[source]),
                    learner=name,
                    baseline=asked.baseline,
                    low=low,
                    high=high,
                    shape=asked.shape,
                    scale=asked.scale,
                    drop_incomplete=asked.drop_incomplete,
                    published=asked.published,
                )
            except KaxisError as refusal:
                refused.append(f"{name} - {asked.baseline}: {refusal}")
                continue
            attrs = effect_rows.attrs(result)
            notes += result.attrs["notes"]
            (row,) = effect_rows.rows(result, name, asked.baseline, extra=("seed_correlation", "n_K")) or (None,)
            if row is None:
                continue
            rows.append({**row, "contrast": result.attrs["contrast"], "units": result.attrs["units"]})
            standings.append(
                f"{source}, {name} - {asked.baseline}: {_standing(study, created, cube, source, result, asked)}"
            )
    if not rows:
        raise KaxisError("; ".join(refused[:3]) or f"no seed has both {asked.baseline} and another learner done")
    columns = [
        ("source", lambda r: r["source"]),
        ("learner - baseline", lambda r: f"{r['learner']} - {r['baseline']}"),
        ("contrast", lambda r: r["contrast"]),
        ("effect", lambda r: number(r["effect"])),
        ("95% bootstrap" if asked.published else "95% t interval", lambda r: interval(r["ci_lower"], r["ci_upper"])),
        ("sign-flip p", lambda r: number(r["p"], ".3g")),
        ("wins", lambda r: f"{r['wins']}/{r['n_seeds']}"),
        ("seed r", lambda r: number(r["seed_correlation"])),
    ]
    if not asked.published:
        columns.insert(-1, ("bootstrap", lambda r: interval(r["bootstrap_lower"], r["bootstrap_upper"])))
    if all("slope" in r["contrast"] for r in rows):
        columns.insert(4, ("a doubling of K", lambda r: number(r["effect"] * math.log(2))))
    remarks = [
        "seed r: mean correlation of a seed's effects between values of K.",
        *effect_rows.remarks(rows, notes, bootstrap=not asked.published),
        *standings,
        *(f"Refused: {refusal}" for refusal in refused),
    ]
    if asked.published:
        remarks.insert(
            0,
            "As published: (K, seed) observations are resampled as independent. They share seeds; do not trust this interval.",
        )
    if not asked.published:
        remarks += effect_rows.verdicts(rows, None)
    units = ", ".join(dict.fromkeys(r["units"] for r in rows))
    attrs |= {"notes": notes, "refused": refused, "standing": standings}
    report = Report(
        "contrast",
        title=f"Contrast of paired effects along K, {units}",
        attrs=attrs,
        rows=rows,
        columns=columns,
        remarks=remarks,
    )
    out.show(report)
    return 0


def _planned(studies: list[tuple[Study, str]], source: str, learner: str, baseline: str) -> tuple[Study | None, str]:
    """The oldest study that covers a source and planned a contrast of these learners, with its date."""
    for study, created in studies:
        if (
            study.plan
            and (study.plan.learner, study.plan.baseline) == (learner, baseline)
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
    cells = [c for c in study.cells() if c.source == source]
    split = asked.split if asked.split is not None else (study.plan.low, study.plan.high)
    planned_K = sorted({*study.plan.low, *study.plan.high} or {c.K for c in cells})
    used_K = sorted(int(k) for k in str(result.used_K.item()).split())
    differs = [
        what
        for what, same in (
            ("contrast", split == (study.plan.low, study.plan.high) and asked.shape == "slope"),
            ("scale", asked.scale == "pp"),
            ("interval", not asked.published),
            ("values of K", used_K == planned_K),
            ("number of seeds", int(result.n_seeds.item()) == len({c.seed for c in cells})),
        )
        if not same
    ]
    if differs:
        return f"secondary; its {' and '.join(differs)} are not what the study '{study.name}' planned."
    times = cube.finished.sel(source=source, learner=[study.plan.learner, study.plan.baseline]).values.ravel()
    first = min((t for t in times if t), default="")
    when = "before" if created <= first else "AFTER"
    return f"primary contrast of the study '{study.name}', planned {when} the first result ({created[:16]} UTC)."
