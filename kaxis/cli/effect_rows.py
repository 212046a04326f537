"""From results to one table: rows of several learners, and the sentences below them."""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from kaxis.cli.common import Pair
from kaxis.cli.report import Column, interval
from kaxis.errors import KaxisError

if TYPE_CHECKING:
    import xarray as xr


__all__ = [
    "Compared",
    "compare",
    "joined",
    "learners",
    "little_headroom",
    "refused",
    "remarks",
    "shared",
    "slopes",
    "unused",
]


@dataclass(frozen=True)
class Compared:
    """Rows of one analysis over several learners, with the notes and verdicts of all."""

    rows: list[dict[str, Any]]
    attrs: dict[str, Any]
    verdicts: list[str]

    @property
    def notes(self) -> list[str]:
        return list(self.attrs["notes"])

    @property
    def header(self) -> str:
        return f"{100 * self.attrs['ci_prob']:.10g}% {self.attrs['ci_kind']} interval"

    def ci(self) -> Column:
        return self.header, lambda r: interval(r["ci_lower"], r["ci_upper"])

    def who(self) -> Column:
        return "learner - baseline", lambda r: f"{r['learner']} - {r['baseline']}"


def learners(cube: xr.Dataset, asked: list[str] | None, baseline: str) -> list[str]:
    from kaxis.stats.blocks import check_there

    there = [str(name) for name in cube.learner.values]
    check_there(cube, baseline, "baseline")
    if twice := [name for name, n in Counter(asked or []).items() if n > 1]:
        raise KaxisError(f"--learner {twice[0]} is given twice")
    names = asked or [name for name in there if name != baseline]
    if not names:
        place = cube.attrs.get("origin", "store")
        more = f"; run another, e.g. --learners {baseline} dtg_ff" if place == "store" else ""
        raise KaxisError(f"the {place} holds no learner but '{baseline}'{more}")
    return names


def compare(cube: xr.Dataset, pair: Pair, analyse: Callable[..., xr.Dataset], **options: Any) -> Compared:
    """One analysis for every learner that is asked for, against the baseline."""
    options |= {"interval": pair.interval, "prob": pair.prob, "baseline": pair.baseline}
    from kaxis.stats.blocks import made_apart, nets, without_common_seed

    names = learners(cube, pair.learner, pair.baseline)
    made = joined([analyse(cube, learner=name, **options) for name in names])
    unpaired = [said for name in names if (said := without_common_seed(cube, name, pair.baseline))]
    apart = [said for name in names if (said := made_apart(cube, name, pair.baseline))]
    notes = [*unpaired, *made.notes]
    own = nets(cube.sel(learner=[*names, pair.baseline]))
    if len(set(own.values())) > 1:
        apart.append(f"Sources are of different nets: {', '.join(f'{s} {net}' for s, net in own.items())}.")
    return replace(made, attrs={**made.attrs, "notes": notes}, verdicts=[*made.verdicts, *apart])


def joined(results: list[xr.Dataset]) -> Compared:
    """Several results as one."""
    from kaxis.stats.rows import rows
    from kaxis.stats.verdict import verdicts

    return Compared(
        [row for result in results for row in rows(result)],
        shared(results),
        list(dict.fromkeys(line for result in results for line in verdicts(result))),
    )


def shared(results: list[xr.Dataset]) -> dict[str, Any]:
    """Of the attrs of several results those that are of them all, the notes merged."""
    own = {"notes", "refused", "learner", "quantity", "contrast"}
    notes = dict.fromkeys(line for result in results for line in result.attrs["notes"])
    return {k: v for k, v in results[-1].attrs.items() if k not in own} | {"notes": list(notes)}


def refused(results: list[xr.Dataset], without: dict[str, str], baseline: str) -> list[str]:
    """What several results leave out, and the learners that have none."""
    of = [(str(result.attrs["learner"]), why) for result in results for why in result.attrs["refused"]]
    return [f"{name} - {baseline}: {why}" for name, why in [*of, *without.items()]]


