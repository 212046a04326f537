"""``kaxis analyze shrunk``: effects along K that lend each other strength."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kaxis.cli import effect_rows
from kaxis.cli.analyze import app
from kaxis.cli.common import PLAIN, Baseline, Learners, Output, Prob, Table, Whole
from kaxis.cli.report import Column, Report, interval, number
from kaxis.errors import each

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["shrunk"]


@app.command
def shrunk(
    table: Table = None,
    /,
    *,
    baseline: Baseline = "bp_deepsup",
    learner: Learners = None,
    drop_incomplete: Whole = False,
    prob: Prob = 0.95,
    out: Output = PLAIN,
) -> int:
    """Effects along K, each by itself and given those at the other K: a line in ln K, and deviations from it.

    Example: kaxis analyze shrunk --learner dtg_ff --where source=synthetic
    """
    from kaxis.stats.rows import rows as plain
    from kaxis.stats.shrinkage import shrunk as analyse

    cube = out.cube(table)

    def one(name: str) -> xr.Dataset:
        return analyse(cube, learner=name, baseline=baseline, drop_incomplete=drop_incomplete, prob=prob)

    results, without = each(effect_rows.learners(cube, learner, baseline), one)
    rows = [row for found in results for row in plain(found)]
    about = effect_rows.shared(results) | {"refused": effect_rows.refused(results, without, baseline)}
    columns: list[Column] = [
        ("source", lambda r: r["source"]),
        ("K", lambda r: r["K"]),
        ("learner - baseline", lambda r: f"{r['learner']} - {r['baseline']}"),
        ("by itself", lambda r: number(r["own"])),
        (f"{100 * prob:.10g}% t", lambda r: interval(r["own_lower"], r["own_upper"])),
        ("given all K", lambda r: number(r["effect"])),
        (f"{100 * prob:.10g}% mixture of t", lambda r: interval(r["ci_lower"], r["ci_upper"])),
        ("n", lambda r: r["n_seeds"]),
    ]
    remarks = [
        *(f"Refused: {why}" for why in about["refused"]),
        *effect_rows.unused(about["notes"]),
        "Given all K: a line in ln K and deviations from it, as large as the seeds say (docs/statistics.md). "
        "Secondary: its interval holds on average over K, for effects as it supposes them; the t interval at each K.",
    ]
    out.show(Report("shrunk", "Paired effects given those at all K, pp", about, rows, columns, remarks))
    return 0
