"""``kaxis analyze``: effects of a learner against a baseline, as tables, JSON or CSV."""

from __future__ import annotations

from typing import Any, Literal

from cyclopts import App

from kaxis.cli import effect_rows
from kaxis.cli.common import PLAIN, Baseline, Learners, Output, Table
from kaxis.cli.contrast import Asked, show_contrast
from kaxis.cli.report import Report, interval, number
from kaxis.errors import KaxisError

__all__ = ["app"]

Scale = Literal["pp", "normalised", "logit"]

app = App(name="analyze", help="Seed-matched effects along K.\n\nExample: kaxis analyze paired --baseline bp_deepsup")


@app.command
def paired(
    table: Table = None,
    /,
    *,
    baseline: Baseline = "bp_deepsup",
    learner: Learners = None,
    out: Output = PLAIN,
) -> int:
    """Per-K paired effects on test accuracy: t interval, exact sign-flip p, wins, bootstrap interval.

    Example: kaxis analyze paired --baseline bp_deepsup --learner dtg_ff

    Example: kaxis analyze paired results.csv --baseline A --learner B
    """
    from kaxis.stats import effects

    cube = out.cube(table)
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    attrs: dict[str, Any] = {}
    for name in effect_rows.learners(cube, learner, baseline):
        result = effects.paired(cube, learner=name, baseline=baseline)
        attrs = effect_rows.attrs(result)
        notes += result.attrs["notes"]
        rows += effect_rows.rows(
            result,
            name,
            baseline,
            extra=("n_normalised", "p_holm", "p_max_t", "band"),
            normalised="effect_normalised ci_normalised",
        )
    columns = [
        ("source", lambda r: r["source"]),
        ("K", lambda r: r["K"]),
        ("learner - baseline", lambda r: f"{r['learner']} - {r['baseline']}"),
        ("pp", lambda r: number(r["effect"])),
        ("95% t interval", lambda r: interval(r["ci_lower"], r["ci_upper"])),
        ("sign-flip p", lambda r: number(r["p"], ".3g")),
        ("Holm", lambda r: number(r["p_holm"], ".3g")),
        ("wins", lambda r: f"{r['wins']}/{r['n_seeds']}"),
        ("bootstrap", lambda r: interval(r["bootstrap_lower"], r["bootstrap_upper"])),
        (
            "% of headroom",
            lambda r: (
                number(r["effect_normalised"])
                + ("" if r["n_normalised"] == r["n_seeds"] else f" (n={r['n_normalised']})")
            ),
        ),
    ]
    attrs["notes"] = notes
    report = Report(
        "paired",
        title="Paired effect on test accuracy, pp",
        attrs=attrs,
        rows=rows,
        columns=columns,
        remarks=effect_rows.remarks(rows, notes) + effect_rows.verdicts(rows, "pp"),
    )
    out.show(report)
    return 0 if rows else 1


@app.command
def contrast(
    table: Table = None,
    /,
    *,
    baseline: Baseline = "bp_deepsup",
    learner: Learners = None,
    low: list[int] | None = None,
    high: list[int] | None = None,
    shape: Literal["slope", "mean", "curvature"] | None = None,
    scale: Scale = "pp",
    as_published: bool = False,
    drop_incomplete: bool = False,
    out: Output = PLAIN,
) -> int:
    """One contrast along K, the one that the study planned: the slope on log K, or high K minus low K.

    Each seed gives one number; then a t interval.

    Example: kaxis analyze contrast --baseline bp_deepsup --learner dtg_ff

    Example: kaxis analyze contrast --low 5 10 15 --high 20 30 50 --as-published

    Parameters
    ----------
    low, high
        Values of K to compare, instead of what the study's plan says.
    shape
        Slope on ln K, mean over K, or curvature on ln K, instead of what the study's plan says.
    scale
        pp, per cent of the headroom above chance, or log odds.
    as_published
        The paper's bootstrap over (K, seed) observations, which takes those that share a seed for independent.
    drop_incomplete
        Leave out seeds that lack a K instead of refusing.
    """
    split = (tuple(low or ()), tuple(high or ()))
    if shape and (low or high):
        raise KaxisError(f"--shape {shape} and --low, --high: choose one")
    own = split if low or high or shape else None
    asked = Asked(baseline, learner, own, shape or "slope", scale, as_published, drop_incomplete)
    return show_contrast(asked, out, table)


@app.command
def slope(
    table: Table = None,
    /,
    *,
    baseline: Baseline = "bp_deepsup",
    learner: Learners = None,
    scale: Scale = "pp",
    drop_incomplete: bool = False,
    out: Output = PLAIN,
) -> int:
    """The slope of the paired effect on log K, whatever the study's plan says.

    Example: kaxis analyze slope --baseline bp_deepsup
    """
    asked = Asked(baseline, learner, ((), ()), "slope", scale, False, drop_incomplete)
    return show_contrast(asked, out, table)


@app.command
def gap(
    table: Table = None,
    /,
    *,
    baseline: Baseline = "bp_deepsup",
    learner: Learners = None,
    out: Output = PLAIN,
) -> int:
    """Train-test gaps of both learners, and their paired difference.

    Example: kaxis analyze gap --baseline bp --learner dtg_ff
    """
    from kaxis.stats import effects

    cube = out.cube(table)
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
    out.show(Report("gap", title="Train-test gap, pp", attrs=attrs, rows=rows, columns=columns, remarks=remarks))
    return 0 if rows else 1