def remarks(rows: list[dict[str, Any]], notes: list[str], *, bootstrap: bool = True, prob: float = 0.95) -> list[str]:
    """What the numbers are worth, said once below the table."""
    from kaxis.stats.arrays import EXACT_UP_TO, FLIPS
    from kaxis.stats.intervals import BOOTSTRAP_COVERAGE

    out = [] if rows else ["No seed has both learners done."]
    sizes = sorted({r["n_seeds"] for r in rows})
    known = [f"{100 * BOOTSTRAP_COVERAGE[n]:.0f} % at n = {n}" for n in sizes if n in BOOTSTRAP_COVERAGE]
    if bootstrap and known and prob == 0.95:
        out.append(
            f"The 95 % percentile bootstrap really covers {', '.join(known)} (normal seeds); the t interval about 95 %."
        )
    if sizes and sizes[0] == 1:
        out.append("One seed gives no interval: run more, e.g. --seeds 0-4.")
    if still := [
        r
        for r in rows
        if r["n_seeds"] > 1 and math.isnan(r["ci_lower"]) and math.isnan(r.get("bootstrap_lower", math.nan))
    ]:
        places = [f"{r['source']}" + (f" K = {r['K']}" if r["K"] is not None else "") for r in still]
        out.append(f"{', '.join(dict.fromkeys(places))}: a spread of 0 gives no interval.")
    if many := [n for n in sizes if n > EXACT_UP_TO]:
        out.append(
            f"Beyond {EXACT_UP_TO} seeds (here {many[-1]}) the sign-flip test is by {FLIPS:,} random flips, not exact."
        )
    if few := [n for n in sizes if 1 < n < 6]:
        out.append(
            f"With {few[0]} seeds the exact test cannot fall below p = {2 / 2 ** few[0]:.4g}, whatever they show."
        )
    return out + unused(notes)


def little_headroom(cube: xr.Dataset) -> list[str]:
    """Where % of headroom rests on little, in a sentence."""
    least = (1 - cube.chance).where(cube.status == "done").min(("learner", "seed"))
    small = [
        f"{source} K = {K} ({least.sel(source=source, K=K):.3f})"
        for source in cube.source.values
        for K in cube.K.values
        if least.sel(source=source, K=K) < 0.05
    ]
    what = "% of headroom rests on little: the smallest headroom above chance of a seed is below 0.05 at"
    return [f"{what} {', '.join(small)}."] if small else []


def unused(notes: list[str]) -> list[str]:
    """What is not there or not used, a line each, of many the first."""
    if not notes:
        return []
    head = f"{len(notes)} cells or files are not used; the rows are of the seeds that both learners have:"
    more = [f"  and {len(notes) - 12} more"] if len(notes) > 12 else []
    return [head, *(f"  {note}" for note in notes[:12]), *more]


def slopes(cube: xr.Dataset, learner: str, baseline: str) -> tuple[list[dict[str, Any]], str]:
    """The slope along K of every source that has one, with its training length, and what those numbers are."""
    from kaxis.stats.contrasts import contrast, training_length

    rows, called = [], ""
    for source in map(str, cube.source.values):
        try:
            found = contrast(cube.sel(source=[source]), learner=learner, baseline=baseline, drop_incomplete=True)
        except KaxisError as refusal:  # one K, or no seed that has them all
            print(refusal, file=sys.stderr)
            continue
        one, about = found.isel(source=0), found.attrs
        row = {"source": source, "effect": float(one.effect), "n_seeds": int(one.n_seeds)}
        row |= {f"ci_{end}": float(one.ci.sel(ci_bound=end)) for end in ("lower", "upper")}
        rows.append({**row, "steps": training_length(cube, source)})
        interval = f"{100 * about['ci_prob']:.10g} % {about['ci_kind']} interval"
        called = f"{learner} - {baseline}, {about['contrast']} ({about['units']}); {interval}"
    return rows, called
