"""From effects to rows and to the sentences below a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kaxis.errors import KaxisError, hint

if TYPE_CHECKING:
    import xarray as xr


__all__ = ["attrs", "learners", "remarks", "rows", "verdicts"]


def learners(cube: xr.Dataset, asked: list[str] | None, baseline: str) -> list[str]:
    there = [str(name) for name in cube.learner.values]
    if baseline not in there:
        raise KaxisError(f"baseline '{baseline}' is not in the store, which has {hint(baseline, there)}")
    names = asked or [name for name in there if name != baseline]
    if not names:
        raise KaxisError(f"the store holds no learner but '{baseline}'; run another, e.g. --learners {baseline} dtg_ff")
    return names


def attrs(result: xr.Dataset) -> dict[str, Any]:
    return {k: v for k, v in result.attrs.items() if k not in ("notes", "refused", "learner")}


def rows(
    result: xr.Dataset, learner: str, baseline: str, *, extra: tuple[str, ...] = (), normalised: str = ""
) -> list[dict[str, Any]]:
    """Plain rows, one for each source (and K) that has any seeds."""
    rows = []
    places = [
        {"source": s, "K": k} for s in result.source.values for k in (result.K.values if "K" in result.dims else [None])
    ]
    for place in places:
        at = {key: value for key, value in place.items() if value is not None}
        one = result.sel(at)
        if int(one.n_seeds) == 0:
            continue
        row = {
            "source": str(place["source"]),
            "K": None if place["K"] is None else int(place["K"]),
            "learner": learner,
            "baseline": baseline,
            "effect": float(one.effect),
            **_bounds("ci", one.ci),
            "n_seeds": int(one.n_seeds),
            "p": float(one.p),
            "wins": int(one.wins),
            **_bounds("bootstrap", one.bootstrap_ci),
        }
        if normalised:
            value, bounds = normalised.split()
            row |= {"effect_normalised": float(one[value]), **_bounds("normalised", one[bounds])}
        for name in extra:
            if "ci_bound" in one[name].dims:
                row |= _bounds(name, one[name])
                continue
            row[name] = float(one[name])
            if f"{name}_ci" in one:
                row |= _bounds(name, one[f"{name}_ci"])
        rows.append(row)
    return rows


def _bounds(name: str, ci: xr.DataArray) -> dict[str, float]:
    return {f"{name}_{bound}": float(ci.sel(ci_bound=bound)) for bound in ("lower", "upper")}


def verdicts(rows: list[dict[str, Any]], units: str | None) -> list[str]:
    """What each row supports, in words, and for which population; `units` of all rows, or None where rows have their own."""
    from kaxis.stats.verdict import population, verdict

    out = []
    for r in rows:
        what = f"at K = {r['K']}" if r["K"] is not None else f"({r['contrast']})"
        out.append(
            verdict(r, quantity=f"{r['source']}: {r['learner']} - {r['baseline']} {what}", units=units or r["units"])
        )
    return out + [population(source) for source in dict.fromkeys(r["source"] for r in rows)]


def remarks(rows: list[dict[str, Any]], notes: list[str], *, bootstrap: bool = True) -> list[str]:
    """What the numbers are worth, said once below the table."""
    from kaxis.stats.arrays import BOOTSTRAP_COVERAGE

    out = [] if rows else ["No seed has both learners done."]
    sizes = sorted({r["n_seeds"] for r in rows})
    known = [f"{100 * BOOTSTRAP_COVERAGE[n]:.0f} % at n = {n}" for n in sizes if n in BOOTSTRAP_COVERAGE]
    if bootstrap and known:
        out.append(
            f"The 95 % percentile bootstrap really covers {', '.join(known)} (normal seeds); the t interval about 95 %."
        )
    if sizes and sizes[0] == 1:
        out.append("One seed gives no interval: run more, e.g. --seeds 0-4.")
    if few := [n for n in sizes if 1 < n < 6]:
        out.append(
            f"With {few[0]} seeds the exact test cannot fall below p = {2 / 2 ** few[0]:.4g}, whatever they show."
        )
    if notes:
        out.append(f"{len(notes)} cells of the grid are not done; the rows use the seeds that both learners have:")
        out += [f"  {note}" for note in notes[:12]]
        out += [f"  and {len(notes) - 12} more"] if len(notes) > 12 else []
    return out
