"""``kaxis analyze factorial``: which switch carries the difference between two learners."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from kaxis.cli import effect_rows
from kaxis.cli.analyze import app
from kaxis.cli.common import PLAIN, Interval, Output, Scale, Table
from kaxis.cli.report import Column, Report, number
from kaxis.cli.report import interval as bounds

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["factorial"]


@app.command
def factorial(
    table: Table = None,
    /,
    *,
    factors: list[str] | None = None,
    interactions: bool = False,
    scale: Scale = "pp",
    interval: Interval = "t",
    prob: float = 0.95,
    out: Output = PLAIN,
) -> int:
    """Main effects and interactions of the learners' switches along K, and what each carries of the difference of the
    corners.

    The store needs a learner for every combination of the factors, as studies/factorial.toml has.

    Example: kaxis analyze factorial --store studies/results/factorial

    Parameters
    ----------
    factors
        Out of gradient, power, temperature, readout; all four.
    interactions
        Show interactions in the table too; JSON and CSV always have them.
    prob
        Of the intervals.
    """
    from kaxis.stats.factorial import FACTORS
    from kaxis.stats.factorial import factorial as analyse

    chosen = tuple(factors or FACTORS)
    cube = out.cube(table)
    result = analyse(cube, factors=chosen, scale=scale, interval=interval, prob=prob)
    rows = _rows(result)
    shown: dict[tuple[str, str], dict[Any, Any]] = {}
    for row in rows:
        if interactions or row["kind"] != "interaction":
            line = shown.setdefault((row["source"], row["term"]), {"source": row["source"], "term": row["term"]})
            line[row["K"]] = row
    columns: list[Column] = [("source", lambda r: r["source"]), ("term", lambda r: r["term"])]
    for K in [*map(int, result.K.values), None]:
        columns.append(("slope on ln K" if K is None else f"K = {K}", partial(_cell, K, 1 - prob)))
    title = f"Factorial, {result.attrs['units']}"
    remarks = [*_remarks(result, rows), *(effect_rows.little_headroom(cube) if scale == "normalised" else [])]
    out.show(Report("factorial", title, dict(result.attrs), rows, columns, remarks, list(shown.values())))
    return 0 if rows else 1


def _remarks(result: xr.Dataset, rows: list[dict[str, Any]]) -> list[str]:
    from kaxis.stats.verdict import population

    prob = result.attrs["ci_prob"]
    return [
        f"{result.attrs['baseline']} -> {result.attrs['learner']} ({result.attrs['units']}, {100 * prob:.10g} % "
        f"{result.attrs['ci_kind']} intervals; * Holm p <= {1 - prob:.2g}).",
        "gradient: the mean over learners that have DTG-FF's level minus the mean over those with BP-DeepSup's; "
        "and so on.",
        "carried by: what switching it on adds, averaged over all orders of switching (Shapley); they add up to "
        "the difference of the corners.",
        f"Family: {result.attrs['family']}.",
        f"Seeds: {_seeds(rows)}.",
        *effect_rows.remarks(rows, result.attrs["notes"], bootstrap=False),
        *_verdicts(rows, result),
        *(
            population(s, [r["K"] for r in rows if r["source"] == s and r["K"]], result.attrs["origin"])
            for s in map(str, result.source.values)
        ),
    ]


def _rows(result: xr.Dataset) -> list[dict[str, Any]]:
    """One row for each source, K (None: slope) and term that has seeds."""
    rows = []
    for source in map(str, result.source.values):
        for K in [*map(int, result.K.values), None]:
            for term in map(str, result.term.values):
                at = result.sel(source=source, term=term)
                names = ("effect", "ci", "p", "p_holm", "n_seeds")
                if K is None:
                    names = ("slope", "slope_ci", "slope_p", "slope_p_holm", "slope_n")
                else:
                    at = at.sel(K=K)
                effect, ci, p, p_holm, n = (at[name] for name in names)
                if not int(n):
                    continue
                place: dict[str, Any] = {"source": source, "K": K, "term": term, "kind": str(at.kind.item())}
                pair = {"learner": result.attrs["learner"], "baseline": result.attrs["baseline"]}
                found = {"effect": float(effect), "ci_lower": float(ci[0]), "ci_upper": float(ci[1]), "n_seeds": int(n)}
                rows.append({**place, **pair, **found, "p": float(p), "p_holm": float(p_holm)})
    return rows


def _cell(K: int | None, level: float, line: Mapping[Any, Any]) -> str:
    if (row := line.get(K)) is None:
        return "-"
    star = "*" if row["p_holm"] <= level else " "
    return f"{number(row['effect'])} {bounds(row['ci_lower'], row['ci_upper'])}{star}"


def _seeds(rows: list[dict[str, Any]]) -> str:
    """How many, for each source: one number, or one for each K."""
    out = []
    for source in dict.fromkeys(r["source"] for r in rows):
        n = {r["K"]: r["n_seeds"] for r in rows if r["source"] == source}
        each = ", ".join(f"{v} at {'the slope' if k is None else f'K = {k}'}" for k, v in n.items())
        out.append(f"{source} n = {next(iter(n.values())) if len(set(n.values())) == 1 else each}")
    return "; ".join(out)


def _verdicts(rows: list[dict[str, Any]], result: xr.Dataset) -> list[str]:
    """Which factors move the slope, and which carry most of the corners' difference at the largest K."""
    out = []
    level = 1 - result.attrs["ci_prob"]
    for source in map(str, result.source.values):
        slopes = [r for r in rows if r["source"] == source and r["K"] is None and r["kind"] == "main"]
        if slopes:
            found = [
                f"{r['term']} ({number(r['effect'])} {bounds(r['ci_lower'], r['ci_upper'])})"
                for r in slopes
                if r["p_holm"] <= level
            ]
            out.append(
                f"{source}: main effects on the slope, confirmed by the exact test after Holm over {len(slopes)}: "
                f"{', '.join(found) or 'none'}."
            )
        K = max((r["K"] for r in rows if r["source"] == source and r["K"] is not None), default=None)
        own = {r["term"]: r for r in rows if r["source"] == source and r["K"] == K}
        if "corners" in own and not math.isnan(own["corners"]["ci_lower"]):
            corners = own["corners"]
            parts = sorted((r for r in own.values() if r["kind"] == "carried"), key=lambda r: -abs(r["effect"]))
            sums = ", ".join(
                f"{r['term'].removeprefix('carried by ')} {number(r['effect'])} {bounds(r['ci_lower'], r['ci_upper'])}"
                for r in parts
            )
            out.append(
                f"{source}: at K = {K} the corners differ by {number(corners['effect'])} "
                f"{bounds(corners['ci_lower'], corners['ci_upper'])}, carried by {sums}."
            )
    return out
