"""``kaxis run``: train every cell of a study that the store lacks."""

from __future__ import annotations

import os
import re
import sys
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

from cyclopts import Parameter

from kaxis.cli.common import DataFolder, StorePath, check_output, open_store
from kaxis.cli.display import estimate, line, progress
from kaxis.cli.report import counted
from kaxis.cli.until import Until, longest, until_clear
from kaxis.errors import KaxisError, hint, visible
from kaxis.spec.study import Plan, Study
from kaxis.spec.table import OPTIONS, shown_default
from kaxis.train import ranks

if TYPE_CHECKING:
    from kaxis.execute.runner import Summary
    from kaxis.store.records import Store

__all__ = ["run"]


def _flags() -> dict[str, Any]:
    """Every option as a flag. Values stay text: `Sweep.of` is the one place that checks them."""
    flags = {}
    for name, owners in OPTIONS.items():
        if name == "source":
            continue
        kind: Any = bool if owners[0].is_bool else list[str] if owners[0].is_list else str
        shown = shown_default(owners)
        text = f"{owners[0].help}{f' [{shown}]' if shown else ''}"
        negative = f"--no-{name.replace('_', '-')}" if owners[0].is_bool else ""
        flags[name] = Annotated[kind, Parameter(name=f"--{name.replace('_', '-')}", help=text, negative=negative)]
    return flags


Options = TypedDict("Options", _flags(), total=False)  # type: ignore[misc]


def run(
    source: str,
    /,
    *,
    options: Annotated[Options | None, Parameter(name="*")] = None,
    device: str = "auto",
    on: str | None = None,
    jobs: int | None = None,
    per_gpu: int = 1,
    shard: str = "1/1",
    store: StorePath = None,
    data: DataFolder = None,
    small: bool = False,
    dry_run: bool = False,
    force: bool = False,
    weights: bool = False,
    profile: Path | None = None,
    until: Annotated[Until | None, Parameter(name="*")] = None,
    json: Annotated[
        bool, Parameter(name="--json", help="for logs: a line of JSON on stdout every few seconds")
    ] = False,
) -> int:
    """Train every cell (source, K, learner, seed) that the store lacks.

    Example: kaxis run synthetic --K 5 10 50 --seeds 0-4

    Example: kaxis run cifar100 --net vgg8 --width 0.25 --K 10 20 --seeds 0-1 --epochs 2 --learners dtg_ff bp_deepsup

    Example: kaxis run studies/synthetic.toml --jobs 2

    Example: kaxis run synthetic --K 5 10 50 --seeds 0-7 --until-clear --effect 0.5

    Parameters
    ----------
    source
        A set (`kaxis data list`), folder:PATH, npz:PATH, or a study file (*.toml); flags go over the file's own values.
    device
        Where to train: cpu, cuda (all GPUs that this process sees), cuda:N (one of them); auto takes a GPU if there is
        one.
    on
        Where: processes of this machine (by default), serial (one after another, in this process), dask (a cluster of
        this machine's), dask:ADDRESS, dask:FILE (of a scheduler), slurm (jobs as the [cluster] table of the study, or
        of ~/.config/kaxis/cluster.toml, says), or a backend that is installed.
    jobs
        Processes, one thread each; by default one a core, which runs on one store share.
    per_gpu
        Processes of each GPU, for small nets.
    shard
        i/n: the i-th of n shares of the study, for job arrays.
    small
        A study file's own setting for two cores, its [small] table.
    dry_run
        List the cells with an estimate of the time, with --on slurm the script of a job, and stop.
    force
        Train finished cells again.
    weights
        Keep the trained weights in the store, for kaxis diagnose; finished cells without are trained again.
    profile
        Write a trace of ten steps of the costliest stack to this file (*.json, for ui.perfetto.dev), and print its ten
        costliest operations; trains in one process.
    """
    if jobs is not None and not 1 <= jobs <= 1024:
        raise KaxisError(f"--jobs {jobs}: 1 process or more, 1,024 at most")
    if not 1 <= per_gpu <= 64:
        raise KaxisError(f"--per-gpu {per_gpu}: 1 process or more, 64 at most")
    if not re.fullmatch(r"auto|cpu|cuda(:\d{1,4})?", device):
        raise KaxisError(f"device '{device}' is not {hint(device, ['auto', 'cpu', 'cuda', 'cuda:0'])}")
    if data is not None:  # sets of your own are looked at when the study is read, here and in every process
        os.environ["KAXIS_DATA"] = str(data.expanduser())
    study, target = _study(source, dict(options or {}), small), open_store(store)
    if until := until if until and until.until_clear else None:
        until.check(study)
        if shard != "1/1" or force:
            raise KaxisError("--until-clear: looks at whole blocks, trained once; leave out --shard and --force")
    if dry_run:
        if on:
            from kaxis.execute.backends import BACKENDS

            BACKENDS[on.partition(":")[0]]  # refuses a name that is none
        if ranks.rank():
            return 0
        _dry_run(study, target, jobs, device, shard)
        if until:
            most = longest(study, until.plan(study))
            print(f"Planned: {_question(most.plan)}.")
            print(f"If it is not clear before: {_left(most, target, jobs, device, '1/1')}")
        return _job_script(study, target) if on == "slurm" else 0
    _planned_before(study, target)
    how = {
        "on": on,
        "jobs": jobs,
        "per_gpu": per_gpu,
        "shard": shard,
        "device": device,
        "data": data,
        "force": force,
        "weights": weights,
    }
    if until is None:
        return _executed(study, target, profile, how, json)
    return until_clear(study, target, until, lambda grown: _executed(grown, target, profile, how, json), json)


