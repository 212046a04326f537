"""``kaxis analyze images``: do effects hold over other test samples, and for which classes."""

from __future__ import annotations

from typing import Any

from kaxis.cli import effect_rows
from kaxis.cli.analyze import app
from kaxis.cli.common import PLAIN, Baseline, DataFolder, Learner, Output, Prob, name_skipped
from kaxis.cli.report import Column, Report, interval, number

__all__ = ["images"]


@app.command
def images(
    *,
    baseline: Baseline = "bp_deepsup",
    learner: Learner = "dtg_ff",
    data: DataFolder = None,
    per_class: bool = False,
    prob: Prob = 0.95,
    out: Output = PLAIN,
) -> int:
    """Effects with an interval over seeds and test samples at once: would other images say the same?

    From the records of which test samples were right, which cells keep since version 0.2.

    Example: kaxis analyze images --learner dtg_ff --store studies/results/images

    Parameters
    ----------
    per_class
        Class by class instead.
    """
    from kaxis.measure import images as over
    from kaxis.stats.rows import rows as plain

    place, where = out.records()
    options: dict[str, Any] = {"learner": learner, "baseline": baseline, "where": where, "data": data, "prob": prob}
    found = over.per_class(place, **options) if per_class else over.over_images(place, **options)
    name_skipped(place)
    rows = plain(found)
    for row in rows if not per_class else ():
        part = found.part.sel(source=row["source"], K=row["K"])
        row |= {f"of_{of}": float(part.sel(of=of)) for of in part.of.values}
    rows.sort(key=lambda r: (r["source"], r["K"], r["effect"]) if per_class else (r["source"], r["K"]))
    prefix = f"{100 * prob:.10g}% t"
    columns: list[Column] = [("source", lambda r: r["source"]), ("K", lambda r: r["K"])]
    columns += [("class", lambda r: r["class"])] if per_class else []
    columns += [
        ("learner - baseline", lambda r: f"{r['learner']} - {r['baseline']}"),
        ("pp", lambda r: number(r["effect"])),
        (f"{prefix}, seeds x samples", lambda r: interval(r["ci_lower"], r["ci_upper"])),
    ]
    if not per_class:
        columns += [
            (f"{prefix}, seeds alone", lambda r: interval(r["seeds_lower"], r["seeds_upper"])),
            ("of samples", lambda r: number(r["of_samples"], ".0%")),
            ("differ", lambda r: number(r["disagree"], ".1%")),
            ("seeds differ", lambda r: number(r["disagree_alone"], ".1%")),
            ("by chance", lambda r: number(r["disagree_chance"], ".1%")),
        ]
    columns += [("n", lambda r: r["n_seeds"]), ("samples", lambda r: f"{r['n_samples']:,}")]
    remarks = [*_remarks(per_class), *effect_rows.unused(found.attrs["notes"])]
    out.show(Report("images", "Effects over seeds and test samples", found.attrs, rows, columns, remarks))
    return 0


def _remarks(per_class: bool) -> list[str]:
    said = [
        "Population: other seeds, and other test samples drawn as these were. Not other data sets. The interval over "
        "seeds alone speaks of these test samples.",
    ]
    if not per_class:
        said += [
            "pp: of all samples of all seeds; where seeds have unequally many, `analyze paired` takes the mean of the "
            "seeds instead.",
            "of samples: their share of the variance of the mean. Where each seed has test samples of its own, seeds "
            "hold both.",
            "differ: on which exactly one learner is right; seeds differ: of one learner, two seeds; by chance: if the "
            "two erred independently.",
        ]
    return said
