"""``kaxis run --until-clear``: seeds in blocks, until the planned question is decided."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from kaxis.cli.display import line
from kaxis.cli.report import counted, interval, number
from kaxis.errors import KaxisError
from kaxis.spec.study import Plan, Study

if TYPE_CHECKING:
    import xarray as xr

    from kaxis.store.records import Store

__all__ = ["Until", "longest", "until_clear"]


@dataclass(frozen=True)
class Until:
    """How long seeds are added; what is not said here is the plan's."""

    until_clear: Annotated[
        bool, Parameter(negative="", help="add seeds in blocks until the planned question is decided")
    ] = False
    max_seeds: Annotated[int | None, Parameter(help="with --until-clear: the budget, pilots among them [40]")] = None
    block: Annotated[int | None, Parameter(help="with --until-clear: seeds that are added at a time [5]")] = None
    effect: Annotated[
        float | None, Parameter(help="with --until-clear: what would be too small to matter, in the contrast's units")
    ] = None
    spread: Annotated[
        float | None, Parameter(help="with --until-clear: of a seed's number, fixed before; else of three pilot seeds")
    ] = None

    def __post_init__(self) -> None:
        given = [f.name for f in fields(self) if f.name != "until_clear" and getattr(self, f.name) is not None]
        if given and not self.until_clear:
            raise KaxisError(f"--{given[0].replace('_', '-')} goes with --until-clear")

    def plan(self, study: Study) -> Plan:
        """The study's, with what is said here; written down before the run."""
        plan = study.plan or Plan()
        given = {k: v for k, v in asdict(self).items() if k != "until_clear" and v is not None}
        given = {"max_seeds": plan.max_seeds or 40, "block": plan.block or 5} | given
        return Plan.of({k: v for k, v in asdict(replace(plan, **given)).items() if v is not None})

    def check(self, study: Study) -> None:
        """KaxisError where that cannot be asked, before anything trains."""
        from kaxis.stats.sequential import PILOTS, fewest

        plan = self.plan(study)
        if len({sweep.seeds for sweep in study.sweeps}) > 1:
            raise KaxisError("--until-clear: the sweeps have different seeds")
        for name in (plan.learner, plan.baseline):
            if any(name not in sweep.learners for sweep in study.sweeps):
                raise KaxisError(
                    f"--until-clear: the plan is {plan.learner} - {plan.baseline}; {name} is not trained; a [plan] in "
                    "a study file names others"
                )
        for source, K in _K_of(study).items():
            if len(K) < 2:
                raise KaxisError(
                    f"--until-clear: a contrast along K needs two values of K or more, {source} has {len(K)}"
                )
        needed, asked = fewest() + (0 if plan.spread else PILOTS), len(study.sweeps[0].seeds)
        if plan.max_seeds is not None and plan.max_seeds < max(needed, asked):
            why = f"fewer cannot decide{'' if plan.spread else f', since {PILOTS} give the spread'}"
            why = why if needed >= asked else f"{asked} seeds are asked for"
            raise KaxisError(f"--max-seeds {plan.max_seeds}: {max(needed, asked)} or more; {why}")


def until_clear(study: Study, store: Store, until: Until, train: Callable[[Study], int], json: bool) -> int:
    """Train block after block. A seed is looked at when its block is whole, and only seeds up to there, so that a run
    which is cut goes on to the same decision with the same seeds.
    """
    plan, code = until.plan(study), 0
    for seeds in _blocks(study, plan):
        grown = _with_seeds(study, plan, seeds)
        code = max(code, train(grown))
        found = _looked_at(grown, store, plan)
        clear = _say(found, seeds, json)
        if clear:
            return code
    print(f"The budget of {counted(plan.max_seeds or 0, 'seed')} ends with that open.", file=sys.stderr)
    return code


def longest(study: Study, plan: Plan) -> Study:
    """With every seed of the budget."""
    *_, seeds = _blocks(study, plan)
    return _with_seeds(study, plan, seeds)


def _with_seeds(study: Study, plan: Plan, seeds: tuple[int, ...]) -> Study:
    return replace(study, plan=plan, sweeps=tuple(replace(sweep, seeds=seeds) for sweep in study.sweeps))


def _K_of(study: Study) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    for cell in study.cells():
        found.setdefault(cell.source, set()).add(cell.K)
    return found


def _blocks(study: Study, plan: Plan) -> Iterator[tuple[int, ...]]:
    """The seeds that were asked for, then so many more each time."""
    seeds = study.sweeps[0].seeds
    assert plan.max_seeds
    assert plan.block
    while True:
        yield seeds
        more = min(plan.block, plan.max_seeds - len(seeds))
        if more < 1:
            return
        start = max(seeds) + 1
        seeds = (*seeds, *range(start, start + more))


def _looked_at(study: Study, store: Store, plan: Plan) -> xr.Dataset | None:
    """The evidence of these seeds alone, whatever else the store has; None where there are too few for pilots."""
    from kaxis.stats.sequential import PILOTS, sequential
    from kaxis.store.cube import build_cube

    cells = study.cells()
    cube = build_cube([r for cell in cells if (r := store.read(cell)) is not None], cells)
    shape: dict[str, Any] = {"low": plan.low, "high": plan.high} if plan.low else {}
    pilot = 0 if plan.spread else PILOTS
    if len(study.sweeps[0].seeds) <= pilot:
        return None
    who: dict[str, Any] = {"learner": plan.learner, "baseline": plan.baseline}
    try:
        found = sequential(cube, **who, spread=plan.spread, pilot=pilot, margin=plan.effect, **shape)
    except KaxisError as refusal:  # pilots that failed, a spread of 0: more seeds may do
        print(refusal, file=sys.stderr)
        return None
    for why in found.attrs["refused"]:
        print(why, file=sys.stderr)
    return found


def _say(found: xr.Dataset | None, seeds: tuple[int, ...], json: bool) -> bool:
    """What the evidence is after a block, and whether it decides all sources."""
    if found is None:
        return False
    for source in map(str, found.source.values):
        one = found.sel(source=source)
        looks = one.dropna("seed", subset=["e"])
        decided, n = str(one.decided.item()), int(one.n_seeds)
        last = looks.isel(seed=-1) if n else None
        ends = [float(v) for v in last.ci.values] if last is not None else [float("nan")] * 2
        most = float(last.e_max) if last is not None else float("nan")
        if json:
            said = {"source": source, "seeds": len(seeds), "counted": n, "e_max": most, "decided": decided}
            line({**said, "ci": [v if abs(v) < float("inf") else None for v in ends]})
            continue
        kind = f"{100 * found.attrs['ci_prob']:.10g} % confidence sequence, n = {n}"
        words = {"difference": "a difference is shown", "small": "shown to be inside the margin", "open": "open"}[
            decided
        ]
        what = f"{found.attrs['contrast']} {interval(*ends)} {found.attrs['units']} ({kind})"
        print(f"{counted(len(seeds), 'seed')}, {source}: {what}, largest E {number(most, '.1f')}: {words}")
    return bool((found.decided != "open").all()) and not found.attrs["refused"]
