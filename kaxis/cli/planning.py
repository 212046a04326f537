"""``kaxis analyze equivalence``, ``power``, ``coverage`` and ``reproduction``: is it small, how many seeds, what does
95 % cover, what was published?
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from kaxis.cli import effect_rows
from kaxis.cli.analyze import app
from kaxis.cli.common import PLAIN, SHOWN, Baseline, Learners, Output, Shown, Table
from kaxis.cli.report import Column, Report, interval, number
from kaxis.errors import KaxisError

__all__ = ["coverage", "equivalence", "power", "reproduction"]


@app.command
def equivalence(
    table: Table = None,
    /,
    *,
    margin: float,
    baseline: Baseline = "bp_deepsup",
    learner: Learners = None,
    out: Output = PLAIN,
) -> int:
    """Is the effect smaller than a margin either way, at each K? Two one-sided t tests (TOST), Holm-adjusted over K.

    Example: kaxis analyze equivalence --margin 1 --baseline bp_deepsup --learner dtg_ff

    Parameters
    ----------
    margin
        In pp: what would be too small to matter. Choose it before looking.
    """
    from kaxis.stats.effects import equivalence as tost
    from kaxis.stats.rows import rows as plain

    cube = out.cube(table)
    results = [
        tost(cube, learner=name, baseline=baseline, margin=margin)
        for name in effect_rows.learners(cube, learner, baseline)
    ]
    rows = [{**row, "margin": margin} for result in results for row in plain(result)]
    columns = [
        ("source", lambda r: r["source"]),
        ("K", lambda r: r["K"]),
        ("learner - baseline", lambda r: f"{r['learner']} - {r['baseline']}"),
        ("pp", lambda r: number(r["effect"])),
        ("90% t interval", lambda r: interval(r["ci_lower"], r["ci_upper"])),
        ("TOST p", lambda r: number(r["p"], ".3g")),
        ("Holm p", lambda r: number(r["p_holm"], ".3g")),
        ("n", lambda r: r["n_seeds"]),
    ]
    shown = [f"{r['source']} K = {r['K']}" for r in rows if r["p_holm"] <= 0.05]  # NaN: not
    still = [f"{r['source']} K = {r['K']}" for r in rows if r["n_seeds"] > 1 and math.isnan(r["p"])]
    words = f"Shown to lie within {margin:g} pp of 0: {', '.join(shown) or 'none'} (family-wise 5 % over K)."
    remarks = [
        words,
        *_no_spread(still),
        "What is not shown to be small may be small or large: no difference shown is not no difference.",
        *effect_rows.unused(list(dict.fromkeys(note for result in results for note in result.attrs["notes"]))),
    ]
    attrs = {k: v for k, v in results[-1].attrs.items() if k not in ("learner", "quantity")}
    out.show(Report("equivalence", f"Equivalence within {margin:g} pp", attrs, rows, columns, remarks))
    return 0 if rows else 1


@app.command
def power(
    table: Table = None,
    /,
    *,
    effect: float,
    baseline: Baseline = "bp_deepsup",
    learner: Learners = None,
    target: Annotated[float, Parameter(help="wanted power")] = 0.8,
    out: Output = PLAIN,
) -> int:
    """How many seeds an effect needs, with the spread that the store's own seeds show; what its seeds can see.

    Example: kaxis analyze power --effect 1 --baseline bp_deepsup --learner dtg_ff

    Parameters
    ----------
    effect
        In pp at one K, or in pp per unit of ln K for the slope.
    """
    from kaxis.stats import planning
    from kaxis.stats.blocks import incomplete
    from kaxis.stats.intervals import constant

    cube = out.cube(table)
    rows: list[dict[str, Any]] = []
    names = effect_rows.learners(cube, learner, baseline)
    for name in names:
        for spread in planning.spreads(cube, learner=name, baseline=baseline):
            d = spread.pop("d")
            sd = float(d.std(ddof=1))
            moves = not constant(d)
            needed = planning.seeds_needed(effect, sd, target) if moves else None
            simulated = planning.simulated_power(d, effect, needed) if needed else {"t": math.nan, "exact": math.nan}
            sd = sd if moves else 0.0
            now = {"effect": effect, "sd": sd, "n_seeds": len(d), "power_now": planning.power(effect, sd, len(d))}
            then = {"seeds_needed": needed, "simulated_t": simulated["t"], "simulated_exact": simulated["exact"]}
            seen = {"smallest_effect": planning.smallest_effect(sd, len(d), target)}
            rows.append({**spread, "learner": name, "baseline": baseline, **now, **then, **seen})
    columns = [
        ("source", lambda r: r["source"]),
        ("K", lambda r: "slope" if r["K"] is None else r["K"]),
        ("learner - baseline", lambda r: f"{r['learner']} - {r['baseline']}"),
        ("spread", lambda r: number(r["sd"], ".2f")),
        ("n now", lambda r: r["n_seeds"]),
        ("power now", lambda r: number(r["power_now"], ".2f")),
        (f"n for {target:g}", lambda r: r["seeds_needed"] or "-"),
        ("simulated: t", lambda r: number(r["simulated_t"], ".2f")),
        ("exact", lambda r: number(r["simulated_exact"], ".2f")),
        ("smallest seen", lambda r: number(r["smallest_effect"], ".2f")),
    ]
    still = [" ".join([r["source"], "slope" if r["K"] is None else f"K = {r['K']}"]) for r in rows if not r["sd"]]
    remarks = [
        *_no_spread(still),
        f"n: fewest seeds with which a two-sided t test at 5 % shows {effect:g} with power {target:g}, if the "
        "spread is as it was here.",
        "Simulated: with the study's own centred numbers instead of a normal law. Few seeds know their spread badly.",
        f"The exact test can reject from {planning.exact_minimum()} seeds on, in a Holm family of 6 from "
        f"{planning.exact_minimum(family=6)}.",
    ]
    remarks += effect_rows.unused(incomplete(cube, *dict.fromkeys([baseline, *names])))
    attrs = {"units": "pp", "alpha": 0.05, "target": target, "family": "each by itself"}
    out.show(Report("power", f"Seeds for an effect of {effect:g}", attrs, rows, columns, remarks))
    return 0 if rows else 1


def _no_spread(places: list[str]) -> list[str]:
    """The sentence on places whose seeds are all alike."""
    return (
        [f"{', '.join(dict.fromkeys(places))}: a spread of 0 gives no interval, and nothing to plan with."]
        if places
        else []
    )


COVERAGE: list[Column] = [
    ("interval", lambda r: r["interval"]),
    ("n", lambda r: r["n_seeds"]),
    ("covers", lambda r: f"{100 * r['covers']:.1f} %"),
    ("95% of the simulation", lambda r: f"[{100 * r['low']:.1f}, {100 * r['high']:.1f}]"),
    ("mean width", lambda r: number(r["width"], ".2f")),
]


@app.command
def coverage(
    *,
    n: list[int] | None = None,
    intervals: list[str] | None = None,
    shape: Literal["normal", "exponential", "contaminated"] = "normal",
    icc: float = 0.5,
    tilt: float = 0.0,
    shrink: float = 1.0,
    question: Literal["effect", "contrast", "slope", "gap", "mean"] = "slope",
    draws: int = 2_000,
    out: Shown = SHOWN,
) -> int:
    """What an interval that says 95 % really covers, by simulation at the study's n, skew and seed correlation.

    Example: kaxis analyze coverage --n 5 10 --shape exponential --intervals t studentized percentile

    Example: kaxis analyze coverage --question contrast --tilt 0.5 --intervals t as-published

    Parameters
    ----------
    n
        Seeds; 5 8 10.
    intervals
        Out of t, studentized, bca, percentile and, for contrast and mean, as-published; t, studentized and percentile.
    shape
        Of a seed's number: normal, exponential (skewed), contaminated (one in ten three times as wide).
    icc
        Share of the variance that a seed's effects have in common along K.
    tilt
        Share of the variance that is a slope of the seed's own along log K.
    shrink
        Spread at the largest K over that at the smallest.
    question
        Effect at one K, contrast of high and low K, slope or mean along K, or difference of gaps.
    draws
        Simulated studies.
    """
    from kaxis.stats.simulate import advised
    from kaxis.stats.simulate import coverage as simulate

    sizes = n or [5, 8, 10]
    design: dict[str, Any] = {"shape": shape, "icc": icc, "tilt": tilt, "shrink": shrink, "question": question}
    rows = [
        simulate(kind, k, **design, draws=draws)
        for kind in intervals or ["t", "studentized", "percentile"]
        for k in sizes
    ]
    remarks = [
        f"{question}, {shape} seeds, level share {icc:g}, slope share {tilt:g}, {draws:,} simulated studies; width "
        "in standard deviations.",
        *(advised([r for r in rows if r["n_seeds"] == k]) for k in sizes),
        "Choose by what is known of the design, before looking: to pick an interval by how skewed the sample "
        "looks does not help (docs/statistics.md).",
    ]
    out.show(Report("coverage", "What 95 % covers", {"nominal": 0.95, **design}, rows, COVERAGE, remarks))
    return 0


@app.command
def reproduction(*, out: Output = PLAIN) -> int:
    """Every published number that the store has cells for, beside ours, with the printed settings that differ.

    Example: kaxis analyze reproduction --store studies/results/main
    """
    from kaxis.stats.reproduction import reproduction as compare

    store, where = out.records()
    if where:
        raise KaxisError(
            "--where: reproduction takes the whole store; what differs from the paper is named in each row"
        )
    rows = compare(store.records(curves=False, outcomes=False))
    columns = [
        ("quantity", lambda r: r["quantity"]),
        ("source", lambda r: r["source"]),
        ("K", lambda r: r["K"]),
        ("learner", lambda r: r["learner"] + (f" - {r['baseline']}" if r["baseline"] else "")),
        ("published", lambda r: number(r["published"], ".2f")),
        ("ours", lambda r: number(r["effect"], ".2f")),
        ("95% t interval", lambda r: interval(r["ci_lower"], r["ci_upper"])),
        ("95% prediction", lambda r: interval(r["prediction_lower"], r["prediction_upper"])),
        ("n", lambda r: f"{r['n_seeds']} (theirs {r['n_published']})"),
        ("holds it", lambda r: "-" if r["inside"] is None else "yes" if r["inside"] else "no"),
        ("printed settings that differ", lambda r: r["differs"] or "none"),
    ]
    held = [r["inside"] for r in rows if r["inside"] is not None]
    remarks = [
        f"{sum(held)} of {len(held)} prediction intervals hold the published number. They say where the mean of "
        "another study of as many seeds as "
        "theirs would lie, and hold an exact replication in 95 % of cases; our t interval of the true mean holds "
        "one in 78 % (10 seeds against 5).",
        "Settings that the paper does not print may differ too: docs/options.md names them.",
    ]
    attrs = {
        "ci_kind": "t",
        "ci_prob": 0.95,
        "units": "% or pp",
        "family": "each by itself",
        "inside": "prediction interval",
    }
    out.show(Report("reproduction", "Published and ours, % and pp", attrs, rows, columns, remarks))
    return 0 if rows else 1
