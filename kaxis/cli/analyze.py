"""``kaxis analyze``: effects of a learner against a baseline, as tables, JSON or CSV."""

from __future__ import annotations

import math
from typing import Any, Literal

from cyclopts import App

from kaxis.cli import effect_rows
from kaxis.cli.common import DEFAULT_PAIR, PLAIN, Check, Output, Pair, Scale, Table, Whole
from kaxis.cli.contrast import Asked, show_contrast
from kaxis.cli.report import Report, interval, number
from kaxis.errors import KaxisError

__all__ = ["app"]

app = App(name="analyze", help="Seed-matched effects along K.\n\nExample: kaxis analyze paired --baseline bp_deepsup")


@app.command
def paired(table: Table = None, /, *, pair: Pair = DEFAULT_PAIR, brief: bool = False, out: Output = PLAIN) -> int:
    """Per-K paired effects on test accuracy: interval, exact sign-flip p, Holm and max-t over K, wins, band over all K.

    Example: kaxis analyze paired --baseline bp_deepsup --learner dtg_ff

    Example: kaxis analyze paired results.csv --baseline A --learner B

    Parameters
    ----------
    brief
        Effect, interval and wins alone, and what they say.
    """
    from kaxis.stats import effects

    cube = out.cube(table)
    made = effect_rows.compare(cube, pair, effects.paired)
    columns = [
        ("source", lambda r: r["source"]),
        ("K", lambda r: r["K"]),
        made.who(),
        ("pp", lambda r: number(r["effect"])),
        made.ci(),
        ("sign-flip p", lambda r: number(r["p"], ".3g")),
        ("Holm", lambda r: number(r["p_holm"], ".3g")),
        ("max-t", lambda r: number(r["p_max_t"], ".3g")),
        ("wins", lambda r: f"{r['wins']}/{r['n_seeds']}"),
        ("bootstrap", lambda r: interval(r["bootstrap_lower"], r["bootstrap_upper"])),
        ("band over K", lambda r: interval(r["band_lower"], r["band_upper"])),
        ("% of headroom", lambda r: number(r["effect_normalised"])),
    ]
    remarks = effect_rows.remarks(made.rows, made.notes, prob=pair.prob)
    if any(math.isfinite(r["band_lower"]) for r in made.rows):
        remarks.append(
            "Holm and max-t: p over all K of a source, max-t by shared sign flips; the band holds all its K at once."
        )
    remarks += effect_rows.little_headroom(cube)
    title = "Paired effect on test accuracy, pp"
    if brief:
        columns, remarks = [c for c in columns if c[0] in (*BRIEF, made.header)], []
        if made.notes:
            remarks = [f"{len(made.notes)} cells or files are not used; without --brief they are named."]
    out.show(Report("paired", title, made.attrs, made.rows, columns, remarks + made.verdicts))
    return 0 if made.rows else 1


BRIEF = ("source", "K", "learner - baseline", "pp", "wins")


@app.command
def contrast(
    table: Table = None,
    /,
    *,
    pair: Pair = DEFAULT_PAIR,
    low: list[int] | None = None,
    high: list[int] | None = None,
    shape: Literal["slope", "mean", "curvature"] | None = None,
    scale: Scale = "pp",
    as_published: bool = False,
    drop_incomplete: Whole = False,
    check: Check = False,
    out: Output = PLAIN,
) -> int:
    """One contrast along K, the one that the study planned: the slope on log K, or high K minus low K.

    Each seed gives one number; then an interval of their mean.

    Example: kaxis analyze contrast --baseline bp_deepsup --learner dtg_ff

    Example: kaxis analyze contrast --low 5 10 15 --high 20 30 50 --as-published

    Parameters
    ----------
    low
        Values of K whose mean is taken from that of `--high`, instead of what the study's plan says.
    high
        Values of K, beside `--low`.
    shape
        Slope on ln K, mean over K, or curvature on ln K, instead of what the study's plan says.
    as_published
        The paper's bootstrap over (K, seed) observations, which takes those that share a seed for independent.
    """
    split = (tuple(low or ()), tuple(high or ()))
    if shape and (low or high):
        raise KaxisError(f"--shape {shape} and --low, --high: choose one")
    own = split if low or high or shape else None
    return show_contrast(Asked(pair, own, shape or "slope", scale, as_published, drop_incomplete, check), out, table)


