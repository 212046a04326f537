"""``kaxis analyze sequential``: seeds one after the other, by a test and an interval that allow looking each time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from kaxis.cli import effect_rows
from kaxis.cli.analyze import app
from kaxis.cli.common import PLAIN, Baseline, Learners, Output, Prob, Table, over
from kaxis.cli.report import Column, Report, interval, number
from kaxis.errors import KaxisError, each

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["sequential"]


@app.command
def sequential(
    table: Table = None,
    /,
    *,
    baseline: Baseline = "bp_deepsup",
    learner: Learners = None,
    spread: float | None = None,
    pilot: Annotated[int | None, Parameter(help="first seeds that give the spread and are not counted [3]")] = None,
    effect: float | None = None,
    at_K: Annotated[int | None, Parameter(name="--at-K", help="the effect at one K, instead of along K")] = None,
    low: list[int] | None = None,
    high: list[int] | None = None,
    prob: Prob = 0.95,
    out: Output = PLAIN,
) -> int:
    """Seeds in the order of their numbers: evidence and interval after each, which hold however often one looks.

    Example: kaxis analyze sequential --learner dtg_ff --spread 0.4 --effect 0.5

    Parameters
    ----------
    spread
        Standard deviation of a seed's number, fixed before the seeds were seen; without it pilot seeds give it.
    effect
        What would be too small to matter; then a difference can be shown to be small.
    low
        Values of K: mean effect over those of `--high` minus that over these, instead of the slope on ln K.
    high
        Values of K, beside `--low`.
    """
    from kaxis.stats.sequential import PILOTS, fewest
    from kaxis.stats.sequential import sequential as analyse

    if spread is not None and pilot:
        raise KaxisError(f"--spread {spread:g} and --pilot {pilot}: choose one")
    pilots = (PILOTS if pilot is None else pilot) if spread is None else 0
    shape = over(at_K, low, high)
    cube, rows, remarks = out.cube(table), list[dict[str, Any]](), list[str]()

    def run(name: str) -> xr.Dataset:
        pair: dict[str, Any] = {"learner": name, "baseline": baseline}
        return analyse(cube, **pair, spread=spread, pilot=pilots, margin=effect, prob=prob, **shape)

    results, without = each(effect_rows.learners(cube, learner, baseline), run)
    contrast, units = results[0].attrs["contrast"], results[0].attrs["units"]
    about = effect_rows.shared(results) | {"contrast": contrast}
    about |= {"refused": effect_rows.refused(results, without, baseline)}
    for found in results:
        pair = {key: found.attrs[key] for key in ("learner", "baseline")}
        for source in map(str, found.source.values):
            one = found.sel(source=source)
            for n, seed in enumerate(one.dropna("seed", subset=["e"]).seed.values, start=1):
                at = one.sel(seed=seed)
                ends = {f"ci_{end}": float(at.ci.sel(ci_bound=end)) for end in ("lower", "upper")}
                numbers = {"number": float(at.number), "e": float(at.e), "e_max": float(at.e_max)}
                rows.append({"source": source, **pair, "seed": int(seed), "n_seeds": n, **numbers, **ends})
            remarks.append(f"{source}, {pair['learner']} - {baseline}: {_decided(one, about)}")
    remarks += [f"Refused: {why}" for why in about["refused"]]
    remarks += effect_rows.unused(about["notes"])
    columns: list[Column] = [
        ("source", lambda r: r["source"]),
        ("learner - baseline", lambda r: f"{r['learner']} - {r['baseline']}"),
        ("seed", lambda r: r["seed"]),
        ("n", lambda r: r["n_seeds"]),
        ("number", lambda r: number(r["number"])),
        ("E", lambda r: number(r["e"], ".2f")),
        ("largest E", lambda r: number(r["e_max"], ".2f")),
        (f"{100 * prob:.10g}% confidence sequence", lambda r: interval(r["ci_lower"], r["ci_upper"])),
    ]
    remarks += [
        f"Of one source all intervals hold the truth at once with {100 * prob:.10g} %, however often one looks and "
        "whenever one stops, if each seed's number is as likely above the truth as below it by as much (as the "
        "sign-flip test takes it).",
        f"Shown where E reaches {1 / (1 - prob):.3g}; no fewer than {fewest(prob)} counted seeds can.",
    ]
    out.show(Report("sequential", f"Seed after seed: {contrast}, {units}", about, rows, columns, remarks))
    return 0


def _decided(one: Any, about: dict[str, Any]) -> str:
    n, spread = int(one.n_seeds), f"spread {float(one.spread):.2f}"
    spread += f" from {about['pilot']} pilot seeds, not counted" if about["pilot"] else ", given"
    if str(one.decided.item()) == "difference":
        return f"a difference is shown, after {int(one.decided_n)} counted seeds ({spread})."
    if str(one.decided.item()) == "small":
        return f"shown to be inside +-{about['margin']:g}, after {int(one.decided_n)} counted seeds ({spread})."
    ahead = int(one.next_n)
    would = f"with {ahead} in all if the next were like the mean so far" if ahead else "not within 1,000 like these"
    return f"open after {n} counted seed{'s' * (n != 1)} ({spread}); a difference would be shown {would}."
