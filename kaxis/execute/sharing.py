"""Several runs on one store: what is free, who trains how much of it, and until when."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from kaxis.errors import KaxisError
from kaxis.execute import gpus
from kaxis.execute.grouping import networks, stack_flops, steps_of
from kaxis.execute.progress import Progress
from kaxis.execute.provenance import cores
from kaxis.execute.worker import Job
from kaxis.io import file_name
from kaxis.spec.cell import Cell
from kaxis.store.claims import claimed, place, taken

__all__ = ["slots_of", "until_done"]

POLL = 1.0
"""Seconds between looks at what other runs are at."""

PATIENCE = 3
"""How often a backend may leave all that it was offered, when nobody else is at it."""


def until_done(
    stacks: list[list[Cell]], job: Job, progress: Progress, offer: Callable[[Sequence[list[Cell]]], bool]
) -> None:
    """Offer what no other run is at, until every cell has its record, whoever made it."""
    in_vain = 0
    while stacks:
        before = len(progress.finished)
        free = _free(stacks, job)
        offered = bool(free) and offer(free)
        stacks = _left(stacks, job, progress)
        if not stacks or len(progress.finished) > before:
            in_vain = 0
            continue
        if offered and (in_vain := in_vain + 1 if _free(free, job) == free else 0) > PATIENCE:
            raise KaxisError(f"{free[0][0]}: offered {in_vain} times, and neither trained nor claimed", exit_code=1)
        progress.wait(sum(map(len, stacks)))
        time.sleep(POLL)


@contextmanager
def slots_of(job: Job, device: str, wanted: int, *, per_gpu: int, shared: bool) -> Iterator[int]:
    """How many stacks to train at a time: where nobody said, runs on one store share the cores of a machine, and none
    starts a process to find nothing to do.
    """
    if not shared or not wanted:
        yield wanted
        return
    if device == "cpu":
        of = {f"cpu-{core}": "" for core in cores()}
    else:  # the first of every GPU before the second of any; a batch system counts the GPUs of each job anew
        batch = os.environ.get("SLURM_JOB_ID", "")
        of = {f"cuda-{batch}-{gpu}-{i}": gpu for i in range(per_gpu) for gpu in gpus.visible() or ["0"]}
    names = {f"{file_name(place())}-{file_name(name)}": gpu for name, gpu in of.items()}
    with claimed(job.claims, list(names), at_most=wanted) as mine, gpus.those([names[name] for name in mine]):
        yield len(mine)


def _free(stacks: Sequence[list[Cell]], job: Job) -> list[list[Cell]]:
    """Those that no other run is at."""
    if job.force:
        return list(stacks)
    busy = taken(job.claims, [cell.id for stack in stacks for cell in stack])
    return [stack for stack in stacks if stack[0].id not in busy]


def _left(stacks: Sequence[list[Cell]], job: Job, progress: Progress) -> list[list[Cell]]:
    """What neither this run nor another has finished."""
    left = []
    for stack in stacks:
        open_ = [c for c in stack if c.id not in progress.finished]
        there = [c for c in open_ if job.place(c).exists(c)]
        if there and (done := [c for c in there if not job.lacks(job.place(c), c)]):
            others, open_ = open_, [c for c in open_ if c not in done]
            spared = networks(others) - networks(open_)
            steps = spared * steps_of(stack[0])
            progress.advance(steps, flops=stack_flops(others) * spared / networks(others), spared=steps)
            progress.find(cell.id for cell in done)
        if open_:
            left.append(open_)
    return left