@app.command
def slope(
    table: Table = None,
    /,
    *,
    pair: Pair = DEFAULT_PAIR,
    scale: Scale = "pp",
    drop_incomplete: Whole = False,
    check: Check = False,
    out: Output = PLAIN,
) -> int:
    """The slope of the paired effect on log K, whatever the study's plan says.

    Example: kaxis analyze slope --baseline bp_deepsup
    """
    return show_contrast(Asked(pair, ((), ()), "slope", scale, False, drop_incomplete, check), out, table)


@app.command
def gap(table: Table = None, /, *, pair: Pair = DEFAULT_PAIR, out: Output = PLAIN) -> int:
    """Train-test gaps of both learners, their paired difference, and how much of the accuracy effect goes with it.

    Example: kaxis analyze gap --baseline bp --learner dtg_ff
    """
    from kaxis.stats import effects

    made = effect_rows.compare(out.cube(table), pair, effects.gap)
    columns = [
        ("source", lambda r: r["source"]),
        ("K", lambda r: r["K"]),
        made.who(),
        ("gap", lambda r: number(r["gap_learner"], ".2f")),
        ("baseline's", lambda r: number(r["gap_baseline"], ".2f")),
        ("pp", lambda r: number(r["effect"])),
        made.ci(),
        ("sign-flip p", lambda r: number(r["p"], ".3g")),
        ("n", lambda r: r["n_seeds"]),
        ("train", lambda r: number(r["train_effect"])),
        ("test", lambda r: number(r["test_effect"])),
        ("share", lambda r: _share(r)),
    ]
    remarks = [
        *effect_rows.remarks(made.rows, made.notes, bootstrap=False),
        "pp: difference of gaps; train, test: effects on accuracy. In every seed test = train - gap, so the two "
        "are tied by arithmetic.",
        "Share: the part of the test effect that goes with the gap (Fieller's interval; unbounded where the test "
        "effect may be 0).",
    ]
    title = "Train-test gap, pp"
    out.show(Report("gap", title, made.attrs, made.rows, columns, remarks + made.verdicts))
    return 0 if made.rows else 1


def _share(row: dict[str, Any]) -> str:
    if math.isnan(row["share_lower"]):
        return number(row["share"], ".2f")
    if row["share_unbounded"]:
        return "unbounded"
    return f"{number(row['share'], '.2f')} {interval(row['share_lower'], row['share_upper'])}"


@app.command
def layers(table: Table = None, /, *, pair: Pair = DEFAULT_PAIR, out: Output = PLAIN) -> int:
    """Per-layer paired effects: each layer's own classifier against the baseline's at the same layer.

    Example: kaxis analyze layers --baseline bp_deepsup --learner dtg_ff
    """
    from kaxis.stats import effects

    cube = out.cube(table)
    if not pair.learner:  # of the learners that have classifiers at their layers, all
        names = effect_rows.learners(cube, None, pair.baseline)
        has = [n for n in names if effects.comparable_layers(cube, n, pair.baseline)]
        pair = Pair(pair.baseline, has or None, pair.interval, pair.prob)
    made = effect_rows.compare(cube, pair, effects.layers)
    columns = [
        ("source", lambda r: r["source"]),
        ("K", lambda r: r["K"]),
        ("layer", lambda r: r["layer"]),
        made.who(),
        ("learner, %", lambda r: number(r["layer_learner"], ".2f")),
        ("baseline, %", lambda r: number(r["layer_baseline"], ".2f")),
        ("pp", lambda r: number(r["effect"])),
        made.ci(),
        ("sign-flip p", lambda r: number(r["p"], ".3g")),
        ("Holm", lambda r: number(r["p_holm"], ".3g")),
        ("wins", lambda r: f"{r['wins']}/{r['n_seeds']}"),
    ]
    remarks = [
        *effect_rows.remarks(made.rows, made.notes, bootstrap=False),
        "Layer 1 is the first. Holm: over the layers of one source and K.",
    ]
    title = "Paired effect on each layer's test accuracy, pp"
    out.show(Report("layers", title, made.attrs, made.rows, columns, remarks + made.verdicts))
    return 0 if made.rows else 1


