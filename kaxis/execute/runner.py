"""Run a study: cells into stacks, stacks onto a backend, records into the store."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kaxis.errors import KaxisError
from kaxis.execute import gpus
from kaxis.execute.backends import BACKENDS
from kaxis.execute.grouping import STACK, networks, stack_flops, stacks_of, steps_of
from kaxis.execute.progress import Progress
from kaxis.execute.provenance import cores, device_of
from kaxis.execute.shards import shard as parse_shard
from kaxis.execute.shards import share_of
from kaxis.execute.sharing import slots_of, until_done
from kaxis.execute.stop import ASKED
from kaxis.execute.tuning import choose
from kaxis.execute.worker import Job, follow, tried
from kaxis.measure.profile import WAIT, Profile
from kaxis.spec.cell import Cell
from kaxis.spec.cluster import Cluster
from kaxis.spec.images import ImageSpec
from kaxis.spec.study import Study
from kaxis.store.records import Store
from kaxis.train import ranks

__all__ = ["Summary", "run"]


@dataclass(frozen=True)
class Summary:
    """What a run did: cells asked for, finished before, trained, trained by other runs on the store in the meantime;
    and those that failed, now or before, which are none of these.
    """

    asked: int
    found: int
    trained: int
    others: int
    failed: tuple[str, ...]
    seconds: float


@gpus.unchanged()
def run(
    study: Study,
    store: Store,
    *,
    on: str | None = None,
    jobs: int | None = None,
    per_gpu: int = 1,
    shard: str = "1/1",
    device: str = "auto",
    data: Path | None = None,
    force: bool = False,
    weights: bool = False,
    profile: Profile | None = None,
    keep_every: float = 60.0,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Summary:
    """Train every cell that the store lacks; what is finished is never done again unless forced.

    Parameters
    ----------
    study, store
    on : str, optional
        A backend (`kaxis.execute.backends`), as ``NAME:ADDRESS``; by default ``processes``, ``serial`` where one does.
    jobs : int, optional
        Processes, one thread each; by default one a core on a CPU, one on a GPU, shared with the other runs on the
        store.
    shard : str
        ``i/n``: the i-th of n shares of the study, all learners of a (source, K, seed) together.
    per_gpu : int
        Processes of each GPU, where `jobs` does not say how many in all.
    device : {"auto", "cpu", "cuda", "cuda:N"}
        ``cuda`` takes all GPUs that this process sees, ``cuda:N`` the N-th of them.
    data : Path, optional
    force, weights : bool
        Train finished cells again; keep weights of the last step, and train cells without them again.
    profile : Profile, optional
        Trace a few steps of the costliest stack; everything is trained in this process then.
    keep_every : float
        Seconds between checkpoints.
    on_progress : callable
        Called several times a second with a `Progress`.

    Returns
    -------
    Summary
        What was asked for, found, trained, and what failed.

    Raises
    ------
    KaxisError
        For what the user can mend: data, device, store. Cells finished by then stay finished.
    """
    started = time.monotonic()
    name, _, address = (on or "processes").partition(":")
    if profile and on not in (None, "serial"):
        raise KaxisError(f"profile: traces --on serial, not {on}")
    part = parse_shard(shard)
    ASKED.clear()
    if ranks.count() > 1:
        on = _as_ranks(on, jobs, device)
        if ranks.rank():
            follow()
            return Summary(0, 0, 0, 0, (), time.monotonic() - started)
    device = _device(device, name, address)
    backend = BACKENDS["serial" if on == "serial" else name]
    here = device_of(device) if name in LOCAL and not address else ""
    store.prepare(weights=weights)
    checksums = _prepare_sources(study, data)
    cells = share_of(study.cells(), *part)
    if weights:
        _check_weights(cells)
    chosen_from = frozenset(candidate.id for cell in cells for candidate in cell.candidates)
    cluster = Cluster.of(study.cluster, None if name == "slurm" else {})
    job = Job(store.path, here or device, data, force, keep_every, study.rules, weights, profile, chosen_from, cluster)

    def lacking(cell: Cell, place: Store) -> bool:
        return force or not _finished(cell, place, checksums) or job.lacks(place, cell)

    wanted = [cell for cell in cells if lacking(cell, store)]
    store.note_study(study)
    if job.tried:
        tried(store).prepare()
    training = {c.id: c for cell in wanted for c in cell.candidates or (cell,) if lacking(c, job.place(c))}
    for cell in training.values():
        job.place(cell).check_place(cell)  # before hours of training
    stacks = _stacks(list(training.values()), job, here)
    steps, arithmetic = sum(networks(s) * steps_of(s[0]) for s in stacks), sum(map(stack_flops, stacks))
    progress = Progress(len(training), steps, arithmetic, on_progress)

    most = {"cpu": len(cores()), "cuda": per_gpu * max(1, len(gpus.visible()))}.get(here, cluster.jobs)
    most = 1 if profile else jobs or most

    shared = not (on or jobs or force)

    def offer(stacks: Sequence[list[Cell]]) -> bool:
        with slots_of(job, here, min(len(stacks), most), per_gpu=per_gpu, shared=shared) as slots:
            if slots:
                one = on is None and slots == 1 and (here == "cpu" or profile)
                (BACKENDS["serial"] if one else backend)(job, stacks, progress, jobs=slots, address=address)
            return slots > 0

    if stacks:
        progress.show(progress)  # what there is to do, before any of it is done
    try:
        until_done(stacks, job, progress, offer)
        if ranks.count() > 1:
            ranks.tell(None)
    finally:
        choose(store, [cell for cell in wanted if cell.candidates or cell.id in job.tried])
    return _summary(store, cells, wanted, progress, started)


def _summary(
    store: Store, cells: Sequence[Cell], wanted: Sequence[Cell], progress: Progress, started: float
) -> Summary:
    failed, lacked = _failures(store, cells), {cell.id for cell in wanted}
    done = [cell for cell in cells if cell.id not in failed]
    found = sum(cell.id not in lacked for cell in done)
    others = sum(_of_others(cell, progress) for cell in done if cell.id in lacked)
    counts = len(cells), found, len(done) - found - others, others
    return Summary(*counts, tuple(failed.values()), time.monotonic() - started)


def _of_others(cell: Cell, progress: Progress) -> bool:
    """Whether other runs trained it; a tuned cell, if they trained candidates of it and this run none."""
    done = progress.finished.intersection(c.id for c in cell.candidates or (cell,))
    return bool(done) and done <= progress.found


def _as_ranks(on: str | None, jobs: int | None, device: str) -> str:
    if on not in (None, "serial") or (jobs or 1) > 1:
        raise KaxisError("torchrun: its ranks train one cell after another together; leave out --on and --jobs")
    ranks.check_device(device)
    return "serial"


def _device(device: str, name: str, address: str) -> str:
    """A device as workers are told; this process sees no other GPU than it says."""
    if ":" in device and (address or name not in ("processes", "serial")):
        raise KaxisError(f"device {device}: is of one machine; --on {name} takes cuda, and a worker its first GPU")
    if name == "dask" and not address and device != "cpu" and len(gpus.visible()) > 1:
        raise KaxisError("--on dask: its workers here would share one GPU; --on processes gives each its own")
    return gpus.narrowed(device)


LOCAL = ("processes", "serial", "dask")
"""What trains on this machine."""


def _check_weights(cells: Sequence[Cell]) -> None:
    if tuned := [cell for cell in cells if cell.candidates]:
        raise KaxisError(f"weights: {tuned[0]} is tuned; train the setting that it chose, in brackets, to keep weights")
    if best := [cell for cell in cells if cell.training.select == "best"]:
        raise KaxisError(f"weights: {best[0]} reports its best step (select = best), whose weights are not kept")


def _stacks(wanted: Sequence[Cell], job: Job, here: str) -> list[list[Cell]]:
    stacks = stacks_of(wanted, 1024 if "cuda" in (here or job.device) else STACK)
    if job.profile and stacks and (steps := steps_of(stacks[0][0])) <= WAIT:
        raise KaxisError(f"profile: {stacks[0][0]} has {steps} steps; more than {WAIT} are needed")
    return stacks


def _prepare_sources(study: Study, data: Path | None) -> dict[str, dict[str, str]]:
    """Read files, fit features and try the samples once, before anything starts; returns the files' checksums by
    set.
    """
    from kaxis.sources.archives import data_dir
    from kaxis.sources.images import channel_statistics, load_images
    from kaxis.sources.load import forget, load_task, prepare

    forget()
    checksums = {}
    for sweep in study.sweeps:
        own, pixels = sweep.data, sweep.net.conv
        if isinstance(own, ImageSpec):
            place, name = data_dir(data), own.set_name
            if pixels:
                channel_statistics(name, place, own.size)
            else:
                prepare(name, own.features, place, own.size)
            checksums[own.name] = load_images(name, place, own.size).checksums
            tried = own.classes or own.per_class or own.train_total or own.subset != "any"
        else:
            tried = own.margin.startswith("match") or own.balance == "uniform"
        for cell in {(c.K, c.seed): c for c in sweep.cells()}.values() if tried or own.holdout else ():
            load_task(own, cell.K, cell.seed, data, pixels=pixels)
    return checksums


def _finished(cell: Cell, store: Store, checksums: Mapping[str, Mapping[str, str]]) -> bool:
    """Whether the store holds the cell, trained on the files that are here now."""
    record = store.read(cell)
    here = checksums.get(cell.data.name)
    if record and here is not None and record["data"].get("checksums", here) != here:
        raise KaxisError(
            f"{cell} in {store.path} was trained on other files; use --force to do it again, or another --store"
        )
    return record is not None


def _failures(store: Store, cells: Sequence[Cell]) -> dict[str, str]:
    """Why cells failed, by their ids."""
    asked = {cell.id for cell in cells}
    seen = ((Cell(r["config"]), r) for r in store.records(curves=False, outcomes=False) if r["status"] == "failed")
    return {cell.id: f"{cell}: {r['reason']}" for cell, r in seen if cell.id in asked}
