"""``kaxis analyze sets``: one number a data set, and what a new one would show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from kaxis.cli import effect_rows
from kaxis.cli.analyze import app
from kaxis.cli.common import PLAIN, Baseline, Learner, Output, Prob, Table, over
from kaxis.cli.report import Column, Report, interval, number

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["sets"]


@app.command
def sets(
    table: Table = None,
    /,
    *,
    baseline: Baseline = "bp_deepsup",
    learner: Learner = "dtg_ff",
    source: Annotated[list[str] | None, Parameter(help="the sets; all that are not synthetic")] = None,
    at_K: Annotated[int | None, Parameter(name="--at-K", help="the effect at one K, instead of the slope")] = None,
    low: list[int] | None = None,
    high: list[int] | None = None,
    prob: Prob = 0.95,
    out: Output = PLAIN,
) -> int:
    """Over data sets: the slope along K of each, their mean with an interval, and where a new set would lie.

    Example: kaxis analyze sets --store studies/results/sets --learner dtg_ff

    Parameters
    ----------
    low
        Values of K: mean effect over those of `--high` minus that over these, instead of the slope on ln K.
    high
        Values of K, beside `--low`.
    """
    from kaxis.stats.sets import over_sets

    found = over_sets(
        out.cube(table), learner=learner, baseline=baseline, sources=source, **over(at_K, low, high), prob=prob
    )
    pair, k = {"learner": learner, "baseline": baseline}, int(found.n_sets)
    rows: list[dict[str, Any]] = []
    for name in map(str, found.source.values):
        one = found.sel(source=name)
        rows.append({"what": name, **pair, "effect": float(one.effect), "se": float(one.se), "n": int(one.n_seeds)})
    ends = {name: [float(v) for v in found[name].values] for name in ("ci", "new_ci", "hk_ci")}
    for what, effect, bounds in (
        ("mean of the sets", found["mean"], ends["ci"]),
        ("a new set", found["mean"], ends["new_ci"]),
        ("weighted by precision", found.hk_mean, ends["hk_ci"]),
    ):
        own = {"ci_lower": bounds[0], "ci_upper": bounds[1]}
        rows.append({"what": what, **pair, "effect": float(effect), **own, "n": k})
    columns: list[Column] = [
        ("source", lambda r: r["what"]),
        ("learner - baseline", lambda r: f"{r['learner']} - {r['baseline']}"),
        ("effect", lambda r: number(r["effect"])),
        ("SE", lambda r: number(r["se"], ".2f") if "se" in r else ""),
        (f"{100 * prob:.10g}% t interval", lambda r: interval(r["ci_lower"], r["ci_upper"]) if "ci_lower" in r else ""),
        ("n", lambda r: r["n"]),
    ]
    remarks = [
        f"n: seeds of a set; {k} sets below the line. Sets count alike; weighted: Hartung and Knapp, which covers too "
        "little where each set's error is known from few seeds.",
        f"A new set: where its estimate would lie in {100 * prob:.10g} % of cases, drawn and measured as these were.",
        f"Spread of the sets' true effects (tau) {number(float(found.tau), '.2f')}, {float(found.I2):.0%} of the "
        f"variance: guesses from {_few(found)} seeds a set. p of none {float(found.anova_p):.2g} (Welch's analysis of "
        "variance).",
    ]
    used = found.attrs.get("used_K", {})
    if len(set(used.values())) > 1:
        along = "; ".join(f"{name} {', '.join(own.split())}" for name, own in used.items())
        remarks.append(f"The sets' numbers are over different K: {along}.")
    if k <= 5:
        remarks.append(f"{k} sets carry little: their t interval is {_wider(k, prob):.1f} times as wide as of many.")
    remarks += [f"Left out: {why}" for why in found.attrs["refused"]]
    remarks += effect_rows.unused(found.attrs["notes"])
    attrs = found.attrs | {k: float(found[k]) for k in ("tau", "I2", "anova_p", "Q_p")}
    out.show(Report("sets", f"Over sets: {attrs['contrast']}, {attrs['units']}", attrs, rows, columns, remarks))
    return 0


def _few(found: xr.Dataset) -> str:
    ends = sorted({int(found.n_seeds.min()), int(found.n_seeds.max())})
    return " to ".join(map(str, ends))


def _wider(k: int, prob: float) -> float:
    from scipy.special import ndtri, stdtrit

    return float(stdtrit(k - 1, (1 + prob) / 2) / ndtri((1 + prob) / 2))