@app.command
def rankings(table: Table = None, /, *, out: Output = PLAIN) -> int:
    """The order of all learners at each K: mean rank within the seed, and how it moves from the smallest K.

    Example: kaxis analyze rankings --where source=synthetic
    """
    from kaxis.stats.rankings import rankings as order

    result = order(out.cube(table))
    rows = [
        {
            "source": source,
            "K": int(K),
            "learner": name,
            "baseline": None,
            "n_seeds": int(at.n_seeds),
            "effect": float(at["rank"]),
            "ci_lower": float(at.rank_ci[0]),
            "ci_upper": float(at.rank_ci[1]),
            "first": int(at["first"]),
            "best": float(at.best),
            "place_lower": float(at.place_ci.sel(ci_bound="lower")),
            "place_upper": float(at.place_ci.sel(ci_bound="upper")),
            "change": float(at.change),
            "change_lower": float(at.change_ci[0]),
            "change_upper": float(at.change_ci[1]),
            "n_change": int(at.n_change),
            "agreement": float(at.agreement),
        }
        for source in map(str, result.source.values)
        for K in result.K.values
        for name in map(str, result.learner.values)
        for at in [result.sel(source=source, K=K, learner=name)]
        if int(at.n_seeds) and math.isfinite(float(at["rank"]))
    ]
    columns = [
        ("source", lambda r: r["source"]),
        ("K", lambda r: r["K"]),
        ("learner", lambda r: r["learner"]),
        ("mean rank", lambda r: number(r["effect"], ".2f")),
        ("95% t interval", lambda r: interval(r["ci_lower"], r["ci_upper"])),
        ("first", lambda r: f"{r['first']}/{r['n_seeds']}"),
        ("best", lambda r: number(r["best"], ".0%")),
        ("place, 95%", lambda r: f"{r['place_lower']:.0f} to {r['place_upper']:.0f}"),
        ("change from smallest K", lambda r: number(r["change"])),
        ("95% t interval", lambda r: interval(r["change_lower"], r["change_upper"])),
        ("agreement", lambda r: number(r["agreement"], ".2f")),
    ]
    remarks = [
        *effect_rows.remarks(rows, result.attrs["notes"], bootstrap=False),
        "Rank 1 is the best test accuracy of a seed, ties share. Over seeds in which every learner is done.",
        "Agreement: mean over seeds of Kendall's tau-b with the same seed's order at the smallest K (1 the same, "
        "-1 reversed).",
        "Best: share of resampled studies in which its mean is the highest; surer of itself than few seeds allow.",
        "Place, 95%: of its true mean, by a band over its differences to all others (1 is best).",
        "Ranks say who is ahead, not by how much; their intervals are rough.",
    ]
    if fewer := [r for r in rows if r["n_change"] != r["n_seeds"]]:
        places = dict.fromkeys(f"{r['source']} K = {r['K']} ({r['n_change']} of {r['n_seeds']})" for r in fewer)
        remarks.append(
            f"Change and agreement are over the seeds that are whole at the smallest K too: {', '.join(places)}."
        )
    out.show(Report("rankings", "Ranks of learners along K", dict(result.attrs), rows, columns, remarks))
    return 0 if rows else 1
