"""``kaxis analyze``: effects of a learner against a baseline, as tables, JSON or CSV."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from kaxis.cli import effect_rows
from kaxis.cli.common import Json, StorePath, Where, open_cube, open_store
from kaxis.cli.report import Report, interval, number

__all__ = ["app"]

app = App(name="analyze", help="Seed-matched effects along K.\n\nExample: kaxis analyze paired --baseline bp_deepsup")

Baseline = Annotated[str, Parameter(help="the learner that is subtracted")]
Learners = Annotated[
    list[str] | None, Parameter(name="--learner", help="learners to compare with it; all others by default")
]
Csv = Annotated[Path | None, Parameter(name="--csv", help="write the rows here too")]


@app.command
def paired(
    *,
    baseline: Baseline = "bp_deepsup",
    learner: Learners = None,
    store: StorePath = None,
    where: Where = None,
    json: Json = False,
    csv: Csv = None,
) -> int:
    """Per-K paired effects on test accuracy: t interval, exact sign-flip p, wins, bootstrap interval.

    Example: kaxis analyze paired --baseline bp_deepsup --learner dtg_ff
    """
    from kaxis.stats import effects

    cube = open_cube(store, where)
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    attrs: dict[str, Any] = {}
    for name in effect_rows.learners(cube, learner, baseline):
        result = effects.paired(cube, learner=name, baseline=baseline)
        attrs = effect_rows.attrs(result)
        notes += result.attrs["notes"]
        rows += effect_rows.rows(result, name, baseline, normalised="effect_normalised ci_normalised")
    columns = [
        ("source", lambda r: r["source"]),
        ("K", lambda r: r["K"]),
        ("learner - baseline", lambda r: f"{r['learner']} - {r['baseline']}"),
        ("pp", lambda r: number(r["effect"])),
        ("95% t interval", lambda r: interval(r["ci_lower"], r["ci_upper"])),
        ("sign-flip p", lambda r: number(r["p"], ".3g")),
        ("wins", lambda r: f"{r['wins']}/{r['n_seeds']}"),
        ("bootstrap", lambda r: interval(r["bootstrap_lower"], r["bootstrap_upper"])),
        ("% of headroom", lambda r: number(r["effect_normalised"])),
    ]
    attrs["notes"] = notes
    Report(
        "paired",
        title="Paired effect on test accuracy, pp",
        attrs=attrs,
        rows=rows,
        columns=columns,
        remarks=effect_rows.remarks(rows, notes),
    ).show(as_json=json, csv_file=csv)
    return 0


@app.command
def contrast(
    *,
    baseline: Baseline = "bp_deepsup",
    learner: Learners = None,
    low: list[int] | None = None,
    high: list[int] | None = None,
    scale: Literal["pp", "normalised"] = "pp",
    as_published: bool = False,
    drop_incomplete: bool = False,
    store: StorePath = None,
    where: Where = None,
    json: Json = False,
    csv: Csv = None,
) -> int:
    """One contrast along K: the slope on log K, or high K minus low K. One number per seed, then a t interval.

    Example: kaxis analyze contrast --baseline bp_deepsup --learner dtg_ff

    Example: kaxis analyze contrast --low 5 10 15 --high 20 30 50 --as-published

    Parameters
    ----------
    low, high
        Values of K to compare; both or neither. A study file's plan names its own.
    scale
        pp, or per cent of the headroom above chance.
    as_published
        The paper's bootstrap over (K, seed) observations, which takes those that share a seed for independent.
    drop_incomplete
        Leave out seeds that lack a K instead of refusing.
    """
    from kaxis.stats import effects

    cube = open_cube(store, where)
    rows, notes, attrs, plans = [], [], {}, []
    for name in effect_rows.learners(cube, learner, baseline):
        result = effects.contrast(
            cube,
            learner=name,
            baseline=baseline,
            low=low or (),
            high=high or (),
            scale=scale,
            drop_incomplete=drop_incomplete,
            published=as_published,
        )
        attrs = effect_rows.attrs(result)
        notes += result.attrs["notes"]
        rows += effect_rows.rows(result, name, baseline, extra=("seed_correlation", "n_K"))
        plans += effect_rows.plans(open_store(store), cube, result)
    columns = [
        ("source", lambda r: r["source"]),
        ("learner - baseline", lambda r: f"{r['learner']} - {r['baseline']}"),
        ("effect", lambda r: number(r["effect"])),
        (
            "95% bootstrap, as published" if as_published else "95% t interval",
            lambda r: interval(r["ci_lower"], r["ci_upper"]),
        ),
        ("sign-flip p", lambda r: number(r["p"], ".3g")),
        ("wins", lambda r: f"{r['wins']}/{r['n_seeds']}"),
        ("bootstrap", lambda r: interval(r["bootstrap_lower"], r["bootstrap_upper"])),
        ("seed correlation", lambda r: number(r["seed_correlation"])),
    ]
    remarks = [*effect_rows.remarks(rows, notes), *plans]
    if not low:
        columns.insert(3, ("per doubling of K", lambda r: number(r["effect"] * 0.6931471805599453)))
    if as_published:
        remarks.insert(
            0,
            "As published: (K, seed) observations are resampled as independent. They share seeds; do not trust this interval.",
        )
    title = f"{attrs['contrast']}, {attrs['units']}"
    attrs["notes"] = notes
    Report("contrast", title=title, attrs=attrs, rows=rows, columns=columns, remarks=remarks).show(
        as_json=json, csv_file=csv
    )
    return 0


@app.command
def slope(
    *,
    baseline: Baseline = "bp_deepsup",
    learner: Learners = None,
    scale: Literal["pp", "normalised"] = "pp",
    drop_incomplete: bool = False,
    store: StorePath = None,
    where: Where = None,
    json: Json = False,
    csv: Csv = None,
) -> int:
    """The slope of the paired effect on log K: `contrast` without low and high.

    Example: kaxis analyze slope --baseline bp_deepsup
    """
    return contrast(
        baseline=baseline,
        learner=learner,
        scale=scale,
        drop_incomplete=drop_incomplete,
        store=store,
        where=where,
        json=json,
        csv=csv,
    )


@app.command
def gap(
    *,
    baseline: Baseline = "bp_deepsup",
    learner: Learners = None,
    store: StorePath = None,
    where: Where = None,
    json: Json = False,
    csv: Csv = None,
) -> int:
    """Train-test gaps of both learners, and their paired difference.

    Example: kaxis analyze gap --baseline bp --learner dtg_ff
    """
    from kaxis.stats import effects

    cube = open_cube(store, where)
    rows, notes, attrs = [], [], {}
    for name in effect_rows.learners(cube, learner, baseline):
        result = effects.gap(cube, learner=name, baseline=baseline)
        attrs = effect_rows.attrs(result)
        notes += result.attrs["notes"]
        parts = ("gap_learner", "gap_baseline", "train_effect", "test_effect")
        rows += effect_rows.rows(
            result, name, baseline, extra=parts, normalised="effect_normalised effect_normalised_ci"
        )
    columns = [
        ("source", lambda r: r["source"]),
        ("K", lambda r: r["K"]),
        ("learner - baseline", lambda r: f"{r['learner']} - {r['baseline']}"),
        ("gap of learner", lambda r: number(r["gap_learner"], ".2f")),
        ("of baseline", lambda r: number(r["gap_baseline"], ".2f")),
        ("difference, pp", lambda r: number(r["effect"])),
        ("95% t interval", lambda r: interval(r["ci_lower"], r["ci_upper"])),
        ("sign-flip p", lambda r: number(r["p"], ".3g")),
        ("n", lambda r: r["n_seeds"]),
        ("train effect", lambda r: number(r["train_effect"])),
        ("test effect", lambda r: number(r["test_effect"])),
    ]
    attrs["notes"] = notes
    remarks = [
        *effect_rows.remarks(rows, notes, bootstrap=False),
        "Difference of gaps = train effect - test effect: it shares the test term with the accuracy effect.",
    ]
    Report("gap", title="Train-test gap, pp", attrs=attrs, rows=rows, columns=columns, remarks=remarks).show(
        as_json=json, csv_file=csv
    )
    return 0