def _question(plan: Plan | None) -> str:
    """What a plan asks, in words."""
    assert plan is not None
    along = f"high K {list(plan.high)} minus low K {list(plan.low)}" if plan.low else "slope on ln K"
    margin = "" if plan.effect is None else f", or shown to lie within {plan.effect:g} either way"
    return f"{plan.learner} - {plan.baseline}, {along}: seeds until a difference is shown{margin}"


def _study(source: str, given: dict[str, Any], small: bool) -> Study:
    for name, value in given.items():
        if value == []:
            raise KaxisError(f"--{name.replace('_', '-')} needs a value")
    if source.endswith(".toml"):
        return _looked_at(Study.load(Path(source), given, small=small))
    if small:
        raise KaxisError("--small: only a study file has a setting for two cores")
    return Study.of(source, {"source": source, **given})


def _looked_at(study: Study) -> Study:
    """Says what an analysis will not take together, before it is trained."""
    from kaxis.store.select import unnamed

    for place, settings in unnamed(study.cells()).items():
        for key, values in settings.items():
            warnings.warn(
                f"{place}: cells differ in {key} ({', '.join(sorted(values))}), which no bracket names: an analysis "
                f"takes those of one (--where {key}=...); 'dtg_ff[{key}=...]' makes a learner of its own",
                stacklevel=2,
            )
    return study


def _planned_before(study: Study, target: Store) -> None:
    """Says that a store has another plan of this study, by which analyses go on being judged."""
    for other, created in target.studies() if study.plan and target.path.is_dir() else ():
        if other.name == study.name and other.plan and other.plan != study.plan:
            warnings.warn(
                f"the study '{study.name}' has another plan in this store, of {created[:16]} UTC: the older one counts",
                stacklevel=2,
            )
            return


def _executed(study: Study, target: Store, profile: Path | None, how: dict[str, Any], json: bool) -> int:
    """Train, with what is kept said where it is interrupted."""
    from kaxis.execute.runner import run as execute
    from kaxis.execute.shards import shard as parsed
    from kaxis.execute.shards import share_of
    from kaxis.measure.profile import Profile

    trace = Profile(profile) if profile else None
    if trace:
        check_output(trace.file, (".json",))
        trace.prove()
        os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the tracer's own chatter
    try:
        with progress(json, how["jobs"], how["device"]) as show:
            summary = execute(study, target, profile=trace, on_progress=show, **how)
    except KeyboardInterrupt:
        cells = share_of(study.cells(), *parsed(how["shard"]))
        kept = sum(map(target.has, cells))
        raise KeyboardInterrupt(f"{kept} of {counted(len(cells), 'cell')} are kept in {target.path}") from None
    if ranks.rank():
        return 0  # the first one speaks for all
    if trace:
        _costliest(trace.operations)
    return _report(study, target.path, summary, json)


def _costliest(operations: list[dict[str, Any]]) -> None:
    if not operations:
        print("profile: every cell was there before, so no step was traced; --force trains again", file=sys.stderr)
        return
    print(f"{'operation':48} {'calls':>6} {'own ms':>9} {'share':>6}")
    for one in operations:
        print(f"{one['operation'][:48]:48} {one['calls']:6} {one['ms']:9.2f} {one['share']:6.1%}")


def _dry_run(study: Study, store: Store, jobs: int | None, device: str, shard: str) -> None:
    from kaxis.execute.shards import shard as parsed
    from kaxis.execute.shards import share_of

    for cell in share_of(study.cells(), *parsed(shard)):
        print(f"{'done   ' if store.has(cell) else 'to do  '} {cell}")
    print(_left(study, store, jobs, device, shard))


def _left(study: Study, store: Store, jobs: int | None, device: str, shard: str) -> str:
    """How many cells there are and how long those take that are to be trained."""
    from kaxis.execute.grouping import flops
    from kaxis.execute.shards import shard as parsed
    from kaxis.execute.shards import share_of

    cells = share_of(study.cells(), *parsed(shard))
    left = [cell for cell in cells if not store.has(cell)]
    how_long = f": {estimate(sum(map(flops, left)), jobs, device)[0]}" if left else ""
    return f"{counted(len(cells), 'cell')}, {len(left):,} to do{how_long}"


def _job_script(study: Study, target: Store) -> int:
    from kaxis.execute.backends.slurm import script
    from kaxis.spec.cluster import Cluster

    print(script(Cluster.of(study.cluster), target.path))
    return 0


def _report(study: Study, path: Path, summary: Summary, json: bool) -> int:
    if json:
        line({"study": study.name, "store": str(path), **asdict(summary), "ended": True})
        return 1 if summary.failed else 0
    trained = f"{summary.trained} trained in {summary.seconds:.0f} s, {summary.found} there before"
    others = f", {summary.others} by other runs" if summary.others else ""
    failed = f", {len(summary.failed)} failed" if summary.failed else ""
    print(f"{study.name}: {counted(summary.asked, 'cell')} in {path}: {trained}{others}{failed}")
    for failure in summary.failed:
        print(visible(f"kaxis: failed: {failure}"), file=sys.stderr)
    return 1 if summary.failed else 0
