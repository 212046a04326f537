"""``kaxis analyze images``: do effects hold over other test samples, and for which classes."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

from kaxis.cli.analyze import app
from kaxis.cli.common import PLAIN, Output, conditions, open_store
from kaxis.cli.report import Column, Report, interval, number

__all__ = ["images"]


@app.command
def images(
    *,
    baseline: str = "bp_deepsup",
    learner: str = "dtg_ff",
    data: Path | None = None,
    per_class: bool = False,
    prob: float = 0.95,
    out: Output = PLAIN,
) -> int:
    """Effects with an interval over seeds and test samples at once: would other images say the same?

    From the records of which test samples were right, which cells keep since version 0.2.

    Example: kaxis analyze images --learner dtg_ff --store studies/results/images

    Parameters
    ----------
    data
        Folder of image files; $KAXIS_DATA, else the user's cache.
    per_class
        Class by class instead.
    """
    from kaxis.measure import images as over

    place, where = open_store(out.store), conditions(out.where)
    options: dict[str, Any] = {"learner": learner, "baseline": baseline, "where": where, "data": data, "prob": prob}
    found = over.per_class(place, **options) if per_class else over.over_images(place, **options)
    rows, axes = [], [axis for axis in ("source", "K", "class") if axis in found.dims]
    for at in itertools.product(*(found[axis].values.tolist() for axis in axes)):
        row: dict[str, Any] = dict(zip(axes, at, strict=True))
        one = found.sel(row)
        if not int(one.n_seeds):
            continue
        row |= {"learner": learner, "baseline": baseline, "effect": float(one.effect)}
        row |= {f"ci_{end}": float(one.ci.sel(ci_bound=end)) for end in ("lower", "upper")}
        row |= {"n_seeds": int(one.n_seeds), "n_samples": int(one.n_samples)}
        if not per_class:
            row |= {f"seeds_{end}": float(one.seeds_ci.sel(ci_bound=end)) for end in ("lower", "upper")}
            row |= {f"of_{of}": float(one.part.sel(of=of)) for of in ("seeds", "samples", "rest")}
            row |= {name: float(one[name]) for name in ("disagree", "disagree_alone", "disagree_chance")}
        rows.append(row)
    rows.sort(key=lambda r: (r["source"], r["K"], r["effect"]) if per_class else (r["source"], r["K"]))
    prefix = f"{100 * prob:.3g}% t"
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
    out.show(Report("images", "Effects over seeds and test samples", found.attrs, rows, columns, _remarks(per_class)))
    return 0


def _remarks(per_class: bool) -> list[str]:
    said = [
        "Population: other seeds, and other test samples drawn as these were. Not other data sets. The interval over "
        "seeds alone speaks of these test samples.",
    ]
    if not per_class:
        said += [
            "of samples: their share of the variance of the mean. Where each seed has test samples of its own, seeds "
            "hold both.",
            "differ: on which exactly one learner is right; seeds differ: of one learner, two seeds; by chance: if the "
            "two erred independently.",
        ]
    return said
